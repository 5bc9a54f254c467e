"""A model's predictions with the truth, row by row."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.ml import targets
from shared.ml.metrics import measuring

Rows = targets.Values


@dataclasses.dataclass(frozen=True)
class ScoredRows:
    """A model's predictions of rows whose truth is known, or of all rows for problems without a truth.

    `truth` has the form that `measuring.measure` takes; `classes` and `levels` are the model's.
    """

    problem: measuring.Problem
    truth: targets.Values | None
    predictions: measuring.Predictions
    classes: list[targets.Label] | None = None
    levels: Sequence[float] = ()

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.predictions.prediction)

    def measure(self) -> dict[str, float]:
        """Compute every metric, by scikit-learn's names."""
        return measuring.measure(
            self.problem, truth=self.truth, predicted=self.predictions, classes=self.classes, levels=self.levels
        )

    def take(self, rows: Rows) -> "ScoredRows":
        """Select some of the rows, by a mask or by positions, which may be repeated."""
        arrays: dict[str, Any] = {
            field.name: None if (values := getattr(self.predictions, field.name)) is None else values[rows]
            for field in dataclasses.fields(self.predictions)
        }
        return dataclasses.replace(
            self,
            truth=None if self.truth is None else self.truth[rows],
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
        )
