"""What an explanation may do with a model: fit it on some rows, and score a fitted one on others."""

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
class Lab:
    """The rows of an experiment with what may be done on them; rows are given by their places.

    `learn` fits a fresh model on some rows. `score` gives a fitted model's metrics on a frame, which may have been
    changed, whose truth is that of some rows.
    """

    problem: Problem
    frame: pd.DataFrame
    parts: list[tuple[Values, Values]]
    learn: Callable[[Values], Any]
    score: Callable[[Any, pd.DataFrame, Values], dict[str, float]]
    seed: int = 0

    def sample(self, rows: Values, *, most: int) -> Values:
        """Draw at most so many of some rows, in their order."""
        if len(rows) <= most:
            return rows
        return np.sort(np.random.default_rng(self.seed).choice(rows, size=most, replace=False))


def main_metric(problem: Problem, found: dict[str, float]) -> str:
    """Name the metric that explanations go by: the problem's usual one, or the next that could be computed."""
    return next((name for name in scoring.METRICS[problem] if name in found), scoring.default_metric(problem))


def gain(problem: Problem, name: str, found: dict[str, float]) -> float:
    """Give a metric so that more is better, errors negative; NaN when it is undefined on these rows."""
    value = found.get(name, np.nan)
    return value if scoring.greater_is_better(name, problem=problem) else -value
