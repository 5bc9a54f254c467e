"""Which of our types an Arrow type becomes, and how, with the reason wherever something changes."""

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shared import contract, errors
from shared.ml import frames
from workers.ingestion import conversion, values

INSTANT = frames.PHYSICAL_TYPES["timestamp"]
SECOND_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
# A decimal of so many digits comes out of a float64 as it went in.
EXACT_DIGITS = 15


def natural_type(kind: pa.DataType) -> tuple[contract.ColumnType, str]:
    """Give our type for a type of Parquet, and what is changed by it in words (empty when nothing is)."""
    tests: list[tuple[Callable[[Any], bool], contract.ColumnType, str]] = [
        (pa.types.is_boolean, "boolean", ""),
        (pa.types.is_integer, "integer", ""),
        (pa.types.is_floating, "number", ""),
        (pa.types.is_date, "date", ""),
        (pa.types.is_timestamp, "timestamp", _timestamp_change(kind)),
        (pa.types.is_string, "string", ""),
        (pa.types.is_large_string, "string", ""),
        (pa.types.is_string_view, "string", ""),
        (pa.types.is_null, "string", "has no values and is stored as text"),
        (pa.types.is_decimal, "number", _decimal_change(kind)),
        (pa.types.is_duration, "number", "holds durations, which are stored as seconds"),
        (pa.types.is_time, "string", "holds times of day, which are stored as text"),
        (pa.types.is_binary, "string", "holds bytes, which are stored as UTF-8 text"),
        (pa.types.is_large_binary, "string", "holds bytes, which are stored as UTF-8 text"),
        (pa.types.is_fixed_size_binary, "string", "holds bytes, which are stored as UTF-8 text"),
        (pa.types.is_nested, "string", "holds lists or structures, which are stored as JSON text"),
    ]
    for test, ours, change in tests:
        if test(kind):
            return ours, change
    raise errors.BadDataError(f"holds {kind}, which Millrace has no type for; store it as a number, text or time")


def to_natural(array: pa.Array) -> pa.Array:
    """Convert to our type; pa.ArrowInvalid when a value does not fit it."""
    kind = array.type
    if pa.types.is_integer(kind):
        return array.cast(pa.int64())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return array.cast(pa.float64())
    if pa.types.is_date(kind):
        return array.cast(pa.date32())
    if pa.types.is_timestamp(kind):
        # Nanoseconds are cut off, which a note says; coarser units must fit.
        return array.cast(pa.timestamp("us", tz=kind.tz), safe=kind.unit != "ns").cast(INSTANT)
    if pa.types.is_duration(kind):
        return pc.divide(array.cast(pa.int64()).cast(pa.float64(), safe=False), float(SECOND_UNITS[kind.unit]))
    if pa.types.is_nested(kind):
        return pa.array([None if value is None else _to_json(value) for value in array.to_pylist()], pa.string())
    return array.cast(pa.string())


class ArrowConversion:
    """One column of a Parquet file on its way to its type."""

    def __init__(self, column: str, *, source: pa.DataType, given: contract.ColumnType | None) -> None:
        """Convert values of the Arrow type `source` to the type given, or else to the natural one."""
        self._column = column
        natural, change = natural_type(source)
        self.kind = given or natural
        self._natural = natural
        self._change = change if given in (None, natural) else ""
        self._finite = conversion.FiniteNumbers(column)
        self._cut = False

    def convert(self, array: pa.Array, first_row: int) -> pa.Array:
        """Convert the next values; BadDataError names the row and value that does not fit."""
        try:
            converted = self._convert(array)
        except pa.ArrowInvalid as error:
            position = self._first_misfit(array)
            raise conversion.misfit(
                str(array[position].as_py()), column=self._column, kind=self.kind, place=f"Row {first_row + position:,}"
            ) from error
        if self.kind == "timestamp" and not self._cut:
            self._cut = _has_nanoseconds(array)
        return self._finite.keep(converted, first_row) if self.kind == "number" else converted

    def notes(self) -> list[str]:
        """Say what the conversion changed."""
        changed = [f"Column {self._column!r} {self._change}."] if self._change else []
        cut = [f"Column {self._column!r} holds times finer than a microsecond, which were cut."] if self._cut else []
        return changed + cut + self._finite.notes()

    def _convert(self, array: pa.Array) -> pa.Array:
        if self.kind == "string" and not pa.types.is_nested(array.type):
            return array.cast(pa.string())
        natural = to_natural(array)
        if self.kind == self._natural:
            return natural
        if self._natural in ("integer", "number") and self.kind in ("integer", "number"):
            return natural.cast(frames.PHYSICAL_TYPES[self.kind], safe=self.kind == "integer")
        return values.to_type(natural.cast(pa.string()), self.kind)

    def _first_misfit(self, array: pa.Array) -> int:
        low, high = 0, len(array)
        while high - low > 1:
            middle = (low + high) // 2
            try:
                self._convert(array.slice(low, middle - low))
            except pa.ArrowInvalid:
                high = middle
            else:
                low = middle
        return low


def _has_nanoseconds(array: pa.Array) -> bool:
    if not pa.types.is_timestamp(array.type) or array.type.unit != "ns":
        return False
    microseconds = array.cast(pa.timestamp("us", tz=array.type.tz), safe=False)
    return bool(pc.any(pc.not_equal(microseconds.cast(array.type), array)).as_py())


def _timestamp_change(kind: pa.DataType) -> str:
    without_offset = pa.types.is_timestamp(kind) and kind.tz is None
    return "holds times without an offset, which were read as UTC" if without_offset else ""


def _decimal_change(kind: pa.DataType) -> str:
    if not pa.types.is_decimal(kind) or kind.precision <= EXACT_DIGITS:
        return ""
    return (
        f"holds decimals of up to {kind.precision} digits, of which a number keeps about 16; "
        "give it the type 'string' to keep all"
    )


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
