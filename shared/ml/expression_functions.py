"""The functions of the expression language, on whole columns.

Numbers and booleans are float64 (true is 1, missing is NaN), texts are objects (missing is NaN), times are
datetime64[us] in UTC (missing is NaT). Numbers may be objects too, Python's integers and floats, where some are whole
and from 2^53 on, so that float64 would merge them. Each takes columns, and plain values where the language requires
literals.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from shared import errors
from shared.ml import integers

Values = npt.NDArray[Any]

MAX_TEXT = 10_000
MAX_TEXTS = 1 << 28
DAY_SECONDS = 86_400


def is_present(values: Values) -> npt.NDArray[np.bool_]:
    """Return which values are not missing."""
    return np.asarray(~pd.isna(values), dtype=bool)


def keep_finite(values: Values) -> Values:
    """Make infinite numbers missing, as everywhere in our tables."""
    if values.dtype == object:
        return values
    return np.where(np.isfinite(values), values, np.nan)


def to_truth(results: Any, *columns: Values) -> Values:
    """Convert Python booleans to 1 and 0, missing where one of the columns that they were computed from is."""
    present = np.logical_and.reduce([is_present(column) for column in columns])
    return np.where(present, np.asarray(results, dtype=np.float64), np.nan)


def map_texts(values: Values, function: Callable[[str], Any], *, dtype: Any = object) -> Values:
    """Call a function with every text that is not missing."""
    results = np.full(len(values), np.nan, dtype=dtype)
    for index in np.flatnonzero(is_present(values)):
        results[index] = function(values[index])
    return results


def coalesce(*columns: Values) -> Values:
    """Take the first column's values, and where they are missing the next one's."""
    result = columns[0].copy()
    for column in columns[1:]:
        result = np.where(is_present(result), result, column)
    return result


def choose(condition: Values, yes: Values, no: Values) -> Values:
    """Take one column's values where a condition is true, and the other's where it is false or missing."""
    return np.where(condition == 1, yes, no)


def null_if(values: Values, others: Values) -> Values:
    """Make values missing that are present on both sides and equal."""
    both = is_present(values) & is_present(others)
    result = values.copy()
    result[both & (values == others)] = np.datetime64("NaT") if values.dtype.kind == "M" else np.nan
    return result


def round_digits(values: Values, digits: int = 0) -> Values:
    """Round to this many digits."""
    return np.round(values, max(-300, min(digits, 300)))


def replace(values: Values, old: str, new: str) -> Values:
    """Replace a text within texts; the lengths of the results are checked before they are made."""
    if not old:
        raise errors.BadRecipeError("replace needs a text of 1 character or more to look for")
    _require_short(len(text) + text.count(old) * (len(new) - len(old)) for text in values[is_present(values)])
    return map_texts(values, lambda text: text.replace(old, new))


def concat(*columns: Values) -> Values:
    """Concatenate texts."""
    present = np.logical_and.reduce([is_present(column) for column in columns])
    rows = np.flatnonzero(present)
    _require_short(sum(len(column[row]) for column in columns) for row in rows)
    result = np.full(len(present), np.nan, dtype=object)
    for row in rows:
        result[row] = "".join(column[row] for column in columns)
    return result


def _require_short(lengths: Any) -> None:
    total = 0
    for length in lengths:
        total += length
        if length > MAX_TEXT or total > MAX_TEXTS:
            raise errors.LimitExceededError(
                f"an expression would make a text of {length:,} characters, {total:,} in all; "
                f"at most {MAX_TEXT:,} and {MAX_TEXTS:,} are allowed"
            )


def substring(values: Values, start: int, count: int) -> Values:
    """Take this many characters, from a position counted from 1."""
    if start < 1 or count < 0:
        raise errors.BadRecipeError(
            f"substring takes a position of 1 or more and a count of 0 or more, not {start} and {count}"
        )
    return map_texts(values, lambda text: text[start - 1 : start - 1 + count])


def split_part(values: Values, separator: str, number: int) -> Values:
    """Take the nth part between separators, counted from 1; missing when there are fewer."""
    if number < 1:
        raise errors.BadRecipeError(f"split_part counts from 1, not {number}")

    def part(text: str) -> Any:
        parts = text.split(separator, number)
        return parts[number - 1] if len(parts) >= number else np.nan

    return map_texts(values, part)


def to_number(values: Values) -> Values:
    """Read texts as numbers; missing when they are none."""
    numbers = keep_finite(pd.to_numeric(pd.Series(values, dtype=object), errors="coerce").to_numpy(dtype=np.float64))
    return integers.parse(values, numbers)


def format_number(number: float) -> str:
    """Format a number; whole ones without a decimal point."""
    if isinstance(number, int):
        return f"{number}"
    return f"{int(number)}" if number == int(number) and abs(number) < 2**53 else f"{number!r}"


def _to_plain(number: Any) -> int | float:
    return number if isinstance(number, int) else float(number)


def to_text(values: Values, kind: str) -> Values:
    """Format values as texts: true and false, whole numbers without a decimal point, times by ISO 8601 in UTC."""
    if kind == "text":
        return values
    if kind == "time":
        texts = np.datetime_as_string(values.astype("datetime64[us]"), timezone="UTC").astype(object)
        return np.where(is_present(values), texts, np.nan)
    result = np.full(len(values), np.nan, dtype=object)
    for index in np.flatnonzero(is_present(values)):
        value = values[index]
        result[index] = str(bool(value)).lower() if kind == "boolean" else format_number(_to_plain(value))
    return result


def parse_time(text: str) -> np.datetime64:
    """Parse a time by ISO 8601; in UTC when it has no offset."""
    try:
        time = pd.Timestamp(text)
        time = time.tz_localize("UTC") if time.tzinfo is None else time.tz_convert("UTC")
        return np.datetime64(time.tz_localize(None), "us")
    except (ValueError, TypeError, OverflowError) as error:
        raise errors.BadRecipeError(f"{text!r} is not a time; write it like 2026-01-31T12:00:00Z") from error


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
    "round": round_digits,
    "least": lambda *columns: np.minimum.reduce(columns),
    "greatest": lambda *columns: np.maximum.reduce(columns),
    "number": to_number,
    "days_between": lambda first, second: seconds_between(first, second) / DAY_SECONDS,
    "seconds_between": seconds_between,
    "length": lambda values: map_texts(values, len, dtype=np.float64),
}
BOOLEANS: dict[str, Callable[..., Values]] = {
    "is_null": lambda values: np.asarray(~is_present(values), dtype=np.float64),
    "contains": lambda values, part: map_texts(values, lambda text: part in text, dtype=np.float64),
    "starts_with": lambda values, part: map_texts(values, lambda text: text.startswith(part), dtype=np.float64),
    "ends_with": lambda values, part: map_texts(values, lambda text: text.endswith(part), dtype=np.float64),
}
OTHERS: dict[str, Callable[..., Values]] = {
    "coalesce": coalesce,
    "null_if": null_if,
    "where": choose,
    "lower": lambda values: map_texts(values, str.lower),
    "upper": lambda values: map_texts(values, str.upper),
    "strip": lambda values: map_texts(values, str.strip),
    "replace": replace,
    "substring": substring,
    "split_part": split_part,
    "concat": concat,
}
