"""Converts columns of Arrow types to the column types of datasets, and notes what changes."""

import json
from collections.abc import Callable
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from shared import contract, errors
from shared.ml import frames
from workers.ingestion import conversion, decimals, values

TIMESTAMP = frames.PHYSICAL_TYPES["timestamp"]
UNITS_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
WIDE_INTEGERS = (
    "holds whole numbers beyond 64 bits and is stored as text; to calculate with about 16 of their digits, "
    "give it the type 'number'"
)
NUMERIC_TYPES = frozenset({"integer", "number"})


def choose_natural_type(arrow_type: pa.DataType) -> tuple[contract.ColumnType, str]:
    """Choose the column type for an Arrow type, and describe what the conversion changes (empty when nothing)."""
    tests: list[tuple[Callable[[Any], bool], contract.ColumnType, str]] = [
        (pa.types.is_boolean, "boolean", ""),
        (pa.types.is_integer, "integer", ""),
        (pa.types.is_floating, "number", ""),
        (pa.types.is_date, "date", ""),
        (pa.types.is_timestamp, "timestamp", _describe_timestamp_change(arrow_type)),
        (pa.types.is_string, "string", ""),
        (pa.types.is_large_string, "string", ""),
        (pa.types.is_string_view, "string", ""),
        (pa.types.is_null, "string", "has no values and is stored as text"),
        (decimals.is_wide, "string", WIDE_INTEGERS),
        (decimals.is_whole_decimal, "integer", ""),
        (pa.types.is_decimal, "number", ""),
        (pa.types.is_duration, "number", "holds durations, which are stored as seconds"),
        (pa.types.is_time, "string", "holds times of day, which are stored as text"),
        (pa.types.is_binary, "string", "holds bytes, which are stored as UTF-8 text"),
        (pa.types.is_large_binary, "string", "holds bytes, which are stored as UTF-8 text"),
        (pa.types.is_fixed_size_binary, "string", "holds bytes, which are stored as UTF-8 text"),
        (pa.types.is_nested, "string", "holds lists or structures, which are stored as JSON text"),
    ]
    for test, column_type, change in tests:
        if test(arrow_type):
            return column_type, change
    raise errors.BadDataError(f"holds {arrow_type}, for which Millrace has no type; store it as a number, text or time")


def to_natural(array: pa.Array) -> pa.Array:
    """Convert to the natural column type; pa.ArrowInvalid when a value does not fit."""
    arrow_type = array.type
    if pa.types.is_integer(arrow_type):
        return array.cast(pa.int64())
    if pa.types.is_floating(arrow_type):
        return array.cast(pa.float64())
    if pa.types.is_decimal(arrow_type):
        return _convert_decimals(choose_natural_type(arrow_type)[0], array)
    if pa.types.is_date(arrow_type):
        return array.cast(pa.date32())
    if pa.types.is_timestamp(arrow_type):
        # Nanoseconds are cut off, which is noted; coarser units must fit.
        return array.cast(pa.timestamp("us", tz=arrow_type.tz), safe=arrow_type.unit != "ns").cast(TIMESTAMP)
    if pa.types.is_duration(arrow_type):
        return pc.divide(
            array.cast(pa.int64()).cast(pa.float64(), safe=False), float(UNITS_PER_SECOND[arrow_type.unit])
        )
    if pa.types.is_nested(arrow_type):
        return pa.array([None if value is None else _to_json(value) for value in array.to_pylist()], pa.string())
    return _to_text(array)


