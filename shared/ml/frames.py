"""Reads Parquet as frames whose dtypes follow from the schema alone, and writes frames as Parquet.

The rule of dtypes, the same for a whole file and for any part of it, with missing values or without:
integer, number and boolean become float64 (true is 1.0, missing is NaN); string becomes object (missing is NaN);
timestamp and date become datetime64[us, UTC] (missing is NaT). Infinite numbers are refused. The one exception are
integers from 2^53 on, which float64 would merge: a column that holds any is Int64, see `integers`.
docs/decisions/models.md, "A table's frames have dtypes that follow from its schema alone".
"""

import contextlib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import compute, parquet

from shared import column_names, contract, digests, errors
from shared.ml import integers
from shared.objects import decoding, encoding

# The API needs these too, so they are defined outside of shared/ml; code that reads frames finds them here.
NUMERIC = contract.NUMERIC
TEMPORAL = contract.TEMPORAL
require_columns = column_names.require
describe_absent = column_names.describe_absent
INSTANT = pa.timestamp("us", tz="UTC")
PHYSICAL_TYPES: dict[contract.ColumnType, pa.DataType] = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "timestamp": INSTANT,
    "date": pa.date32(),
}
# Parquet is decoded through a buffer of this size, so that one huge row group isn't held in memory at once.
READ_BUFFER_BYTES = 1 << 20
# No batch, and on average no row group that is written, has more decoded bytes, unless a single row has.
BATCH_BYTES = 64 << 20
MAX_GROUP_ROWS = 1 << 20


def read_columns(path: Path) -> list[contract.Column]:
    """Read which columns a Parquet file has."""
    with _open(path) as file:
        return columns_of(file.schema_arrow)


def count_rows(path: Path) -> int:
    """Read how many rows a Parquet file has."""
    with _open(path) as file:
        return int(file.metadata.num_rows)


def columns_of(schema: pa.Schema) -> list[contract.Column]:
    """List an Arrow schema's columns with our types; BadDataError for other types and for names used twice."""
    twice = column_names.list_repeated(schema.names)
    if twice:
        raise errors.BadDataError(f"column names must be unique, but these are used twice: {', '.join(sorted(twice))}")
    return [contract.Column(name=field.name, type=_type_of(field), nullable=field.nullable) for field in schema]


