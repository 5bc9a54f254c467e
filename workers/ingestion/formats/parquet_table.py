"""Reads a Parquet file piece by piece, in pieces whose decoded size is bounded whatever the file claims."""

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
PIECE_BYTES = 16 * 1024 * 1024
# What one column of one row group may take unpacked; a larger one is decoded in one go by no reader.
CHUNK_BYTES = 2 * GIBIBYTE
# Whole numbers of 64 bits without a sign, as decimals.
UNSIGNED = pa.decimal128(20, 0)


@dataclasses.dataclass(frozen=True)
class Opened:
    """A Parquet file that is read."""

    file: parquet.ParquetFile
    schema_arrow: pa.Schema
    """Its columns with the types that `pieces` gives them: without dictionaries, and with whole numbers as 64 bits
    where all of a column's values fit in these."""


@contextlib.contextmanager
def opened(path: Path, *, limits: Limits) -> Iterator[Opened]:
    """Open a Parquet file whose own account of its size is within the limits; BadDataError when it isn't one."""
    try:
        with parquet.ParquetFile(path, buffer_size=READ_BUFFER_BYTES, pre_buffer=False) as plain:
            _check_claims(plain.metadata, width=len(plain.schema_arrow), limits=limits)
            text = [field.name for field in plain.schema_arrow if _is_text(field.type)]
        # Text stays dictionaries until it is cut into pieces: a few bytes may stand for one long value a million times.
        with parquet.ParquetFile(path, buffer_size=READ_BUFFER_BYTES, pre_buffer=False, read_dictionary=text) as file:
            yield Opened(file, _settled(file))
    except (pa.ArrowException, OSError) as error:
        raise errors.BadDataError(
            f"The file can't be read as Parquet: {error}. It may be cut off, or another format; send it again."
        ) from error


def pieces(table: Opened, *, names: list[str], limits: Limits) -> Iterator[tuple[float, pa.RecordBatch]]:
    """Give how far it is (0 to 1) and the next rows, in pieces of bounded size with dictionaries unpacked."""
    file, decoded_bytes, row = table.file, 0, 1
    for batch in file.iter_batches(batch_size=_batch_rows(file.metadata), use_threads=False):
        sizes = [_value_bytes(column) for column in batch.columns]
        for name, lengths in zip(names, sizes, strict=True):
            longest = pc.max(lengths).as_py() or 0
            if longest > limits.field_bytes:
                limits.check_field(longest, column=name, row=row + pc.index(lengths, longest).as_py())
        batch_bytes = sum(pc.sum(lengths).as_py() or 0 for lengths in sizes)
        decoded_bytes += batch_bytes
        limits.check_decoded(decoded_bytes)
        step = max(1, batch.num_rows * PIECE_BYTES // max(batch_bytes, PIECE_BYTES))
        for start in range(0, batch.num_rows, step):
            yield (row + start) / file.metadata.num_rows, _cast(batch.slice(start, step), table.schema_arrow)
        row += batch.num_rows


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind))


def _check_claims(metadata: parquet.FileMetaData, *, width: int, limits: Limits) -> None:
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
            f"The file holds {values:,} values, those within lists counted; at most {limits.cells:,} are allowed."
        )


def _batch_rows(metadata: parquet.FileMetaData) -> int:
    """Choose fewer rows at once where there are many columns or long lists."""
    values: int = sum(
        metadata.row_group(group).column(position).num_values
        for group in range(metadata.num_row_groups)
        for position in range(metadata.num_columns)
    )
    rows: int = metadata.num_rows
    return max(1, min(BATCH_ROWS, BATCH_VALUES * rows // max(values, 1)))


def _value_bytes(column: pa.Array) -> pa.Array:
    """Give the bytes that each value of a column takes, once dictionaries are unpacked."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        lengths = _value_bytes(column.dictionary)
        return pc.fill_null(lengths.take(column.indices), 0)
    if _is_text(kind) or pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        return pc.fill_null(pc.binary_length(column), 0).cast(pa.int64())
    each = column.nbytes // max(len(column), 1)
    return pa.repeat(pa.scalar(each, pa.int64()), len(column))


def _settled(file: parquet.ParquetFile) -> pa.Schema:
    """Find the columns' types, those of wide whole numbers from all of their values."""
    wide = [field.name for field in file.schema_arrow if decimals.is_wide(field.type)]
    beyond: set[str] = set()
    batches = file.iter_batches(_batch_rows(file.metadata), columns=wide, use_threads=False) if wide else ()
    for batch in batches:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if name in wide and name not in beyond and not decimals.fit_integers(column):
                beyond.add(name)
    return pa.schema([(field.name, _settled_type(field, beyond=beyond)) for field in file.schema_arrow])


def _settled_type(field: pa.Field, *, beyond: set[str]) -> pa.DataType:
    kind = field.type
    if pa.types.is_dictionary(kind):
        return kind.value_type
    if not decimals.is_wide(kind):
        return kind
    if field.name not in beyond:
        return pa.int64()
    return UNSIGNED if pa.types.is_uint64(kind) else kind


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [
        column if column.type == field.type else column.cast(field.type)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, names=[str(position) for position in range(len(columns))])
