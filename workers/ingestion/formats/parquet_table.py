"""Reads a Parquet file in batches whose decoded size is bounded, whatever the file claims about itself."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from shared import errors
from workers.ingestion import decimals
from workers.ingestion.limits import GIBIBYTE, Limits

READ_BUFFER_BYTES = 1024 * 1024
BATCH_ROWS = 65_536
BATCH_VALUES = 1_000_000
SLICE_BYTES = 16 * 1024 * 1024
# The most bytes that one column of one row group may unpack to; no reader decodes a larger one at once.
CHUNK_BYTES = 2 * GIBIBYTE
# The type of unsigned 64-bit integers that do not fit in signed ones.
UINT64_AS_DECIMAL = pa.decimal128(20, 0)


@dataclasses.dataclass(frozen=True)
class ParquetTable:
    """A Parquet file that is open for reading."""

    file: parquet.ParquetFile
    schema: pa.Schema
    """Its columns with the types that they have in batches: without dictionaries, and whole numbers as signed 64-bit
    integers where all of a column's values fit."""


@contextlib.contextmanager
def open_parquet(path: Path, *, limits: Limits) -> Iterator[ParquetTable]:
    """Open a Parquet file whose metadata is within the limits; BadDataError when it isn't a Parquet file."""
    try:
        with parquet.ParquetFile(path, buffer_size=READ_BUFFER_BYTES, pre_buffer=False) as file:
            _check_metadata(file.metadata, width=len(file.schema_arrow), limits=limits)
            text = [field.name for field in file.schema_arrow if _is_text(field.type)]
        # Text stays in dictionaries until it is cut into batches: a few bytes can repeat a long value a million times.
        with parquet.ParquetFile(path, buffer_size=READ_BUFFER_BYTES, pre_buffer=False, read_dictionary=text) as file:
            yield ParquetTable(file, _resolve_schema(file))
    except (pa.ArrowException, OSError) as error:
        raise errors.BadDataError(
            f"The file can't be read as Parquet: {error}. It may be cut off, or another format; send it again."
        ) from error


def iterate_batches(table: ParquetTable, *, names: list[str], limits: Limits) -> Iterator[tuple[float, pa.RecordBatch]]:
    """Iterate over the fraction read (0 to 1) and the next rows, in batches of bounded size without dictionaries."""
    file, decoded_bytes, row = table.file, 0, 1
    for batch in file.iter_batches(batch_size=_choose_batch_rows(file.metadata), use_threads=False):
        sizes = [_measure_values(column) for column in batch.columns]
        for name, lengths in zip(names, sizes, strict=True):
            longest = pc.max(lengths).as_py() or 0
            if longest > limits.field_bytes:
                limits.check_field(longest, column=name, row=row + pc.index(lengths, longest).as_py())
        batch_bytes = sum(pc.sum(lengths).as_py() or 0 for lengths in sizes)
        decoded_bytes += batch_bytes
        limits.check_decoded(decoded_bytes)
        step = max(1, batch.num_rows * SLICE_BYTES // max(batch_bytes, SLICE_BYTES))
        for start in range(0, batch.num_rows, step):
            yield (row + start) / file.metadata.num_rows, _cast_batch(batch.slice(start, step), table.schema)
        row += batch.num_rows


def _is_text(arrow_type: pa.DataType) -> bool:
    return bool(pa.types.is_string(arrow_type) or pa.types.is_binary(arrow_type))


def _check_metadata(metadata: parquet.FileMetaData, *, width: int, limits: Limits) -> None:
    limits.check_shape(metadata.num_rows, columns=max(width, metadata.num_columns))
    values = unpacked = 0
    for group in range(metadata.num_row_groups):
        for position in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(position)
            values += chunk.num_values
            unpacked += chunk.total_uncompressed_size
            if chunk.total_uncompressed_size > CHUNK_BYTES:
                raise errors.LimitExceededError(
                    f"Column {position + 1:,} of row group {group + 1:,} unpacks to "
                    f"{chunk.total_uncompressed_size:,} bytes; at most {CHUNK_BYTES:,} are allowed. "
                    "Write smaller row groups."
                )
    limits.check_decoded(unpacked)
    if values > limits.cells:
        raise errors.LimitExceededError(
            f"The file holds {values:,} values, including those within lists; at most {limits.cells:,} are allowed."
        )


def _choose_batch_rows(metadata: parquet.FileMetaData) -> int:
    """Choose how many rows to read at once: fewer where there are many columns or long lists."""
    values: int = sum(
        metadata.row_group(group).column(position).num_values
        for group in range(metadata.num_row_groups)
        for position in range(metadata.num_columns)
    )
    rows: int = metadata.num_rows
    return max(1, min(BATCH_ROWS, BATCH_VALUES * rows // max(values, 1)))


def _measure_values(column: pa.Array) -> pa.Array:
    """Compute the bytes of each value of a column, once dictionaries are unpacked."""
    arrow_type = column.type
    if pa.types.is_dictionary(arrow_type):
        lengths = _measure_values(column.dictionary)
        return pc.fill_null(lengths.take(column.indices), 0)
    if _is_text(arrow_type) or pa.types.is_large_string(arrow_type) or pa.types.is_large_binary(arrow_type):
        return pc.fill_null(pc.binary_length(column), 0).cast(pa.int64())
    mean_bytes = column.nbytes // max(len(column), 1)
    return pa.repeat(pa.scalar(mean_bytes, pa.int64()), len(column))


def _resolve_schema(file: parquet.ParquetFile) -> pa.Schema:
    """Resolve the columns' types; for wide whole numbers, from all of their values."""
    wide = [field.name for field in file.schema_arrow if decimals.is_wide(field.type)]
    too_wide: set[str] = set()
    batches = file.iter_batches(_choose_batch_rows(file.metadata), columns=wide, use_threads=False) if wide else ()
    for batch in batches:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if name in wide and name not in too_wide and not decimals.fit_int64(column):
                too_wide.add(name)
    return pa.schema([(field.name, _resolve_type(field, too_wide=too_wide)) for field in file.schema_arrow])


def _resolve_type(field: pa.Field, *, too_wide: set[str]) -> pa.DataType:
    arrow_type = field.type
    if pa.types.is_dictionary(arrow_type):
        return arrow_type.value_type
    if not decimals.is_wide(arrow_type):
        return arrow_type
    if field.name not in too_wide:
        return pa.int64()
    return UINT64_AS_DECIMAL if pa.types.is_uint64(arrow_type) else arrow_type


def _cast_batch(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [
        column if column.type == field.type else column.cast(field.type)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, names=[str(position) for position in range(len(columns))])
