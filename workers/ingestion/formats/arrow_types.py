"""Converts columns of Arrow types to the column types of datasets, and notes what changes."""

from collections.abc import Callable
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from shared import contract, errors
from shared.ingestion.reading import CsvOptions
from shared.ml import frames
from workers.ingestion import conversion, decimals, time_limits, values
from workers.ingestion.formats import nested_json
from workers.ingestion.styles import declared, style

TIMESTAMP = frames.PHYSICAL_TYPES["timestamp"]
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
            array.cast(pa.int64()).cast(pa.float64(), safe=False), float(time_limits.UNITS_PER_SECOND[arrow_type.unit])
        )
    if pa.types.is_nested(arrow_type):
        return nested_json.to_json(array)
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
        reading: CsvOptions | None = None,
    ) -> None:
        """Convert values of the Arrow type `source` to the type `override`, or else to the natural type.

        Text is read in the style that `reading` declares for the type. A column that `decides` which rows are kept is
        refused with BadDataError when its values would be rounded, or when a watermark's numbers would be ordered as
        text.
        """
        self._column = column
        natural, change = choose_natural_type(source)
        column_style = declared.find_style(reading, override) if reading and natural == "string" else None
        self._styled = None if column_style is None else _StyledText(column, column_style)
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
        self._times = time_limits.UnsupportedTimes(column)
        self._rounded = 0
        self._numbers = "durations" if pa.types.is_duration(source) else "decimals"

    def convert(self, array: pa.Array, first_row: int) -> pa.Array:
        """Convert the next values; BadDataError names the row and value that does not fit."""
        texts = array
        if self._styled is not None:
            array = self._styled.rewrite(_to_text(array))
        elif self.column_type != "string":
            array = self._times.drop(array, first_row)
        try:
            converted = self._convert(array)
        except pa.ArrowInvalid as error:
            position = self._find_mismatch(array)
            raise conversion.mismatch_error(
                _to_display(texts[position]),
                column=self._column,
                column_type=self.column_type,
                place=f"Row {first_row + position:,}",
            ) from error
        if self.column_type == "timestamp":
            self._times.count_finer(array)
        return self._finish_numbers(array, converted, first_row) if self.column_type == "number" else converted

    @property
    def has_style(self) -> bool:
        """Whether the column is text that is read in a declared style."""
        return self._styled is not None

    def notes(self) -> list[str]:
        """Describe what the conversion changed."""
        changes = [f"Column {self._column!r} {self._change}."] if self._change else []
        changes += self._styled.notes() if self._styled else []
        return changes + self._describe_rounding() + self._times.notes() + self._finite.notes()

    def _finish_numbers(self, array: pa.Array, numbers: pa.Array, first_row: int) -> pa.Array:
        """Check what the converted numbers of an array have lost, and replace infinite ones with null."""
        if pa.types.is_decimal(array.type):
            self._rounded += decimals.count_lossy(array, floats=numbers)
        elif pa.types.is_duration(array.type):
            self._rounded += _count_rounded_durations(array, numbers)
        else:
            numbers = self._finite.drop_infinite(numbers, first_row)
        if self._decides and (self._rounded or self._finite.is_rounded):
            raise errors.BadDataError(
                f"Column {self._column!r} is part of the {self._decides}, but its numbers have more than the about 16 "
                "digits that are kept, so different rows would look the same. Give it the type 'string' or "
                "'integer', or use another column."
            )
        return numbers

    def _describe_rounding(self) -> list[str]:
        note = decimals.describe_rounded(self._column, self._rounded, numbers=self._numbers)
        return [note] if self._rounded else []

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


def _describe_timestamp_change(arrow_type: pa.DataType) -> str:
    lacks_offset = pa.types.is_timestamp(arrow_type) and arrow_type.tz is None
    return "holds times without an offset, which were read as UTC" if lacks_offset else ""


class _StyledText:
    """Rewrites a column of text whose style the options declare, and counts what was rewritten."""

    def __init__(self, column: str, column_style: style.Style) -> None:
        self._column = column
        self._style = column_style
        self._rewritten = 0
        self._example = ("", "")

    def rewrite(self, texts: pa.Array) -> pa.Array:
        """Rewrite the next texts in the plain form."""
        chunk = style.apply(self._style, values.find_missing(texts, missing=pa.array([], pa.string())))
        if chunk.rewritten:
            self._example = self._example if self._rewritten else chunk.example
            self._rewritten += chunk.rewritten
        return chunk.trimmed

    def notes(self) -> list[str]:
        """Describe what was rewritten."""
        if not self._rewritten:
            return []
        return [self._style.describe(self._column, count=self._rewritten, example=self._example)]


def _convert_decimals(column_type: contract.ColumnType, array: pa.Array) -> pa.Array:
    if column_type == "integer":
        return array.cast(pa.int64())
    return decimals.to_floats(array) if column_type == "number" else decimals.to_text(array)


def _to_text(array: pa.Array) -> pa.Array:
    if pa.types.is_decimal(array.type):
        return decimals.to_text(array)
    # Arrow checks that text is UTF-8 only when it casts from bytes.
    return array.cast(pa.string()).view(pa.binary()).cast(pa.string())


def _count_rounded_durations(durations: pa.Array, seconds: pa.Array) -> int:
    units = durations.cast(pa.int64())
    if max(-(pc.min(units).as_py() or 0), pc.max(units).as_py() or 0) < values.EXACT_INTEGER:
        return 0
    scale = float(time_limits.UNITS_PER_SECOND[durations.type.unit])
    recovered = pc.round(pc.multiply(seconds, scale)).cast(pa.int64(), safe=False)
    return pc.sum(pc.not_equal(recovered, units)).as_py() or 0


def _is_number(arrow_type: pa.DataType) -> bool:
    return bool(pa.types.is_integer(arrow_type) or pa.types.is_floating(arrow_type) or pa.types.is_decimal(arrow_type))


def _to_display(value: pa.Scalar) -> str:
    """Format a value for a message; a text may hold bytes that are not UTF-8."""
    if pa.types.is_string(value.type) or pa.types.is_large_string(value.type) or pa.types.is_string_view(value.type):
        return bytes(value.as_buffer()).decode(errors="replace")
    return str(value.cast(pa.string())) if pa.types.is_temporal(value.type) else str(value.as_py())
