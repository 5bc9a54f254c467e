"""How much a model depends on each column: how much worse it scores on rows with that column shuffled."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn import inspection

from shared import scoring
from shared.figures import curves, importances
from shared.ml import predictions, targets

# The most predictions that shuffling all columns may take; with many columns fewer rows are used.
MAX_PREDICTIONS = 50_000_000
MIN_ROWS = 10
Score = Callable[[Any, pd.DataFrame, targets.Values], dict[str, float]]
"""Computes a fitted model's metrics on a frame, which may have been changed, with the truth of rows by position."""


def limit_rows(settings: importances.PermutationImportance, *, columns: int) -> int:
    """Return the most rows that may be predicted once for each repeat of each column."""
    return max(MIN_ROWS, min(settings.max_rows, MAX_PREDICTIONS // (settings.repeats * columns)))


def sample_rows(rows: targets.Values, *, most: int, seed: int) -> targets.Values:
    """Draw at most so many of the given rows, and keep their order."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, size=most, replace=False))


def compute_importance(
    model: Any,
    frame: pd.DataFrame,
    rows: targets.Values,
    *,
    score: Score,
    problem: predictions.Problem,
    repeats: int,
    seed: int,
) -> importances.PermutationImportances:
    """Compute permutation importance of a frame's columns as scikit-learn does; `rows` are the rows' positions."""
    baseline = score(model, frame, rows)
    metric = scoring.choose_metric(baseline, problem=problem)

    def score_gain(fitted: Any, shuffled_frame: pd.DataFrame, positions: targets.Values) -> float:
        return scoring.to_gain(metric, score(fitted, shuffled_frame, positions), problem=problem)

    # scikit-learn passes the truth through to the scorer; the rows' positions take its place, so that `score` finds the
    # rows' weights as well.
    shuffled = inspection.permutation_importance(
        model, frame, rows, scoring=score_gain, n_repeats=repeats, random_state=seed
    )
    order = np.argsort(-shuffled.importances_mean, kind="stable")[: curves.MAX_FEATURES]
    return importances.PermutationImportances(
        metric=metric,
        baseline=scoring.to_gain(metric, baseline, problem=problem),
        rows=len(rows),
        columns=[
            importances.Importance(
                column=str(frame.columns[index]),
                mean=float(shuffled.importances_mean[index]),
                std=float(shuffled.importances_std[index]),
            )
            for index in order
        ],
    )
