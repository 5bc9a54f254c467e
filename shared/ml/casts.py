"""Converts columns from one type to another; values that can't be converted become missing."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from shared.ml import frames, integers, times
from shared.ml.expression_functions import to_number, to_text

TRUE = frozenset({"true", "t", "yes", "y", "1"})
FALSE = frozenset({"false", "f", "no", "n", "0"})


def cast(values: pd.Series, *, from_type: str, to_type: str) -> pd.Series:
    """Convert a frame's column from one column type to another, with that type's dtype.

    Integers are exact as far as 64 bits go; beyond that they can't be converted.
    """
    if to_type in frames.TEMPORAL:
        converted = _to_times(values, from_type)
        return converted.dt.normalize() if to_type == "date" else converted
    if to_type == "string":
        return _to_texts(values, from_type)
    converters: dict[str, Callable[[pd.Series], pd.Series]] = {"integer": _to_integers, "boolean": _to_booleans}
    return converters.get(to_type, _to_numbers)(values)


def _to_numbers(values: pd.Series) -> pd.Series:
    if values.dtype == object:
        numbers = integers.round_to_floats(to_number(values.to_numpy()), name="cast")
        return pd.Series(numbers, index=values.index)
    if integers.is_exact(values):
        return pd.Series(integers.round_to_floats(integers.to_objects(values), name="cast"), index=values.index)
    if values.dtype == np.float64:
        return values
    # A time becomes the seconds since 1970.
    return (values - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)


def _to_integers(values: pd.Series) -> pd.Series:
    if integers.is_exact(values):
        return values
    if values.dtype == object:
        numbers = pd.Series(to_number(values.to_numpy()), index=values.index)
    else:
        numbers = _to_numbers(values)
    floats = numbers.astype(np.float64)
    whole = numbers.where(floats == np.floor(floats))
    return (
        integers.from_objects(whole.to_numpy(), index=values.index) if (abs(floats) >= integers.LIMIT).any() else whole
    )


def _to_booleans(values: pd.Series) -> pd.Series:
    if values.dtype != object:
        numbers = _to_numbers(integers.to_floats(values))
        return numbers.where(numbers.isin([0.0, 1.0]))
    texts = values.str.strip().str.lower()
    booleans = np.where(texts.isin(TRUE), 1.0, np.where(texts.isin(FALSE), 0.0, np.nan))
    return pd.Series(booleans, index=values.index)


def _to_texts(values: pd.Series, from_type: str) -> pd.Series:
    if from_type == "date":
        days = values.dt.strftime("%Y-%m-%d").astype(object)
        return pd.Series(days.where(values.notna(), np.nan), dtype=object)
    array = times.to_utc(values) if from_type == "timestamp" else values.to_numpy()
    if integers.is_exact(values):
        array = integers.to_objects(values)
    kind = {"string": "text", "boolean": "boolean", "timestamp": "time"}.get(from_type, "number")
    return pd.Series(to_text(array, kind), index=values.index, dtype=object)


def _to_times(values: pd.Series, from_type: str) -> pd.Series:
    if from_type in frames.TEMPORAL:
        return values
    if values.dtype == object:
        parsed = pd.to_datetime(values, errors="coerce", utc=True, format="ISO8601")
    else:
        parsed = pd.to_datetime(integers.to_floats(values), errors="coerce", utc=True, unit="s")
    return parsed.astype("datetime64[us, UTC]")
