"""Reads a Parquet file in batches whose decoded size is bounded, whatever the file claims about itself."""

import collections
import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from shared import errors
from shared.objects import decoding
from workers.ingestion import decimals
from workers.ingestion.formats import extensions, int96, not_data
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
    """Its columns with the types that they have in batches: without dictionaries and extension types, and whole numbers
    as signed 64-bit integers where all of a column's values fit."""
    fields: pa.Schema
    """Its columns with the types that the file declares."""
    int96: int96.Int96Check | None
    """Checks its INT96 times, if it has any."""
    batch_rows: int
    """How many rows to read at once."""

    def notes(self, names: list[str]) -> list[str]:
        """Describe what reading has changed, by the names that the columns have in the dataset."""
        described = [extensions.describe(name, field) for name, field in zip(names, self.fields, strict=True)]
        by_name = dict(zip(self.fields.names, names, strict=True))
        return [note for note in described if note] + (self.int96.notes(by_name) if self.int96 else [])


@contextlib.contextmanager
def open_parquet(path: Path, *, limits: Limits) -> Iterator[ParquetTable]:
    """Open a Parquet file whose metadata is within the limits; BadDataError when it isn't a Parquet file."""
    not_data.refuse(path, skip_bytes=0, format_name="Parquet")
    try:
        with parquet.ParquetFile(path, buffer_size=READ_BUFFER_BYTES, pre_buffer=False) as file:
            _check_metadata(file.metadata, width=len(file.schema_arrow), limits=limits)
            intervals = _list_columns(file, lambda column: column.converted_type == "INTERVAL")
            fields = extensions.mark_intervals(file.schema_arrow, intervals)
        # Text stays in dictionaries until it is cut into batches: a few bytes can repeat a long value a million times.
        # Arrow can't keep text there whose values share their beginnings, so few rows of such columns are read at once.
        sharing = _list_sharing(file.metadata)
        text = [field.name for field in fields if _is_text(extensions.storage_type(field.type))]
        text = [name for name in text if name not in sharing]
        with parquet.ParquetFile(
            path,
            buffer_size=READ_BUFFER_BYTES,
            pre_buffer=False,
            read_dictionary=text,
            coerce_int96_timestamp_unit="us",
            # Text of an extension type would not stay in dictionaries; the types within lists are known by this only.
            arrow_extensions_enabled=not any(extensions.find_name(fields.field(name)) for name in text),
        ) as file:
            rows = _choose_batch_rows(file.metadata)
            if sharing:
                rows = min(rows, _bound_batch_rows(file))
            schema = _resolve_schema(file, fields=fields)
            yield ParquetTable(file, schema, fields, _check_int96(path, file, batch_rows=rows), rows)
    except (pa.ArrowException, OSError) as error:
        raise errors.BadDataError(
            f"The file can't be read as Parquet: {error}. It may be cut off, or another format; send it again."
        ) from error


