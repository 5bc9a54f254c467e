"""Converts columns from one type to another; what can't be converted becomes missing."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from shared.ml import frames, times
from shared.ml.expression_functions import to_number, to_text

TRUE = frozenset({"true", "t", "yes", "y", "1"})
FALSE = frozenset({"false", "f", "no", "n", "0"})


def cast(values: pd.Series, *, kind: str, to: str) -> pd.Series:
    """Give a column of a frame, of the type `kind`, as another type, with that type's dtype."""
    if to in frames.TEMPORAL:
        made = _times(values, kind)
        return made.dt.normalize() if to == "date" else made
    if to == "string":
        return _texts(values, kind)
    makers: dict[str, Callable[[pd.Series], pd.Series]] = {"integer": _wholes, "boolean": _booleans}
    return makers.get(to, _numbers)(values)


def _numbers(values: pd.Series) -> pd.Series:
    if values.dtype == object:
        return pd.Series(to_number(values.to_numpy()), index=values.index)
    if values.dtype == np.float64:
        return values
    # A moment counts in seconds since 1970.
    return (values - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)


def _wholes(values: pd.Series) -> pd.Series:
    numbers = _numbers(values)
    return numbers.where(numbers == np.floor(numbers))


def _booleans(values: pd.Series) -> pd.Series:
    if values.dtype != object:
        numbers = _numbers(values)
        return numbers.where(numbers.isin([0.0, 1.0]))
    texts = values.str.strip().str.lower()
    made = np.where(texts.isin(TRUE), 1.0, np.where(texts.isin(FALSE), 0.0, np.nan))
    return pd.Series(made, index=values.index)


def _texts(values: pd.Series, kind: str) -> pd.Series:
    if kind == "date":
        days = values.dt.strftime("%Y-%m-%d").astype(object)
        return pd.Series(days.where(values.notna(), np.nan), dtype=object)
    held = times.in_utc(values) if kind == "timestamp" else values.to_numpy()
    sort = {"string": "text", "boolean": "boolean", "timestamp": "time"}.get(kind, "number")
    return pd.Series(to_text(held, sort), index=values.index, dtype=object)


def _times(values: pd.Series, kind: str) -> pd.Series:
    if kind in frames.TEMPORAL:
        return values
    if values.dtype == object:
        made = pd.to_datetime(values, errors="coerce", utc=True, format="ISO8601")
    else:
        made = pd.to_datetime(values, errors="coerce", utc=True, unit="s")
    return made.astype("datetime64[us, UTC]")
