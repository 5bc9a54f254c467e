"""A model's predictions beside the truth, row by row."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.ml import targets
from shared.ml.metrics import measuring

Rows = targets.Values


@dataclasses.dataclass(frozen=True)
class Scored:
    """What a model says of rows whose truth is known.

    `truth` is as `metrics.measure` takes it, `classes` and `levels` as the model has them.
    """

    problem: measuring.Problem
    truth: targets.Values | None
    made: measuring.Predictions
    classes: list[targets.Label] | None = None
    levels: Sequence[float] = ()

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.made.prediction)

    def measure(self) -> dict[str, float]:
        """Compute every metric."""
        return measuring.measure(
            self.problem, truth=self.truth, made=self.made, classes=self.classes, levels=self.levels
        )

    def take(self, rows: Rows) -> "Scored":
        """Give some of the rows: their positions, which may come again, or a mask."""
        made: dict[str, Any] = {
            field.name: None if (values := getattr(self.made, field.name)) is None else values[rows]
            for field in dataclasses.fields(self.made)
        }
        return dataclasses.replace(
            self, truth=None if self.truth is None else self.truth[rows], made=measuring.Predictions(**made)
        )

    def coded(self) -> "Scored":
        """Put numbers in place of labels, in the order of the classes: all metrics stay, and are found faster."""
        if self.problem != "classification" or self.truth is None or not self.classes:
            return self
        places = {label: place for place, label in enumerate(self.classes)}

        def code(labels: targets.Values) -> targets.Values:
            return np.array([places[label] for label in labels.tolist()], dtype=np.int64)

        return dataclasses.replace(
            self,
            truth=code(self.truth),
            made=dataclasses.replace(self.made, prediction=code(self.made.prediction)),
            classes=list(range(len(self.classes))),
        )
