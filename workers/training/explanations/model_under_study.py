"""The model under study: what explanations may fit again on some rows, and score on others."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from shared import scoring
from shared.ml import targets
from shared.training.estimators.spec import Problem

Values = targets.Values


@dataclasses.dataclass(frozen=True)
class ModelUnderStudy:
    """An experiment's rows and splits, and the functions that fit and score its model; rows are given by position.

    `fit` fits a fresh model on some rows. `score` computes a fitted model's metrics on a frame, which may have been
    changed, with the true values of the given rows.
    """

    problem: Problem
    frame: pd.DataFrame
    splits: list[tuple[Values, Values]]
    fit: Callable[[Values], Any]
    score: Callable[[Any, pd.DataFrame, Values], dict[str, float]]
    seed: int = 0

    def sample(self, rows: Values, *, most: int) -> Values:
        """Draw at most so many of the given rows, and keep their order."""
        if len(rows) <= most:
            return rows
        return np.sort(np.random.default_rng(self.seed).choice(rows, size=most, replace=False))


def choose_metric(problem: Problem, metrics: dict[str, float]) -> str:
    """Choose the metric that explanations use: the problem's default one, or the next that could be computed."""
    return next((name for name in scoring.METRICS[problem] if name in metrics), scoring.default_metric(problem))


def to_gain(problem: Problem, name: str, metrics: dict[str, float]) -> float:
    """Return a metric such that more is better, with errors negated; NaN when it is undefined on these rows."""
    value = metrics.get(name, np.nan)
    return value if scoring.greater_is_better(name, problem=problem) else -value
