"""How a model's predictions depend on single columns: partial dependence by brute force."""

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


def compute_partial_dependence(
    model: Any, frame: pd.DataFrame, *, columns: Sequence[str], points: int
) -> list[details.Dependence]:
    """Compute the mean prediction over a frame's rows while a column is set to each of some values in all of them.

    The values of a number are evenly spread from its 5 % to its 95 % quantile, or all its values where there are fewer
    than `points`, as in scikit-learn; those of a text are its 50 most common ones. Where values are missing, a missing
    value is tried as well.
    """
    require_columns(frame, columns=columns)
    return [dependence for column in columns for dependence in _compute_for_column(model, frame, column, points=points)]


def require_columns(frame: pd.DataFrame, *, columns: Sequence[str]) -> None:
    """Raise BadDataError for a column that the model doesn't learn from, or that holds times."""
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


def _compute_for_column(model: Any, frame: pd.DataFrame, column: str, *, points: int) -> list[details.Dependence]:
    grid = _choose_values(frame[column], points=points)
    means = np.asarray([_mean_prediction(model, frame, column, value) for value in grid])
    labels = _label_outputs(model, width=means.shape[1])
    values = [None if pd.isna(value) else value for value in grid]
    return [
        details.Dependence(column=column, values=values, label=label, means=means[:, index].tolist())
        for index, label in labels
    ]


def _choose_values(values: pd.Series, *, points: int) -> list[Any]:
    present = values.dropna()
    if values.dtype == object:
        grid = sorted(present.value_counts().index[:MAX_CATEGORIES])
    elif present.nunique() < points:
        grid = np.unique(present).tolist()
    else:
        low, high = mstats.mquantiles(present, PERCENTILES)
        grid = np.linspace(low, high, points).tolist()
    return [*grid, *([np.nan] if values.isna().any() else [])]


def _mean_prediction(model: Any, frame: pd.DataFrame, column: str, value: Any) -> targets.Values:
    changed = frame.copy(deep=False)
    changed[column] = pd.Series(value, index=frame.index, dtype=frame[column].dtype)
    predicted = np.asarray(_predict(model, changed), dtype=np.float64)
    means: targets.Values = predicted.reshape(len(predicted), -1).mean(axis=0)
    return means


def _predict(model: Any, frame: pd.DataFrame) -> Any:
    """Predict probabilities, or else decisions, or else numbers; for two classes those of the second."""
    if hasattr(model, "predict_proba"):
        probabilities = model.predict_proba(frame)
        return probabilities[:, 1:] if probabilities.shape[1] == 2 else probabilities
    return model.decision_function(frame) if hasattr(model, "decision_function") else model.predict(frame)


def _label_outputs(model: Any, *, width: int) -> list[tuple[int, targets.Label | None]]:
    """List the output columns to report, as indices, each with its class."""
    if not hasattr(model, "classes_"):
        return [(index, None) for index in range(min(width, details.MAX_CURVES))]
    classes = targets.to_json(np.asarray(model.classes_))
    if len(classes) == 2:
        return [(0, classes[1])]
    return list(enumerate(classes[: min(width, details.MAX_CURVES)]))
