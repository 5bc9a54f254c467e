"""How a model's predictions depend on single columns: partial dependence by brute force."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import mstats

from shared import errors
from shared.figures import curves
from shared.ml import frames, integers, targets
from shared.training import details

PERCENTILES = (0.05, 0.95)
MAX_CATEGORIES = 50


def compute_partial_dependence(
    model: Any,
    frame: pd.DataFrame,
    *,
    columns: Sequence[str],
    points: int,
    positive: targets.Label | None = None,
) -> list[details.Dependence]:
    """Compute the mean prediction over a frame's rows while a column is set to each of some values in all of them.

    The values of a number are evenly spread from its 5 % to its 95 % quantile, or all its values where there are fewer
    than `points`, as in scikit-learn; those of a text are its 50 most common ones. Where values are missing, a missing
    value is tried as well. Of two classes it is the positive one's, by default the second's.
    """
    require_columns(frame, columns=columns)
    outputs = _list_outputs(model, positive)
    return [
        dependence
        for column in columns
        for dependence in _compute_for_column(model, frame, column, points=points, outputs=outputs)
    ]


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


def _compute_for_column(
    model: Any, frame: pd.DataFrame, column: str, *, points: int, outputs: list[tuple[int, targets.Label | None]] | None
) -> list[details.Dependence]:
    grid = _choose_values(frame[column], points=points)
    means = np.asarray([_mean_prediction(model, frame, column, value) for value in grid])
    values = [None if pd.isna(value) else value for value in grid]
    return [
        details.Dependence(column=column, values=values, label=label, means=means[:, index].tolist())
        for index, label in (outputs or [(index, None) for index in range(means.shape[1])])[: curves.MAX_CURVES]
        if index < means.shape[1]
    ]


def _choose_values(values: pd.Series, *, points: int) -> list[Any]:
    present = values.dropna()
    if values.dtype == object:
        grid = sorted(present.value_counts().index[:MAX_CATEGORIES])
    elif present.nunique() < points:
        grid = np.unique(present.to_numpy()).tolist()
    else:
        low, high = mstats.mquantiles(integers.to_floats(present), PERCENTILES)
        grid = np.linspace(low, high, points).tolist()
    return [*grid, *([np.nan] if values.isna().any() else [])]


def _mean_prediction(model: Any, frame: pd.DataFrame, column: str, value: Any) -> targets.Values:
    changed = frame.copy(deep=False)
    dtype = np.float64 if isinstance(value, float) and integers.is_exact(frame[column]) else frame[column].dtype
    changed[column] = pd.Series(value, index=frame.index, dtype=dtype)
    predicted = np.asarray(_predict(model, changed), dtype=np.float64)
    means: targets.Values = predicted.reshape(len(predicted), -1).mean(axis=0)
    return means


def _predict(model: Any, frame: pd.DataFrame) -> Any:
    """Predict probabilities, or else decisions with a column for each class, or else numbers."""
    if hasattr(model, "predict_proba"):
        return model.predict_proba(frame)
    if not hasattr(model, "decision_function"):
        return model.predict(frame)
    decision = np.asarray(model.decision_function(frame))
    return np.column_stack([-decision, decision]) if decision.ndim == 1 else decision


def _list_outputs(model: Any, positive: targets.Label | None) -> list[tuple[int, targets.Label | None]] | None:
    """List the outputs to report, as indices, each with its class; None for a model without classes."""
    if not hasattr(model, "classes_"):
        return None
    classes = targets.to_json(np.asarray(model.classes_))
    if len(classes) != 2:
        return list(enumerate(classes))
    index = 1 if positive is None else classes.index(positive)
    return [(index, classes[index])]
