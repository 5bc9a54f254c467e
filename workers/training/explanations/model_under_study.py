"""The model under study: what explanations may fit again on some rows, and score on others."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pandas as pd

from shared.ml import targets
from shared.ml.metrics import importance
from shared.training.estimators.spec import Problem

Values = targets.Values


@dataclasses.dataclass(frozen=True)
class ModelUnderStudy:
    """An experiment's rows and splits, and the functions that fit and score its model; rows are given by position.

    `fit` fits a fresh model on some rows. `score` computes a fitted model's metrics on a frame, which may have been
    changed, with the true values of the given rows. `positive` is the positive one of two classes.
    """

    problem: Problem
    frame: pd.DataFrame
    splits: list[tuple[Values, Values]]
    fit: Callable[[Values], Any]
    score: Callable[[Any, pd.DataFrame, Values], dict[str, float]]
    seed: int = 0
    positive: targets.Label | None = None

    def sample(self, rows: Values, *, most: int) -> Values:
        """Draw at most so many of the given rows, and keep their order."""
        return importance.sample_rows(rows, most=most, seed=self.seed)