def read_table(path: Path, *, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet file, or some columns of it, without conversion; BadDataError when it can't be read."""
    with _open(path) as file:
        require_columns(columns or [], present=file.schema_arrow.names)
        return file.read(columns=columns)


def iterate_batches(
    path: Path, *, batch_rows: int, columns: list[str] | None = None, first_row: int = 0
) -> Iterator[pa.RecordBatch]:
    """Read a Parquet file from a row on, in batches of at most `batch_rows` rows and `BATCH_BYTES`, one at a time."""
    with _open(path) as file:
        require_columns(columns or [], present=file.schema_arrow.names)
        with decoding.Table(path, buffer_bytes=READ_BUFFER_BYTES) as table:
            yield from table.iterate(max_rows=batch_rows, max_bytes=BATCH_BYTES, columns=columns, first_row=first_row)


def read_frame(path: Path, *, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a Parquet file, or some columns of it, as one frame."""
    return to_frame(read_table(path, columns=columns))


def iterate_frames(path: Path, *, batch_rows: int, columns: list[str] | None = None) -> Iterator[pd.DataFrame]:
    """Read a Parquet file as frames of at most `batch_rows` rows, each with the dtypes of the whole file."""
    first = 0
    for batch in iterate_batches(path, batch_rows=batch_rows, columns=columns):
        frame = to_frame(batch, first=first)
        first += len(frame)
        yield frame


def to_frame(table: pa.Table | pa.RecordBatch, *, first: int = 0) -> pd.DataFrame:
    """Convert an Arrow table to a frame with the dtypes that all our models and recipes expect.

    Its labels are the positions of the rows in their dataset, of which the table's first row has the position `first`.
    """
    columns = columns_of(table.schema)
    series = {column.name: _to_series(table.column(column.name), column, first=first) for column in columns}
    frame = pd.DataFrame(series, index=pd.RangeIndex(table.num_rows), columns=[column.name for column in columns])
    frame.index += first
    return frame


def dtype_of(column_type: contract.ColumnType) -> Any:
    """Return the dtype that a column type has in a frame, if all of its integers are below 2^53."""
    if column_type in TEMPORAL:
        return pd.DatetimeTZDtype("us", "UTC")
    return np.dtype(np.float64 if column_type in NUMERIC else object)


class FrameWriter:
    """Streams frames into a Parquet file; once closed, `rows`, `bytes`, `sha256` and `columns` describe it."""

    def __init__(self, path: Path, *, columns: list[contract.Column]) -> None:
        """Start a file at `path` with these columns, in this order."""
        self._path = path
        self._columns = columns
        self._nulls = dict.fromkeys((column.name for column in columns), 0)
        self._schema = pa.schema([(column.name, PHYSICAL_TYPES[column.type]) for column in columns])
        self._writer: parquet.ParquetWriter | None = None
        self.rows = 0
        self.bytes = 0
        self.sha256 = ""

    def write(self, frame: pd.DataFrame) -> None:
        """Append a frame's rows; NaN and NaT become nulls."""
        arrays = [pa.array(frame[field.name], type=field.type, from_pandas=True) for field in self._schema]
        self.write_table(pa.Table.from_arrays(arrays, schema=self._schema))

    def write_table(self, table: pa.Table | pa.RecordBatch) -> None:
        """Append an Arrow table's rows, cast to the file's types."""
        if isinstance(table, pa.RecordBatch):
            table = pa.Table.from_batches([table])
        arrays = [_cast(table.column(field.name), field, first=self.rows) for field in self._schema]
        for name, array in zip(self._nulls, arrays, strict=True):
            self._nulls[name] += array.null_count
        self.rows += table.num_rows
        typed = pa.Table.from_arrays(arrays, schema=self._schema)
        if not typed.num_rows:
            return
        if self._writer is None:
            self._writer = self._open(encoding.find_repeating(typed))
        group_rows = typed.num_rows * BATCH_BYTES // max(typed.nbytes, 1)
        self._writer.write_table(typed, row_group_size=max(1, min(MAX_GROUP_ROWS, group_rows)))

    def _open(self, repeating: list[str]) -> parquet.ParquetWriter:
        return parquet.ParquetWriter(self._path, self._schema, use_dictionary=repeating)

    @property
    def columns(self) -> list[contract.Column]:
        """The columns, nullable where a value was missing."""
        return [column.model_copy(update={"nullable": self._nulls[column.name] > 0}) for column in self._columns]

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        """Finish the file, or remove it when writing has failed."""
        if self._writer is not None:
            self._writer.close()
        elif kind is None:
            self._open([]).close()
        if kind is not None:
            self._path.unlink(missing_ok=True)
            return
        self.bytes = self._path.stat().st_size
        self.sha256 = digests.of_file(self._path)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[Any]:
    try:
        with parquet.ParquetFile(path, buffer_size=READ_BUFFER_BYTES, pre_buffer=False) as file:
            yield file
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        message = f"this can't be read as Parquet; it may be truncated or in another format: {error}"
        raise errors.BadDataError(message) from error


def _type_of(field: pa.Field) -> contract.ColumnType:
    arrow_type = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    tests: list[tuple[Any, contract.ColumnType]] = [
        (pa.types.is_boolean, "boolean"),
        (pa.types.is_integer, "integer"),
        (pa.types.is_floating, "number"),
        (pa.types.is_string, "string"),
        (pa.types.is_large_string, "string"),
        (pa.types.is_null, "string"),
        (pa.types.is_timestamp, "timestamp"),
        (pa.types.is_date, "date"),
    ]
    for test, name in tests:
        if test(arrow_type):
            return name
    allowed = ", ".join(PHYSICAL_TYPES)
    raise errors.BadDataError(f"column {field.name!r} has the type {arrow_type}; it must be one of {allowed}")


def _cast(array: pa.ChunkedArray, field: pa.Field, *, first: int) -> pa.ChunkedArray:
    try:
        return _cast_exactly(array, field.type)
    except pa.ArrowException as error:
        row = first + _find_misfit(array, field.type) + 1
        message = f"column {field.name!r} must be of type {_type_of(field)}: {error} (first in row {row:,})"
        raise errors.BadDataError(message) from error


def _cast_exactly(array: pa.ChunkedArray, arrow_type: pa.DataType) -> pa.ChunkedArray:
    converted = array.cast(arrow_type)
    # Arrow refuses to lose digits, but it silently drops the time of a date and turns any number into true.
    may_lose = arrow_type in (pa.date32(), pa.bool_()) and array.type != arrow_type
    if may_lose and not converted.cast(array.type).equals(array):
        raise pa.ArrowInvalid(f"{array.type} doesn't fit without loss")
    return converted


def _find_misfit(array: pa.ChunkedArray, arrow_type: pa.DataType) -> int:
    """Find the position of the first value that can't be cast, provided that there is one, by bisection."""
    low, high = 0, len(array)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            _cast_exactly(array.slice(low, middle - low), arrow_type)
        except pa.ArrowException:
            high = middle
        else:
            low = middle
    return low


def _has_large(array: pa.Array | pa.ChunkedArray) -> bool:
    """Return whether integers include some that float64 would merge, and that fit in 64 bits with their sign."""
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if array.type.bit_width < 64:
        return False
    bounds = compute.min_max(array)
    least, most = bounds["min"].as_py(), bounds["max"].as_py()
    return least is not None and max(-least, most) >= integers.LIMIT and most <= integers.MOST


def _to_series(array: pa.Array | pa.ChunkedArray, column: contract.Column, *, first: int) -> Any:
    if column.type in TEMPORAL:
        return array.cast(pa.timestamp("us")).cast(INSTANT).to_pandas()
    if column.type == "string":
        values = array.cast(pa.string()).to_pandas().to_numpy(dtype=object, copy=True)
        values[pd.isna(values)] = np.nan
        return values
    if column.type == "integer" and _has_large(array):
        return array.cast(pa.int64()).to_pandas(types_mapper={pa.int64(): integers.DTYPE}.get)
    numbers = np.asarray(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    infinite = np.isinf(numbers)
    if infinite.any():
        raise errors.BadDataError(
            f"column {column.name!r} holds {numbers[infinite][0]} in row {first + int(infinite.argmax()) + 1:,}, "
            "which is infinite; every value must be a finite number or missing"
        )
    return numbers
