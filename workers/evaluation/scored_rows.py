"""A model's predictions with the truth, row by row."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shared.ml import targets
from shared.ml.metrics import measuring, undefined

Rows = targets.Values


@dataclasses.dataclass(frozen=True)
class ScoredRows:
    """A model's predictions of rows whose truth is known, or of all rows for problems without a truth.

    `truth` has the form that `measuring.measure` takes; `classes` and `levels` are the model's. `positive` is the
    positive one of two classes; `class_names` are the classes' names in metrics.
    `weights` is how much each row counts.
    """

    problem: measuring.Problem
    truth: targets.Values | None
    predictions: measuring.Predictions
    classes: list[targets.Label] | None = None
    positive: targets.Label | None = None
    class_names: list[str] | None = None
    levels: Sequence[float] = ()
    weights: targets.Values | None = None

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.predictions.prediction)

    def measure(self) -> dict[str, float]:
        """Compute every metric, by scikit-learn's names; none where no row counts."""
        if self.weights is not None and not self.weights.any():
            return {}
        return measuring.measure(
            self.problem,
            truth=self.truth,
            predicted=self.predictions,
            classes=self.classes,
            positive=self.positive,
            class_names=self.class_names,
            levels=self.levels,
            weights=self.weights,
        )

    def explain_undefined(self, metrics: Mapping[str, float]) -> dict[str, str]:
        """Explain which of the problem's metrics these rows don't define, by metric."""
        return undefined.explain(
            self.problem,
            metrics=metrics,
            truth=self.truth,
            predicted=self.predictions,
            classes=self.classes,
            positive=self.positive,
        )

    @property
    def positive_label(self) -> targets.Label | None:
        """The positive one of two classes, by default the last; None unless there are two."""
        if self.problem != "classification" or self.classes is None or len(self.classes) != 2:
            return None
        return self.classes[1] if self.positive is None else self.positive

    def take(self, rows: Rows) -> "ScoredRows":
        """Select some of the rows, by a mask or by positions, which may be repeated."""
        arrays: dict[str, Any] = {
            field.name: None if (values := getattr(self.predictions, field.name)) is None else values[rows]
            for field in dataclasses.fields(self.predictions)
        }
        return dataclasses.replace(
            self,
            truth=None if self.truth is None else self.truth[rows],
            weights=None if self.weights is None else self.weights[rows],
            predictions=measuring.Predictions(**arrays),
        )

    def encode(self) -> "ScoredRows":
        """Replace labels by their positions among the classes: all metrics stay the same, and are computed faster."""
        if self.problem != "classification" or self.truth is None or not self.classes:
            return self
        codes = {label: code for code, label in enumerate(self.classes)}

        def to_codes(labels: targets.Values) -> targets.Values:
            return np.array([codes[label] for label in labels.tolist()], dtype=np.int64)

        return dataclasses.replace(
            self,
            truth=to_codes(self.truth),
            predictions=dataclasses.replace(self.predictions, prediction=to_codes(self.predictions.prediction)),
            classes=list(range(len(self.classes))),
            positive=None if self.positive is None else codes[self.positive],
            class_names=[targets.format_label(label) for label in self.classes],
        )
