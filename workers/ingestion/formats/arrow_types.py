"""Which of our types an Arrow type becomes, and how, with the reason wherever something changes."""

import json
from collections.abc import Callable
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from shared import contract, errors
from shared.ml import frames
from workers.ingestion import conversion, decimals, values

INSTANT = frames.PHYSICAL_TYPES["timestamp"]
SECOND_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
WIDE = (
    "holds whole numbers beyond 64 bits and is stored as text; to calculate with about 16 of their digits, "
    "give it the type 'number'"
)
NUMBERS = frozenset({"integer", "number"})


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
        (decimals.is_wide, "string", WIDE),
        (decimals.is_whole, "integer", ""),
        (pa.types.is_decimal, "number", ""),
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
    if pa.types.is_floating(kind):
        return array.cast(pa.float64())
    if pa.types.is_decimal(kind):
        return _decimals_to(natural_type(kind)[0], array)
    if pa.types.is_date(kind):
        return array.cast(pa.date32())
    if pa.types.is_timestamp(kind):
        # Nanoseconds are cut off, which a note says; coarser units must fit.
        return array.cast(pa.timestamp("us", tz=kind.tz), safe=kind.unit != "ns").cast(INSTANT)
    if pa.types.is_duration(kind):
        return pc.divide(array.cast(pa.int64()).cast(pa.float64(), safe=False), float(SECOND_UNITS[kind.unit]))
    if pa.types.is_nested(kind):
        return pa.array([None if value is None else _to_json(value) for value in array.to_pylist()], pa.string())
    return _to_text(array)


class ArrowConversion:
    """One column of a Parquet file on its way to its type."""

    def __init__(
        self,
        column: str,
        *,
        source: pa.DataType,
        given: contract.ColumnType | None,
        decides: Literal["key", "watermark"] | None = None,
    ) -> None:
        """Convert values of the Arrow type `source` to the type given, or else to the natural one.

        A column that `decides` which rows stay is refused with BadDataError when its values would be rounded, or when
        a watermark's numbers would be ordered as text.
        """
        self._column = column
        natural, change = natural_type(source)
        self.kind = given or natural
        self._natural = natural
        self._decides = decides
        if decides == "watermark" and self.kind == "string" and _is_number(source):
            raise errors.BadDataError(
                f"Column {column!r} holds numbers that are stored as text, which has another order; it can't be the "
                "watermark. Use another column."
            )
        self._change = change if given in (None, natural) else ""
        self._finite = conversion.FiniteNumbers(column, were_floats=pa.types.is_floating(source))
        self._is_rounded = False
        self._cut = False

    def convert(self, array: pa.Array, first_row: int) -> pa.Array:
        """Convert the next values; BadDataError names the row and value that does not fit."""
        try:
            converted = self._convert(array)
        except pa.ArrowInvalid as error:
            position = self._first_misfit(array)
            raise conversion.misfit(
                _shown(array[position]), column=self._column, kind=self.kind, place=f"Row {first_row + position:,}"
            ) from error
        if self.kind == "timestamp" and not self._cut:
            self._cut = _has_nanoseconds(array)
        return self._kept(array, converted, first_row) if self.kind == "number" else converted

    def notes(self) -> list[str]:
        """Say what the conversion changed."""
        changed = [f"Column {self._column!r} {self._change}."] if self._change else []
        cut = [f"Column {self._column!r} holds times finer than a microsecond, which were cut."] if self._cut else []
        return changed + self._rounded() + cut + self._finite.notes()

    def _kept(self, array: pa.Array, numbers: pa.Array, first_row: int) -> pa.Array:
        """Give the numbers that an array became, without infinite ones, once it is looked at what they lost."""
        if pa.types.is_decimal(array.type):
            self._is_rounded = self._is_rounded or not decimals.are_kept(array, floats=numbers)
        else:
            numbers = self._finite.keep(numbers, first_row)
        if self._decides and (self._is_rounded or self._finite.is_rounded):
            raise errors.BadDataError(
                f"Column {self._column!r} is part of the {self._decides}, but its numbers have more digits than the "
                "about 16 that are kept, so that rows would be taken for each other. Give it the type 'string' or "
                "'integer', or use another column."
            )
        return numbers

    def _rounded(self) -> list[str]:
        note = (
            f"Column {self._column!r} holds decimals with more digits than the about 16 that a number keeps, so that "
            "different ones may have become the same; give it the type 'string' to keep all."
        )
        return [note] if self._is_rounded else []

    def _convert(self, array: pa.Array) -> pa.Array:
        if self.kind == "string" and not pa.types.is_nested(array.type):
            return _to_text(array)
        if pa.types.is_decimal(array.type) and self.kind in NUMBERS:
            return _decimals_to(self.kind, array)
        natural = to_natural(array)
        if self.kind == self._natural:
            return natural
        if self._natural in NUMBERS and self.kind in NUMBERS:
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


def _decimals_to(kind: contract.ColumnType, array: pa.Array) -> pa.Array:
    if kind == "integer":
        return array.cast(pa.int64())
    return decimals.to_floats(array) if kind == "number" else decimals.to_text(array)


def _to_text(array: pa.Array) -> pa.Array:
    if pa.types.is_decimal(array.type):
        return decimals.to_text(array)
    # Only from bytes does Arrow look whether they are UTF-8.
    return array.cast(pa.string()).view(pa.binary()).cast(pa.string())


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _shown(value: pa.Scalar) -> str:
    """Show a value that may be text only by its type."""
    if pa.types.is_string(value.type) or pa.types.is_large_string(value.type) or pa.types.is_string_view(value.type):
        return bytes(value.as_buffer()).decode(errors="replace")
    return str(value.as_py())


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
