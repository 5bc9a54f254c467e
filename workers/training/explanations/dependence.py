"""How a model's predictions follow single columns: partial dependence, by predicting (brute force)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import mstats

from shared import errors
from shared.ml import frames, targets
from shared.training import details

PERCENTILES = (0.05, 0.95)
MAX_CATEGORIES = 50


def partial_dependence(
    model: Any, frame: pd.DataFrame, *, columns: Sequence[str], points: int
) -> list[details.Dependence]:
    """Give the mean prediction over a frame's rows while a column has each of some values in all of them.

    A number takes evenly spread values from its 5 % to its 95 % quantile, or all its values where there are fewer than
    `points`, as in scikit-learn; text takes its commonest 50 values. A missing value is one more where there are any.
    """
    require(frame, columns=columns)
    return [made for column in columns for made in _of_column(model, frame, column, points=points)]


def require(frame: pd.DataFrame, *, columns: Sequence[str]) -> None:
    """Raise BadDataError for a column that the model doesn't learn from, or that has no values to be tried."""
    pointer = "#/params/explain/partial_dependence/columns"
    for column in columns:
        if column not in frame:
            absent = frames.describe_absent(column, present=frame.columns)
            raise errors.BadDataError(f"partial dependence: the model learns from no {absent}", pointer=pointer)
        if isinstance(frame[column].dtype, pd.DatetimeTZDtype):
            raise errors.BadDataError(
                f"partial dependence is for numbers, booleans and text, but column {column!r} holds times",
                pointer=pointer,
            )


def _of_column(model: Any, frame: pd.DataFrame, column: str, *, points: int) -> list[details.Dependence]:
    grid = _grid(frame[column], points=points)
    means = np.asarray([_mean(model, frame, column, value) for value in grid])
    labels = _labels(model, width=means.shape[1])
    values = [None if pd.isna(value) else value for value in grid]
    return [
        details.Dependence(column=column, values=values, label=label, means=means[:, place].tolist())
        for place, label in labels
    ]


def _grid(values: pd.Series, *, points: int) -> list[Any]:
    known = values.dropna()
    if values.dtype == object:
        grid = sorted(known.value_counts().index[:MAX_CATEGORIES])
    elif known.nunique() < points:
        grid = np.unique(known).tolist()
    else:
        low, high = mstats.mquantiles(known, PERCENTILES)
        grid = np.linspace(low, high, points).tolist()
    return [*grid, *([np.nan] if values.isna().any() else [])]


def _mean(model: Any, frame: pd.DataFrame, column: str, value: Any) -> targets.Values:
    changed = frame.copy(deep=False)
    changed[column] = pd.Series(value, index=frame.index, dtype=frame[column].dtype)
    said = np.asarray(_predict(model, changed), dtype=np.float64)
    means: targets.Values = said.reshape(len(said), -1).mean(axis=0)
    return means


def _predict(model: Any, frame: pd.DataFrame) -> Any:
    """Give probabilities, or decisions, or numbers, whichever comes first; for two classes those of the last."""
    if hasattr(model, "predict_proba"):
        said = model.predict_proba(frame)
        return said[:, 1:] if said.shape[1] == 2 else said
    return model.decision_function(frame) if hasattr(model, "decision_function") else model.predict(frame)


def _labels(model: Any, *, width: int) -> list[tuple[int, targets.Label | None]]:
    """Give the columns to tell of, each with the class that it is for."""
    if not hasattr(model, "classes_"):
        return [(place, None) for place in range(min(width, details.MAX_CURVES))]
    classes = targets.to_json(np.asarray(model.classes_))
    if len(classes) == 2:
        return [(0, classes[1])]
    return list(enumerate(classes[: min(width, details.MAX_CURVES)]))
