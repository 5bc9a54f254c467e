"""The functions of the expression language, on whole columns.

Numbers and booleans are float64 (true is 1, missing is NaN), texts are objects (missing is NaN), times are
datetime64[us] in UTC (missing is NaT). Each takes columns, and plain values where the language asks for literals.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from shared import errors

Values = npt.NDArray[Any]

MAX_TEXT = 10_000
MAX_TEXTS = 1 << 28
DAY_SECONDS = 86_400


def known(values: Values) -> npt.NDArray[np.bool_]:
    """Say which values are not missing."""
    return np.asarray(~pd.isna(values), dtype=bool)


def finite(values: Values) -> Values:
    """Make numbers that are not finite missing, as everywhere in our tables."""
    return np.where(np.isfinite(values), values, np.nan)


def truth(answers: Any, *columns: Values) -> Values:
    """Give answers as 1 and 0, missing where one of the columns is."""
    there = np.logical_and.reduce([known(column) for column in columns])
    return np.where(there, np.asarray(answers, dtype=np.float64), np.nan)


def each(values: Values, work: Callable[[str], Any], *, empty: Any = np.nan, dtype: Any = object) -> Values:
    """Do something to every text that is there."""
    made = np.full(len(values), empty, dtype=dtype)
    for place in np.flatnonzero(known(values)):
        made[place] = work(values[place])
    return made


def coalesce(*columns: Values) -> Values:
    """Take the first column's values, and where they are missing the next one's."""
    made = columns[0].copy()
    for column in columns[1:]:
        made = np.where(known(made), made, column)
    return made


def either(condition: Values, yes: Values, no: Values) -> Values:
    """Take one column's values where a condition is true, and the other's where it is false or missing."""
    return np.where(condition == 1, yes, no)


def null_if(values: Values, others: Values) -> Values:
    """Make missing where both are there and equal."""
    both = known(values) & known(others)
    made = values.copy()
    made[both & (values == others)] = np.datetime64("NaT") if values.dtype.kind == "M" else np.nan
    return made


def rounded(values: Values, digits: int = 0) -> Values:
    """Round to so many digits."""
    return np.round(values, max(-300, min(digits, 300)))


def replace(values: Values, old: str, new: str) -> Values:
    """Put one text for another; the results' lengths are known before anything is made."""
    if not old:
        raise errors.BadRecipeError("replace needs a text of 1 character or more to look for")
    _require_short(len(text) + text.count(old) * (len(new) - len(old)) for text in values[known(values)])
    return each(values, lambda text: text.replace(old, new))


def concat(*columns: Values) -> Values:
    """Put texts one after the other."""
    there = np.logical_and.reduce([known(column) for column in columns])
    rows = np.flatnonzero(there)
    _require_short(sum(len(column[row]) for column in columns) for row in rows)
    made = np.full(len(there), np.nan, dtype=object)
    for row in rows:
        made[row] = "".join(column[row] for column in columns)
    return made


def _require_short(lengths: Any) -> None:
    total = 0
    for length in lengths:
        total += length
        if length > MAX_TEXT or total > MAX_TEXTS:
            raise errors.LimitExceededError(
                f"an expression would make a text of {length:,} characters, {total:,} in all; "
                f"at most {MAX_TEXT:,} and {MAX_TEXTS:,} are taken"
            )


def substring(values: Values, start: int, count: int) -> Values:
    """Take some characters, from a place counted from 1."""
    if start < 1 or count < 0:
        raise errors.BadRecipeError(f"substring takes a place from 1 on and a count from 0 on, not {start} and {count}")
    return each(values, lambda text: text[start - 1 : start - 1 + count])


def split_part(values: Values, separator: str, number: int) -> Values:
    """Take the nth part between separators, counted from 1; missing when there are fewer."""
    if number < 1:
        raise errors.BadRecipeError(f"split_part counts from 1, not {number}")

    def part(text: str) -> Any:
        parts = text.split(separator, number)
        return parts[number - 1] if len(parts) >= number else np.nan

    return each(values, part)


def to_number(values: Values) -> Values:
    """Read texts as numbers; missing when they are none."""
    return finite(pd.to_numeric(pd.Series(values, dtype=object), errors="coerce").to_numpy(dtype=np.float64))


def number_text(number: float) -> str:
    """Write a number; whole ones without a point."""
    return f"{int(number)}" if number == int(number) and abs(number) < 2**53 else f"{number!r}"


def to_text(values: Values, kind: str) -> Values:
    """Write values as texts: true and false, whole numbers without a point, times by ISO 8601 in UTC."""
    if kind == "text":
        return values
    if kind == "time":
        texts = np.datetime_as_string(values.astype("datetime64[us]"), timezone="UTC").astype(object)
        return np.where(known(values), texts, np.nan)
    made = np.full(len(values), np.nan, dtype=object)
    for place in np.flatnonzero(known(values)):
        made[place] = str(bool(values[place])).lower() if kind == "boolean" else number_text(float(values[place]))
    return made


def moment(text: str) -> np.datetime64:
    """Read a moment by ISO 8601; in UTC when it names no offset."""
    try:
        read = pd.Timestamp(text)
        read = read.tz_localize("UTC") if read.tzinfo is None else read.tz_convert("UTC")
        return np.datetime64(read.tz_localize(None), "us")
    except (ValueError, TypeError, OverflowError) as error:
        raise errors.BadRecipeError(f"{text!r} is no moment; write it like 2026-01-31T12:00:00Z") from error


def seconds_between(first: Values, second: Values) -> Values:
    """Count the seconds from one time to another."""
    return (second - first) / np.timedelta64(1, "s")


NUMBERS: dict[str, Callable[..., Values]] = {
    "abs": np.abs,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": rounded,
    "least": lambda *columns: np.minimum.reduce(columns),
    "greatest": lambda *columns: np.maximum.reduce(columns),
    "number": to_number,
    "days_between": lambda first, second: seconds_between(first, second) / DAY_SECONDS,
    "seconds_between": seconds_between,
    "length": lambda values: each(values, len, dtype=np.float64),
}
BOOLEANS: dict[str, Callable[..., Values]] = {
    "is_null": lambda values: np.asarray(~known(values), dtype=np.float64),
    "contains": lambda values, part: each(values, lambda text: part in text, dtype=np.float64),
    "starts_with": lambda values, part: each(values, lambda text: text.startswith(part), dtype=np.float64),
    "ends_with": lambda values, part: each(values, lambda text: text.endswith(part), dtype=np.float64),
}
OTHERS: dict[str, Callable[..., Values]] = {
    "coalesce": coalesce,
    "null_if": null_if,
    "where": either,
    "lower": lambda values: each(values, str.lower),
    "upper": lambda values: each(values, str.upper),
    "strip": lambda values: each(values, str.strip),
    "replace": replace,
    "substring": substring,
    "split_part": split_part,
    "concat": concat,
}
