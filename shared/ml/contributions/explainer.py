"""What each column of a row adds to what a model predicts for it."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn import pipeline

from shared import errors
from shared.ml import encoders, integers, targets
from shared.ml.contributions import margins, origins

Values = targets.Values
PROBLEMS = ("classification", "regression")
_CELLS = 1 << 21
"""So many numbers are computed at a time."""


@dataclasses.dataclass(frozen=True)
class Contributions:
    """What columns add to the margin of some rows: `bias` and a row's `values` together are its margin."""

    columns: list[str]
    """A column that the model is made of, or several, joined by `+`, where a step of the recipe mixes them."""
    values: Values
    """(rows, columns)."""
    bias: Values
    """(rows,): the margin without what the columns add."""
    scale: margins.Scale


class Explainer:
    """Takes what a model predicts apart; from any thread."""

    def __init__(self, model: pipeline.Pipeline, *, problem: str, columns: Sequence[str]) -> None:
        """Look at a fitted pipeline of these columns; BadModelError, which says why, where it can't be taken apart."""
        if problem not in PROBLEMS:
            raise errors.BadModelError(f"models of the problem {problem} aren't taken apart into columns")
        self._recipe, estimator = model[:-1], model[-1]
        self._margin = margins.find_margin(estimator)
        traced = origins.trace_features(self._recipe, columns)
        expected = int(estimator.n_features_in_)
        if len(traced) != expected:
            raise errors.BadModelError(f"{len(traced)} features were traced to columns, but the model has {expected}")
        place = {name: index for index, name in enumerate(columns)}
        groups = sorted(set(traced), key=lambda origin: sorted(map(place.__getitem__, origin)))
        self.columns = ["+".join(sorted(group, key=place.__getitem__)) for group in groups]
        """The columns of the contributions, in the order in which the model takes them."""
        classes = targets.to_json(np.asarray(model.classes_)) if problem == "classification" else []
        self._classes = {label: index for index, label in enumerate(classes)}
        number = {group: index for index, group in enumerate(groups)}
        group_of = np.array([number[origin] for origin in traced], dtype=np.intp)
        self._order = np.argsort(group_of, kind="stable")
        self._starts = np.searchsorted(group_of[self._order], np.arange(len(groups)))
        self._rows = max(1, _CELLS // (max(1, len(traced)) * self._margin.outputs))

    @property
    def labels(self) -> list[targets.Label]:
        """The classes, in the order of their probabilities; none for numbers."""
        return list(self._classes)

    def explain(self, frame: pd.DataFrame, labels: list[Any]) -> Contributions:
        """Take the margin of a frame's rows apart: for classes that of each row's label, else that of the number.

        The frame is as `signatures.conform` makes it. BadDataError for rows that the model can't take.
        """
        classes = np.array([self._classes[label] for label in labels] if self._classes else [0] * len(labels), np.intp)
        try:
            with integers.ignore_rounding():
                features = np.asarray(encoders.transform(self._recipe, frame), dtype=np.float64)
                parts = [
                    self._explain_some(features[start : start + self._rows], classes[start : start + self._rows])
                    for start in range(0, len(features), self._rows)
                ]
        except ValueError as error:
            raise errors.BadDataError(f"the model can't take this data: {error}") from error
        values, bias = (np.concatenate(each) for each in zip(*parts, strict=True))
        return Contributions(self.columns, values, bias, self._margin.scale)

    def _explain_some(self, features: Values, classes: Values) -> tuple[Values, Values]:
        values, bias = self._margin.compute(features, classes)
        return np.add.reduceat(values[:, self._order], self._starts, axis=1), bias
