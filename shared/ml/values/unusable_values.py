"""Locates values that a model or a recipe can't take: those that are missing or infinite where they are not allowed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn import base, compose, pipeline

from shared import errors
from shared.ml import row_numbers

MAX_COLUMNS = 20
_FAILURES = (errors.MillraceError, ValueError, TypeError, AttributeError, LookupError)
Apply = Callable[[Any, pd.DataFrame], pd.DataFrame]


def describe_in_prediction(model: Any, frame: pd.DataFrame, error: BaseException) -> str:
    """Describe which columns a fitted model's error is about, each with its first row; '' for any other error."""
    return _describe(model, frame, error, apply=lambda step, part: _to_frame(step, step.transform(part), part))


def describe_in_fitting(model: Any, frame: pd.DataFrame, target: Any, error: BaseException) -> str:
    """Describe which columns an error in fitting is about, each with its first row; '' for any other error."""

    def apply(step: Any, part: pd.DataFrame) -> pd.DataFrame:
        unfitted = base.clone(step)
        return _to_frame(unfitted, unfitted.fit_transform(part, target), part)

    return _describe(model, frame, error, apply=apply)


def _describe(model: Any, frame: pd.DataFrame, error: BaseException, *, apply: Apply) -> str:
    """Describe the columns that reach the step that fails: those whose missing values are filled are not among them."""
    is_missing = "NaN" in f"{error}"
    if not is_missing and "infinity" not in f"{error}":
        return ""
    try:
        reaching = _find_input(model, frame, apply)
    except _FAILURES:
        return ""
    unusable = reaching.isna() if is_missing else reaching.isin([np.inf, -np.inf])
    found = [
        f"{str(name)!r} (first in {row_numbers.name_first(reaching[mask].sort_index())})"
        for name, mask in unusable.items()
        if mask.any()
    ]
    kind = "missing" if is_missing else "infinite"
    return f"can't take {kind} values, but there are some in {', '.join(found[:MAX_COLUMNS])}" if found else ""


def _find_input(step: Any, frame: pd.DataFrame, apply: Apply) -> pd.DataFrame:
    """Find what is passed to the step that fails, by applying one after the other."""
    if isinstance(step, pipeline.Pipeline):
        for _, inner in step.steps[:-1]:
            try:
                result = apply(inner, frame)
            except _FAILURES:
                return _find_input(inner, frame, apply)
            frame = result
        return _find_input(step.steps[-1][1], frame, apply)
    if isinstance(step, compose.ColumnTransformer):
        for part, columns in _list_parts(step, frame):
            try:
                apply(part, columns)
            except _FAILURES:
                return _find_input(part, columns, apply)
    return frame


def _list_parts(step: compose.ColumnTransformer, frame: pd.DataFrame) -> list[tuple[Any, pd.DataFrame]]:
    parts = []
    for _, part, columns in getattr(step, "transformers_", step.transformers):
        chosen = columns(frame) if callable(columns) else columns
        if not isinstance(part, str):
            has_names = all(isinstance(name, str) for name in chosen)
            parts.append((part, frame[list(chosen)] if has_names else frame.iloc[:, list(chosen)]))
    return parts


def _to_frame(step: Any, features: Any, frame: pd.DataFrame) -> pd.DataFrame:
    if isinstance(features, pd.DataFrame):
        return features
    return pd.DataFrame(features, index=frame.index, columns=step.get_feature_names_out())
