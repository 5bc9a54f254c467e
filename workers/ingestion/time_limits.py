"""Finds the dates and times that no column can hold, and those that are finer than a microsecond."""

import datetime

import pyarrow as pa
import pyarrow.compute as pc

UNITS_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
EPOCH = datetime.date(1970, 1, 1)
FIRST_DAY, LAST_DAY = ((day - EPOCH).days for day in (datetime.date.min, datetime.date.max))
DAY_SECONDS = 86_400


def bounds(unit: str) -> tuple[int, int]:
    """Return the first and the last moment of the years 1 to 9999 in a unit of time since 1970."""
    units = UNITS_PER_SECOND[unit]
    return FIRST_DAY * DAY_SECONDS * units, (LAST_DAY + 1) * DAY_SECONDS * units - 1


class UnsupportedTimes:
    """Replaces a column's dates and times outside the years 1 to 9999 with missing values, and counts what changes."""

    def __init__(self, column: str) -> None:
        """Start with no times."""
        self._column = column
        self._unsupported = 0
        self._first_row = 0
        self._first = ""
        self._finer = 0

    def drop(self, times: pa.Array, first_row: int) -> pa.Array:
        """Return dates or times of which each is in the range, or missing; other arrays are returned as they are."""
        if (limits := _find_bounds(times.type)) is None:
            return times
        low, high = limits
        numbers = times.cast(pa.int32() if pa.types.is_date32(times.type) else pa.int64())
        extremes = pc.min_max(numbers)
        if extremes["min"].as_py() is None or (extremes["min"].as_py() >= low and extremes["max"].as_py() <= high):
            return times
        is_unsupported = pc.fill_null(pc.or_(pc.less(numbers, low), pc.greater(numbers, high)), fill_value=False)
        if not self._unsupported:
            position = pc.index(is_unsupported, value=True).as_py()
            self._first_row, self._first = first_row + position, str(times.cast(pa.string())[position])
        self._unsupported += pc.sum(is_unsupported).as_py()
        return pc.if_else(is_unsupported, pa.scalar(None, times.type), times)

    def count_finer(self, times: pa.Array) -> None:
        """Count the times that are finer than a microsecond."""
        if pa.types.is_timestamp(times.type) and times.type.unit == "ns":
            microseconds = times.cast(pa.timestamp("us", tz=times.type.tz), safe=False)
            self._finer += pc.sum(pc.not_equal(microseconds.cast(times.type), times)).as_py() or 0

    def notes(self) -> list[str]:
        """Describe what was changed."""
        notes = [describe_finer(self._column, self._finer)] if self._finer else []
        if self._unsupported:
            first = f" (first {self._first} in row {self._first_row:,})"
            notes.append(describe_unsupported(self._column, self._unsupported, first=first))
        return notes


def describe_finer(column: str, count: int, *, remedy: str = "; to keep them, give it the type 'string'") -> str:
    """Describe how many times of a column were cut."""
    return f"Column {column!r} holds {count:,} times finer than a microsecond, which were cut to microseconds{remedy}."


def describe_unsupported(
    column: str, count: int, *, first: str = "", remedy: str = " To keep them, give it the type 'string'."
) -> str:
    """Describe how many dates or times of a column are out of range."""
    return (
        f"Column {column!r} holds {count:,} dates or times that are not of the years 1 to 9999{first}; they were "
        f"stored as missing.{remedy}"
    )


def _find_bounds(arrow_type: pa.DataType) -> tuple[int, int] | None:
    if pa.types.is_date32(arrow_type):
        return FIRST_DAY, LAST_DAY
    if pa.types.is_date64(arrow_type):
        return bounds("ms")
    # Nanoseconds reach from 1677 to 2262.
    return bounds(arrow_type.unit) if pa.types.is_timestamp(arrow_type) and arrow_type.unit != "ns" else None
