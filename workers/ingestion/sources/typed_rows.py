"""Writes a query's rows as typed Parquet, a batch at a time, whatever types turn up on the way."""

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
LARGEST_INTEGER = 2**63
LARGEST_INTEGER_DIGITS = 19
NARROW_DIGITS = 38
NUMERIC = frozenset({int, float, decimal.Decimal})
PLAIN: dict[type, pa.DataType] = {
    bool: pa.bool_(),
    int: INTEGER,
    float: NUMBER,
    str: TEXT,
    datetime.date: pa.date32(),
    datetime.timedelta: pa.duration("us"),
}
BYTES = (bytes, bytearray, memoryview)


@dataclasses.dataclass
class _Missing:
    """Values of a column that are stored as missing."""

    count: int
    first: str
    first_row: int


class TypedRows:
    """A Parquet file that grows; a column's type is found from its values, and widened from row to row.

    Decimals stay decimals, so that whoever reads the file may still make text of them. Nothing is text in one row and
    a number in another: that is refused, with the row and a remedy.
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
        self._rounded: dict[str, None] = {}
        self._missing: dict[str, _Missing] = {}
        # How many digits the whole numbers and decimals have before their point.
        self._whole_digits = [0] * len(names)

    def append(self, rows: Sequence[Sequence[Any]]) -> None:
        """Append rows; BadDataError when a value doesn't fit its column, LimitExceededError when it is too much."""
        arrays = [self._array(position, values) for position, values in enumerate(zip(*rows, strict=True))]
        types = [self._widened(position, array.type) for position, array in enumerate(arrays)]
        writer = self._writer if self._writer is not None and types == self._types else self._start_part(types)
        cast = [self._cast(array, kind, name) for array, kind, name in zip(arrays, types, self._names, strict=True)]
        batch = pa.RecordBatch.from_arrays(cast, names=self._names)
        self.rows += batch.num_rows
        self._bytes += batch.nbytes
        self._limits.check_shape(self.rows, columns=len(self._names))
        self._limits.check_decoded(self._bytes)
        writer.write_batch(batch)

    def finish(self) -> Path:
        """Give the whole file."""
        if not self._parts:
            self._start_part(self._types)
        self.close()
        return self._parts[0] if len(self._parts) == 1 else self._joined()

    def close(self) -> None:
        """Close what is open; the folder's owner removes the files."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def notes(self) -> list[str]:
        """Say where digits were lost, and what no column can hold."""
        rounded = [
            f"Column {name!r} holds numbers of which a 64-bit float doesn't keep every digit, so that different ones "
            "may have become the same; to keep all, make it text in the query (CAST)."
            for name in self._rounded
        ]
        missing = [
            f"Column {name!r} holds {found.count:,} values that are infinite or no date from year 1 to 9999 (first "
            f"{found.first!r} in row {found.first_row:,}); they were stored as missing. To keep them, make it text in "
            "the query (CAST)."
            for name, found in self._missing.items()
        ]
        return rounded + missing

    def _start_part(self, types: list[pa.DataType]) -> parquet.ParquetWriter:
        self.close()
        self._types = types
        self._parts.append(self._folder / f"rows-{len(self._parts)}.parquet")
        schema = pa.schema(list(zip(self._names, types, strict=True)))
        self._writer = parquet.ParquetWriter(self._parts[-1], schema)
        return self._writer

    def _joined(self) -> Path:
        """Write the parts as one, once the types of all are known."""
        whole = self._folder / "rows.parquet"
        schema = pa.schema(list(zip(self._names, self._types, strict=True)))
        with parquet.ParquetWriter(whole, schema) as writer:
            for part in self._parts:
                with parquet.ParquetFile(part, pre_buffer=False) as file:
                    for batch in file.iter_batches():
                        columns = zip(batch.columns, self._types, self._names, strict=True)
                        writer.write_batch(
                            pa.RecordBatch.from_arrays([self._cast(*one) for one in columns], schema=schema)
                        )
                part.unlink()
        return whole

    def _array(self, position: int, values: Sequence[Any]) -> pa.Array:
        """Give a column's values as the one type that they have."""
        kinds = {type(value) for value in values} - {type(None)}
        if not kinds:
            return pa.nulls(len(values))
        if unsupported_times.OddTime in kinds:
            return self._array_of_odd(position, values)
        if kinds <= NUMERIC:
            return self._numbers(position, values, kinds)
        if kinds == {datetime.datetime}:
            return self._times(position, values)
        if len(kinds) == 1 and (plain := PLAIN.get(next(iter(kinds)))) is not None:
            return pa.array(values, plain)
        if issubclass(next(iter(kinds)), BYTES):
            raise self._refusal(position, "holds bytes; select them as text, such as by HEX() or encode(…, 'hex')")
        if len(kinds) > 1 and not kinds <= {list, dict}:
            raise self._mixture(position, values)
        return pa.array([None if value is None else _written(value) for value in values], TEXT)

    def _array_of_odd(self, position: int, values: Sequence[Any]) -> pa.Array:
        odd = [isinstance(value, unsupported_times.OddTime) for value in values]
        kind = values[odd.index(True)].kind
        rest = self._array(position, self._without(position, values, odd))
        return pa.nulls(len(values), kind) if pa.types.is_null(rest.type) else rest

    def _without(self, position: int, values: Sequence[Any], unfit: list[bool]) -> list[Any]:
        """Give the values with None for those that no column can hold, and note that."""
        if any(unfit):
            first = unfit.index(True)
            found = self._missing.setdefault(
                self._names[position], _Missing(0, str(values[first]), self.rows + 1 + first)
            )
            found.count += sum(unfit)
        return [None if bad else value for value, bad in zip(values, unfit, strict=True)]

    def _numbers(self, position: int, values: Sequence[Any], kinds: set[type]) -> pa.Array:
        if kinds == {int} and all(value is None or -LARGEST_INTEGER <= value < LARGEST_INTEGER for value in values):
            return pa.array(values, INTEGER)
        if float not in kinds and (exact := self._decimals(position, values)) is not None:
            return exact
        numbers = [None if value is None else float(value) for value in values]
        if kinds != {float} and not all(map(_is_kept, values, numbers)):
            self._rounded[self._names[position]] = None
        return pa.array(numbers, NUMBER)

    def _decimals(self, position: int, values: Sequence[Any]) -> pa.Array | None:
        """Give numbers as decimals; None when one has too many digits for that."""
        numbers = [None if value is None else decimal.Decimal(value) for value in values]
        finite = [None if number is None or number.is_nan() else number for number in numbers]
        finite = self._without(position, finite, [number is not None and number.is_infinite() for number in finite])
        try:
            exact = pa.array(finite)
        except pa.ArrowInvalid:
            return None
        return exact.cast(pa.decimal128(1, 0)) if pa.types.is_null(exact.type) else exact

    def _times(self, position: int, values: Sequence[Any]) -> pa.Array:
        aware = {value.tzinfo is not None for value in values if value is not None}
        if len(aware) > 1:
            raise self._refusal(position, "holds times with an offset and without; make them the same in the query")
        return pa.array(values, pa.timestamp("us", tz="UTC" if aware == {True} else None))

    def _widened(self, position: int, kind: pa.DataType) -> pa.DataType:
        """Give the type that holds both what came before and what comes now."""
        before = self._types[position]
        if pa.types.is_null(kind):
            return before
        if _is_exact(kind):
            self._whole_digits[position] = max(self._whole_digits[position], _whole_digits(kind))
        if _is_exact(kind) and (pa.types.is_null(before) or _is_exact(before)):
            return self._exact_type(position, before, kind)
        if before == kind or pa.types.is_null(before):
            return kind
        if NUMBER in (before, kind) and (_is_exact(before) or _is_exact(kind)):
            return NUMBER
        raise self._refusal(
            position,
            f"holds {before} in the rows before and {kind} from row {self.rows + 1:,} on; "
            "make them the same in the query (CAST)",
        )

    def _exact_type(self, position: int, before: pa.DataType, kind: pa.DataType) -> pa.DataType:
        """Give the type that has every digit of whole numbers and decimals; floats when there are too many."""
        scales = [one.scale for one in (before, kind) if pa.types.is_decimal(one)]
        if not scales:
            return INTEGER
        digits = self._whole_digits[position] + max(scales)
        if digits > decimals.MOST_DIGITS:
            return NUMBER
        if digits > NARROW_DIGITS:
            return pa.decimal256(decimals.MOST_DIGITS, max(scales))
        return pa.decimal128(NARROW_DIGITS, max(scales))

    def _cast(self, array: pa.Array, kind: pa.DataType, name: str) -> pa.Array:
        if pa.types.is_decimal(array.type) and kind == NUMBER:
            numbers = decimals.to_floats(array)
            if not decimals.are_kept(array, floats=numbers):
                self._rounded[name] = None
            return numbers
        try:
            return array.cast(kind)
        except pa.ArrowInvalid:
            # Only whole numbers beyond 2^53 on their way to floats come here.
            self._rounded[name] = None
            return array.cast(kind, safe=False)

    def _mixture(self, position: int, values: Iterable[Any]) -> errors.BadDataError:
        first: dict[str, int] = {}
        for number, value in enumerate(values, start=self.rows + 1):
            if value is not None:
                first.setdefault(type(value).__name__, number)
        found = " and ".join(f"{kind} (row {number:,})" for kind, number in list(first.items())[:3])
        return self._refusal(
            position, f"holds values of different types, {found}; make them the same in the query (CAST)"
        )

    def _refusal(self, position: int, what: str) -> errors.BadDataError:
        return errors.BadDataError(f"Column {self._names[position]!r} {what}.")


def _is_exact(kind: pa.DataType) -> bool:
    return bool(kind == INTEGER or pa.types.is_decimal(kind))


def _whole_digits(kind: pa.DataType) -> int:
    """Give how many digits numbers of an exact type may have before their point."""
    return LARGEST_INTEGER_DIGITS if kind == INTEGER else int(kind.precision - kind.scale)


def _is_kept(value: Any, number: float | None) -> bool:
    """Tell whether a float has all digits of a decimal or whole number."""
    if value is None or number is None or number != number or abs(number) == float("inf"):
        return True
    return bool(decimal.Decimal(repr(number)) == value)


def _written(value: Any) -> str:
    """Write a value that we have no type for: lists and documents as JSON, others as they say themselves."""
    if isinstance(value, list | dict | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