def iterate_batches(table: ParquetTable, *, names: list[str], limits: Limits) -> Iterator[tuple[float, pa.RecordBatch]]:
    """Iterate over the fraction read (0 to 1) and the next rows, in batches of bounded size without dictionaries."""
    file, decoded_bytes, row = table.file, 0, 1
    for decoded in file.iter_batches(batch_size=table.batch_rows, use_threads=False):
        batch = decoded if table.int96 is None else table.int96.check(decoded)
        sizes = [_measure_values(column) for column in batch.columns]
        for name, lengths in zip(names, sizes, strict=True):
            longest = pc.max(lengths).as_py() or 0
            if longest > limits.field_bytes:
                limits.check_field(longest, column=name, row=row + pc.index(lengths, longest).as_py())
        batch_bytes = sum(pc.sum(lengths).as_py() or 0 for lengths in sizes)
        decoded_bytes += batch_bytes
        limits.check_decoded(decoded_bytes)
        if batch_bytes > limits.row_bytes:
            _check_rows(sizes, first_row=row, limits=limits)
        step = max(1, batch.num_rows * SLICE_BYTES // max(batch_bytes, SLICE_BYTES))
        for start in range(0, batch.num_rows, step):
            yield (row + start) / file.metadata.num_rows, _cast_batch(batch.slice(start, step), table)
        row += batch.num_rows


def _check_rows(sizes: list[pa.Array], *, first_row: int, limits: Limits) -> None:
    """Refuse rows that are too large, given the bytes of each value by column."""
    by_row = functools.reduce(pc.add, sizes)
    largest = pc.max(by_row).as_py()
    limits.check_row(largest, row=first_row + pc.index(by_row, largest).as_py())


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


def _list_sharing(metadata: parquet.FileMetaData) -> set[str]:
    """List the columns with values that share their beginnings, each by its path."""
    return {chunk.path_in_schema for _, chunk in _iterate_sharing(metadata)}


def _iterate_sharing(metadata: parquet.FileMetaData) -> Iterator[tuple[int, Any]]:
    for group in range(metadata.num_row_groups):
        for position in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(position)
            if decoding.shares_prefixes(chunk):
                yield group, chunk


def _bound_batch_rows(file: parquet.ParquetFile) -> int:
    """Compute how many rows may be read at once where values share their beginnings, by the longest of each column."""
    by_group: dict[int, int] = collections.Counter()
    for group, chunk in _iterate_sharing(file.metadata):
        by_group[group] += decoding.find_longest(file, chunk, group=group, max_bytes=SLICE_BYTES)
    return max(1, SLICE_BYTES // max(1, *by_group.values()))


def _measure_values(column: pa.Array) -> pa.Array:
    """Compute the bytes of each value of a column, once dictionaries are unpacked."""
    column = column.storage if isinstance(column.type, pa.BaseExtensionType) else column
    arrow_type = column.type
    if pa.types.is_dictionary(arrow_type):
        lengths = _measure_values(column.dictionary)
        return pc.fill_null(lengths.take(column.indices), 0)
    if _is_text(arrow_type) or pa.types.is_large_string(arrow_type) or pa.types.is_large_binary(arrow_type):
        return pc.fill_null(pc.binary_length(column), 0).cast(pa.int64())
    mean_bytes = column.nbytes // max(len(column), 1)
    return pa.repeat(pa.scalar(mean_bytes, pa.int64()), len(column))


def _list_columns(file: parquet.ParquetFile, test: Callable[[parquet.ColumnSchema], bool]) -> list[str]:
    """List the columns that pass a test, without those within lists and structures."""
    columns = [file.schema.column(position) for position in range(len(file.schema))]
    return [column.name for column in columns if column.path == column.name and test(column)]


def _check_int96(path: Path, file: parquet.ParquetFile, *, batch_rows: int) -> int96.Int96Check | None:
    # The times within lists and structures are only read to the microsecond.
    names = _list_columns(file, lambda column: column.physical_type == "INT96")
    if not names:
        return None
    return int96.Int96Check(path, names=names, batch_rows=batch_rows, buffer_bytes=READ_BUFFER_BYTES)


def _resolve_schema(file: parquet.ParquetFile, *, fields: pa.Schema) -> pa.Schema:
    """Resolve the columns' types; for wide whole numbers, from all of their values."""
    wide = [field.name for field in file.schema_arrow if decimals.is_wide(field.type)]
    too_wide: set[str] = set()
    batches = file.iter_batches(_choose_batch_rows(file.metadata), columns=wide, use_threads=False) if wide else ()
    for batch in batches:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if name in wide and name not in too_wide and not decimals.fit_int64(column):
                too_wide.add(name)
    return pa.schema(
        [
            (declared.name, _resolve_type(field, declared=declared, too_wide=too_wide))
            for field, declared in zip(file.schema_arrow, fields, strict=True)
        ]
    )


def _resolve_type(field: pa.Field, *, declared: pa.Field, too_wide: set[str]) -> pa.DataType:
    if extensions.find_name(declared):
        return extensions.plain_type(declared)
    arrow_type = field.type
    if pa.types.is_dictionary(arrow_type):
        return arrow_type.value_type
    if not decimals.is_wide(arrow_type):
        return arrow_type
    if field.name not in too_wide:
        return pa.int64()
    return UINT64_AS_DECIMAL if pa.types.is_uint64(arrow_type) else arrow_type


def _cast_batch(batch: pa.RecordBatch, table: ParquetTable) -> pa.RecordBatch:
    columns = [
        _cast(extensions.to_plain(column, declared), field.type)
        for column, field, declared in zip(batch.columns, table.schema, table.fields, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, names=[str(position) for position in range(len(columns))])


def _cast(column: pa.Array, arrow_type: pa.DataType) -> pa.Array:
    return column if column.type == arrow_type else column.cast(arrow_type)
