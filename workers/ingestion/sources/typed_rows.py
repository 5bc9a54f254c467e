"""Writes a query's rows as typed Parquet, batch by batch, and widens a column's type when other values follow."""

import collections
import dataclasses
import datetime
import decimal
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from shared import errors
from workers.ingestion import decimals
from workers.ingestion.limits import Limits
from workers.ingestion.sources import unsupported_times

INTEGER, NUMBER, TEXT = pa.int64(), pa.float64(), pa.string()
INTEGER_LIMIT = 2**63
INTEGER_DIGITS = 19
DECIMAL128_DIGITS = 38
WHOLE_DECIMAL = pa.decimal128(INTEGER_DIGITS, 0)
NUMERIC_TYPES = frozenset({int, float, decimal.Decimal})
ARROW_TYPES: dict[type, pa.DataType] = {
    bool: pa.bool_(),
    int: INTEGER,
    float: NUMBER,
    str: TEXT,
    datetime.date: pa.date32(),
    datetime.timedelta: pa.duration("us"),
}
BYTES_TYPES = (bytes, bytearray, memoryview)


@dataclasses.dataclass
class _Missing:
    """Values of a column that are stored as missing."""

    count: int
    first: str
    first_row: int


class TypedRows:
    """A growing Parquet file; a column's type is inferred from its values, and widened from batch to batch.

    Decimals stay decimals, so that the reader of the file can still convert them to text. A column with text in one
    row and a number in another is refused, with the row and a remedy.
    """

    def __init__(self, folder: Path, *, names: list[str], limits: Limits) -> None:
        """Start a file in `folder` with columns of no type yet."""
        self.rows = 0
        self._folder = folder
        self._names = names
        self._limits = limits
        self._bytes = 0
        self._types: list[pa.DataType] = [pa.null()] * len(names)
        self._parts: list[Path] = []
        self._writer: parquet.ParquetWriter | None = None
        self._rounded: collections.Counter[str] = collections.Counter()
        self._missing: dict[str, _Missing] = {}
        # The most digits that whole numbers and decimals of each column have before their point.
        self._whole_digits = [0] * len(names)

    def append(self, rows: Sequence[Sequence[Any]]) -> None:
        """Append rows; BadDataError when a value doesn't fit its column, LimitExceededError beyond the limits."""
        arrays = [self._to_array(position, values) for position, values in enumerate(zip(*rows, strict=True))]
        types = [self._widen(position, array.type) for position, array in enumerate(arrays)]
        writer = self._writer if self._writer is not None and types == self._types else self._start_part(types)
        cast = [
            self._cast(array, arrow_type, name)
            for array, arrow_type, name in zip(arrays, types, self._names, strict=True)
        ]
        batch = pa.RecordBatch.from_arrays(cast, names=self._names)
        self.rows += batch.num_rows
        self._bytes += batch.nbytes
        self._limits.check_shape(self.rows, columns=len(self._names))
        self._limits.check_decoded(self._bytes)
        writer.write_batch(batch)

    def finish(self) -> Path:
        """Finish the file and return its path."""
        if not self._parts:
            self._start_part(self._types)
        self.close()
        return self._parts[0] if len(self._parts) == 1 else self._concatenate_parts()

    def close(self) -> None:
        """Close the open part; the owner of the folder removes the files."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def notes(self) -> list[str]:
        """Describe where digits were lost, and which values no column can hold."""
        rounded = [
            f"Column {name!r} holds {count:,} numbers of which a 64-bit float doesn't keep every digit, so "
            "different ones may have become the same; to keep all digits, cast it to text in the query (CAST)."
            for name, count in self._rounded.items()
            if count
        ]
        missing = [
            f"Column {name!r} holds {values.count:,} values that are infinite or not dates from year 1 to 9999 (first "
            f"{values.first!r} in row {values.first_row:,}); they were stored as missing. To keep them, cast it to "
            "text in the query (CAST)."
            for name, values in self._missing.items()
        ]
        return rounded + missing

    def _start_part(self, types: list[pa.DataType]) -> parquet.ParquetWriter:
        self.close()
        self._types = types
        self._parts.append(self._folder / f"rows-{len(self._parts)}.parquet")
        schema = pa.schema(list(zip(self._names, types, strict=True)))
        self._writer = parquet.ParquetWriter(self._parts[-1], schema)
        return self._writer

    def _concatenate_parts(self) -> Path:
        """Write the parts as one file, once all types are known."""
        target = self._folder / "rows.parquet"
        schema = pa.schema(list(zip(self._names, self._types, strict=True)))
        with parquet.ParquetWriter(target, schema) as writer:
            for part in self._parts:
                with parquet.ParquetFile(part, pre_buffer=False) as file:
                    for batch in file.iter_batches():
                        columns = zip(batch.columns, self._types, self._names, strict=True)
                        writer.write_batch(
                            pa.RecordBatch.from_arrays(
                                [self._cast(array, arrow_type, name) for array, arrow_type, name in columns],
                                schema=schema,
                            )
                        )
                part.unlink()
        return target

    def _to_array(self, position: int, values: Sequence[Any]) -> pa.Array:
        """Convert a column's values to an array of the type that they share."""
        value_types = {type(value) for value in values} - {type(None)}
        if not value_types:
            return pa.nulls(len(values))
        if unsupported_times.UnsupportedTime in value_types:
            return self._convert_unsupported_times(position, values)
        if value_types <= NUMERIC_TYPES:
            return self._convert_numbers(position, values, value_types)
        if value_types == {datetime.datetime}:
            return self._convert_times(position, values)
        if len(value_types) == 1 and (arrow_type := ARROW_TYPES.get(next(iter(value_types)))) is not None:
            return pa.array(values, arrow_type)
        if issubclass(next(iter(value_types)), BYTES_TYPES):
            raise self._column_error(position, "holds bytes; select them as text, such as by HEX() or encode(…, 'hex')")
        if len(value_types) > 1 and not value_types <= {list, dict}:
            raise self._mixed_types_error(position, values)
        return pa.array([None if value is None else _to_text(value) for value in values], TEXT)

    def _convert_unsupported_times(self, position: int, values: Sequence[Any]) -> pa.Array:
        unsupported = [isinstance(value, unsupported_times.UnsupportedTime) for value in values]
        arrow_type = values[unsupported.index(True)].arrow_type
        array = self._to_array(position, self._replace_unfit(position, values, unsupported))
        return pa.nulls(len(values), arrow_type) if pa.types.is_null(array.type) else array

    def _replace_unfit(self, position: int, values: Sequence[Any], unfit: list[bool]) -> list[Any]:
        """Replace the values that no column can hold with None, and count them."""
        if any(unfit):
            first = unfit.index(True)
            missing = self._missing.setdefault(
                self._names[position], _Missing(0, str(values[first]), self.rows + 1 + first)
            )
            missing.count += sum(unfit)
        return [None if is_unfit else value for value, is_unfit in zip(values, unfit, strict=True)]

    def _convert_numbers(self, position: int, values: Sequence[Any], value_types: set[type]) -> pa.Array:
        if value_types == {int} and all(value is None or -INTEGER_LIMIT <= value < INTEGER_LIMIT for value in values):
            return pa.array(values, INTEGER)
        if float not in value_types and (exact := self._convert_decimals(position, values)) is not None:
            return exact
        numbers = [None if value is None else float(value) for value in values]
        if value_types != {float}:
            self._rounded[self._names[position]] += len(values) - sum(map(_is_lossless, values, numbers))
        return pa.array(numbers, NUMBER)

    def _convert_decimals(self, position: int, values: Sequence[Any]) -> pa.Array | None:
        """Convert numbers to decimals; None when one has too many digits for that."""
        numbers = [None if value is None else decimal.Decimal(value) for value in values]
        finite = [None if number is None or number.is_nan() else number for number in numbers]
        finite = self._replace_unfit(
            position, finite, [number is not None and number.is_infinite() for number in finite]
        )
        try:
            exact = pa.array(finite)
        except pa.ArrowInvalid:
            return None
        return exact.cast(pa.decimal128(1, 0)) if pa.types.is_null(exact.type) else exact

    def _convert_times(self, position: int, values: Sequence[Any]) -> pa.Array:
        aware = {value.tzinfo is not None for value in values if value is not None}
        if len(aware) > 1:
            raise self._column_error(
                position, "holds times with an offset and times without one; make them consistent in the query"
            )
        return pa.array(values, pa.timestamp("us", tz="UTC" if aware == {True} else None))

    def _widen(self, position: int, arrow_type: pa.DataType) -> pa.DataType:
        """Choose the type that holds both the earlier values and these."""
        before = self._types[position]
        if pa.types.is_null(arrow_type):
            return before
        if _is_exact(arrow_type):
            self._whole_digits[position] = max(self._whole_digits[position], _count_whole_digits(arrow_type))
        if _is_exact(arrow_type) and (pa.types.is_null(before) or _is_exact(before)):
            return self._choose_exact_type(position, before, arrow_type)
        if before == arrow_type or pa.types.is_null(before):
            return arrow_type
        if NUMBER in (before, arrow_type) and (_is_exact(before) or _is_exact(arrow_type)):
            return NUMBER
        raise self._column_error(
            position,
            f"holds {before} in the rows before and {arrow_type} from row {self.rows + 1:,} on; "
            "make them one type in the query (CAST)",
        )

    def _choose_exact_type(self, position: int, before: pa.DataType, arrow_type: pa.DataType) -> pa.DataType:
        """Choose the type that keeps every digit of whole numbers and decimals; float when there are too many."""
        scales = [decimal_type.scale for decimal_type in (before, arrow_type) if pa.types.is_decimal(decimal_type)]
        if not scales:
            return INTEGER
        digits = self._whole_digits[position] + max(scales)
        if digits > decimals.MAX_DIGITS:
            return NUMBER
        if digits > DECIMAL128_DIGITS:
            return pa.decimal256(decimals.MAX_DIGITS, max(scales))
        return pa.decimal128(DECIMAL128_DIGITS, max(scales))

    def _cast(self, array: pa.Array, arrow_type: pa.DataType, name: str) -> pa.Array:
        if pa.types.is_decimal(array.type) and arrow_type == NUMBER:
            numbers = decimals.to_floats(array)
            self._rounded[name] += decimals.count_lossy(array, floats=numbers)
            return numbers
        try:
            return array.cast(arrow_type)
        except pa.ArrowInvalid:
            # Only whole numbers beyond 2^53 fail to become floats.
            numbers = array.cast(arrow_type, safe=False)
            self._rounded[name] += decimals.count_lossy(array.cast(WHOLE_DECIMAL), floats=numbers)
            return numbers

    def _mixed_types_error(self, position: int, values: Iterable[Any]) -> errors.BadDataError:
        first: dict[str, int] = {}
        for number, value in enumerate(values, start=self.rows + 1):
            if value is not None:
                first.setdefault(type(value).__name__, number)
        listed = " and ".join(f"{type_name} (row {number:,})" for type_name, number in list(first.items())[:3])
        return self._column_error(
            position, f"holds values of different types, {listed}; make them one type in the query (CAST)"
        )

    def _column_error(self, position: int, problem: str) -> errors.BadDataError:
        return errors.BadDataError(f"Column {self._names[position]!r} {problem}.")


def _is_exact(arrow_type: pa.DataType) -> bool:
    return bool(arrow_type == INTEGER or pa.types.is_decimal(arrow_type))


def _count_whole_digits(arrow_type: pa.DataType) -> int:
    """Return how many digits the numbers of an exact type may have before their point."""
    return INTEGER_DIGITS if arrow_type == INTEGER else int(arrow_type.precision - arrow_type.scale)


def _is_lossless(value: Any, number: float | None) -> bool:
    """Check whether a float keeps all digits of a decimal or whole number."""
    if value is None or number is None or number != number or abs(number) == float("inf"):
        return True
    return bool(decimal.Decimal(repr(number)) == value)


def _to_text(value: Any) -> str:
    """Write a value that no column type fits as text: lists and documents as JSON, others by `str`."""
    if isinstance(value, list | dict | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
