"""Converts columns from one type to another; values that can't be converted become missing."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from shared.ml import frames, times
from shared.ml.expression_functions import to_number, to_text

TRUE = frozenset({"true", "t", "yes", "y", "1"})
FALSE = frozenset({"false", "f", "no", "n", "0"})


def cast(values: pd.Series, *, from_type: str, to_type: str) -> pd.Series:
    """Convert a frame's column from one column type to another, with that type's dtype."""
    if to_type in frames.TEMPORAL:
        converted = _to_times(values, from_type)
        return converted.dt.normalize() if to_type == "date" else converted
    if to_type == "string":
        return _to_texts(values, from_type)
    converters: dict[str, Callable[[pd.Series], pd.Series]] = {"integer": _to_integers, "boolean": _to_booleans}
    return converters.get(to_type, _to_numbers)(values)


def _to_numbers(values: pd.Series) -> pd.Series:
    if values.dtype == object:
        return pd.Series(to_number(values.to_numpy()), index=values.index)
    if values.dtype == np.float64:
        return values
    # A time becomes the seconds since 1970.
    return (values - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)


def _to_integers(values: pd.Series) -> pd.Series:
    numbers = _to_numbers(values)
    return numbers.where(numbers == np.floor(numbers))


def _to_booleans(values: pd.Series) -> pd.Series:
    if values.dtype != object:
        numbers = _to_numbers(values)
        return numbers.where(numbers.isin([0.0, 1.0]))
    texts = values.str.strip().str.lower()
    booleans = np.where(texts.isin(TRUE), 1.0, np.where(texts.isin(FALSE), 0.0, np.nan))
    return pd.Series(booleans, index=values.index)


def _to_texts(values: pd.Series, from_type: str) -> pd.Series:
    if from_type == "date":
        days = values.dt.strftime("%Y-%m-%d").astype(object)
        return pd.Series(days.where(values.notna(), np.nan), dtype=object)
    array = times.to_utc(values) if from_type == "timestamp" else values.to_numpy()
    kind = {"string": "text", "boolean": "boolean", "timestamp": "time"}.get(from_type, "number")
    return pd.Series(to_text(array, kind), index=values.index, dtype=object)


def _to_times(values: pd.Series, from_type: str) -> pd.Series:
    if from_type in frames.TEMPORAL:
        return values
    if values.dtype == object:
        parsed = pd.to_datetime(values, errors="coerce", utc=True, format="ISO8601")
    else:
        parsed = pd.to_datetime(values, errors="coerce", utc=True, unit="s")
    return parsed.astype("datetime64[us, UTC]")