class ArrowConversion:
    """Converts one column of a Parquet file, batch by batch, to its type."""

    def __init__(
        self,
        column: str,
        *,
        source: pa.DataType,
        override: contract.ColumnType | None,
        decides: Literal["key", "watermark"] | None = None,
    ) -> None:
        """Convert values of the Arrow type `source` to the type `override`, or else to the natural type.

        A column that `decides` which rows are kept is refused with BadDataError when its values would be rounded, or
        when a watermark's numbers would be ordered as text.
        """
        self._column = column
        natural, change = choose_natural_type(source)
        self.column_type = override or natural
        self._natural = natural
        self._decides = decides
        if decides == "watermark" and self.column_type == "string" and _is_number(source):
            raise errors.BadDataError(
                f"Column {column!r} holds numbers that are stored as text, which sorts in another order; it can't be "
                "the watermark. Use another column."
            )
        self._change = change if override in (None, natural) else ""
        self._finite = conversion.FiniteNumbers(column, were_floats=pa.types.is_floating(source))
        self._is_rounded = False
        self._is_truncated = False

    def convert(self, array: pa.Array, first_row: int) -> pa.Array:
        """Convert the next values; BadDataError names the row and value that does not fit."""
        try:
            converted = self._convert(array)
        except pa.ArrowInvalid as error:
            position = self._find_mismatch(array)
            raise conversion.mismatch_error(
                _to_display(array[position]),
                column=self._column,
                column_type=self.column_type,
                place=f"Row {first_row + position:,}",
            ) from error
        if self.column_type == "timestamp" and not self._is_truncated:
            self._is_truncated = _has_nanoseconds(array)
        return self._finish_numbers(array, converted, first_row) if self.column_type == "number" else converted

    def notes(self) -> list[str]:
        """Describe what the conversion changed."""
        changes = [f"Column {self._column!r} {self._change}."] if self._change else []
        truncation = (
            [f"Column {self._column!r} holds times finer than a microsecond, which were cut to microseconds."]
            if self._is_truncated
            else []
        )
        return changes + self._describe_rounding() + truncation + self._finite.notes()

    def _finish_numbers(self, array: pa.Array, numbers: pa.Array, first_row: int) -> pa.Array:
        """Check what the converted numbers of an array have lost, and replace infinite ones with null."""
        if pa.types.is_decimal(array.type):
            self._is_rounded = self._is_rounded or not decimals.are_lossless(array, floats=numbers)
        else:
            numbers = self._finite.drop_infinite(numbers, first_row)
        if self._decides and (self._is_rounded or self._finite.is_rounded):
            raise errors.BadDataError(
                f"Column {self._column!r} is part of the {self._decides}, but its numbers have more than the about 16 "
                "digits that are kept, so different rows would look the same. Give it the type 'string' or "
                "'integer', or use another column."
            )
        return numbers

    def _describe_rounding(self) -> list[str]:
        note = (
            f"Column {self._column!r} holds decimals with more digits than the about 16 that a number keeps, so "
            "different ones may have become the same; give it the type 'string' to keep all digits."
        )
        return [note] if self._is_rounded else []

    def _convert(self, array: pa.Array) -> pa.Array:
        if self.column_type == "string" and not pa.types.is_nested(array.type):
            return _to_text(array)
        if pa.types.is_decimal(array.type) and self.column_type in NUMERIC_TYPES:
            return _convert_decimals(self.column_type, array)
        natural = to_natural(array)
        if self.column_type == self._natural:
            return natural
        if self._natural in NUMERIC_TYPES and self.column_type in NUMERIC_TYPES:
            return natural.cast(frames.PHYSICAL_TYPES[self.column_type], safe=self.column_type == "integer")
        return values.to_type(natural.cast(pa.string()), self.column_type)

    def _find_mismatch(self, array: pa.Array) -> int:
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


def _describe_timestamp_change(arrow_type: pa.DataType) -> str:
    lacks_offset = pa.types.is_timestamp(arrow_type) and arrow_type.tz is None
    return "holds times without an offset, which were read as UTC" if lacks_offset else ""


def _convert_decimals(column_type: contract.ColumnType, array: pa.Array) -> pa.Array:
    if column_type == "integer":
        return array.cast(pa.int64())
    return decimals.to_floats(array) if column_type == "number" else decimals.to_text(array)


def _to_text(array: pa.Array) -> pa.Array:
    if pa.types.is_decimal(array.type):
        return decimals.to_text(array)
    # Arrow checks that text is UTF-8 only when it casts from bytes.
    return array.cast(pa.string()).view(pa.binary()).cast(pa.string())


def _is_number(arrow_type: pa.DataType) -> bool:
    return bool(pa.types.is_integer(arrow_type) or pa.types.is_floating(arrow_type) or pa.types.is_decimal(arrow_type))


def _to_display(value: pa.Scalar) -> str:
    """Format a value for a message; a text may hold bytes that are not UTF-8."""
    if pa.types.is_string(value.type) or pa.types.is_large_string(value.type) or pa.types.is_string_view(value.type):
        return bytes(value.as_buffer()).decode(errors="replace")
    return str(value.as_py())


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
