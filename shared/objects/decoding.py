"""Reads Parquet in batches whose decoded size is bounded, whatever the file holds.

A few bytes of a file can repeat a long value a million times, so long texts that a file keeps in a dictionary stay
there until rows are cut into batches; and where values share what they begin with, the longest is looked for first.
docs/decisions/storage.md, "What is read of a table is bounded by its decoded bytes".
"""

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Self

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from shared import errors

_VALUE_BYTES = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8}
_MOST_VALUE_BYTES = 16
_INDEX_BYTES = 4
_LONG_BYTES = 1024
"""Texts in a dictionary of shorter ones are decoded as they are read, which is faster."""
_SHARED_PREFIXES = "DELTA_BYTE_ARRAY"
"""The encoding in which a value may repeat what the one before it began with."""
_MOST_DICTIONARY_BYTES = 256 * 1024**2
"""What the dictionaries of a row group, which are held at once, may take together."""
_COLUMNS_AT_ONCE = 64
_DICTIONARY_ENCODINGS = {"PLAIN_DICTIONARY", "RLE_DICTIONARY"}


class Table:
    """A Parquet file that is open for reading; a context manager that closes what it has opened."""

    def __init__(self, source: Path | BinaryIO, *, buffer_bytes: int, use_threads: bool = True) -> None:
        """Read the file's metadata; its pages are read later, through a buffer of this size."""
        self._source = source
        self._options: dict[str, Any] = {"buffer_size": buffer_bytes, "pre_buffer": False}
        self._use_threads = use_threads
        self._file = parquet.ParquetFile(source, **self._options)
        self._undecoded: list[str] = []
        self.metadata: parquet.FileMetaData = self._file.metadata
        self.schema: pa.Schema = self._file.schema_arrow

    def iterate(
        self, *, max_rows: int, max_bytes: int, columns: list[str] | None = None, first_row: int = 0
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows from `first_row` on, in batches that have more bytes only where a single row has."""
        skipped = first_row
        for number in range(self.metadata.num_row_groups):
            group = self.metadata.row_group(number)
            if skipped >= group.num_rows:
                skipped -= group.num_rows
                continue
            chunks = _list_chunks(group, columns)
            repeated = _list_repeated(chunks, max_rows=max_rows, max_bytes=max_bytes)
            longest = self._find_longest(number, repeated)
            long = [name for name, length in longest.items() if length > _LONG_BYTES]
            for chunk in chunks:
                if shares_prefixes(chunk) and chunk.total_uncompressed_size * min(max_rows, group.num_rows) > max_bytes:
                    name = chunk.path_in_schema
                    longest[name] = find_longest(self._file, chunk, group=number, max_bytes=max_bytes)
            row_bytes = sum(_estimate_value_bytes(chunk, group.num_rows, longest, long) for chunk in chunks)
            batches = self._keeping(long).iter_batches(
                batch_size=int(max(1, min(max_rows, max_bytes / max(row_bytes, 1)))),
                row_groups=[number],
                columns=columns,
                use_threads=self._use_threads,
            )
            for batch in batches:
                rest = batch.slice(min(skipped, batch.num_rows))
                skipped -= batch.num_rows - rest.num_rows
                yield from map(_decode, _cut(rest, max_bytes=max_bytes))

    def _find_longest(self, number: int, names: list[str]) -> dict[str, int]:
        """Find how long the longest value in the dictionary of each column of a row group is, in bytes."""
        if not names:
            return {}
        file, total = self._keeping(names), 0
        longest: dict[str, int] = {}
        for start in range(0, len(names), _COLUMNS_AT_ONCE):
            some = names[start : start + _COLUMNS_AT_ONCE]
            row = next(file.iter_batches(batch_size=1, row_groups=[number], columns=some, use_threads=False))
            dictionaries = [column.dictionary for column in row.columns]
            total += sum(values.nbytes for values in dictionaries)
            if total > _MOST_DICTIONARY_BYTES:
                raise errors.LimitExceededError(
                    f"The dictionaries of the columns take more than {_MOST_DICTIONARY_BYTES:,} bytes in row group "
                    f"{number + 1:,}; write smaller row groups, or these columns without dictionaries."
                )
            longest |= {
                name: pc.max(pc.binary_length(values)).as_py() or 0
                for name, values in zip(row.schema.names, dictionaries, strict=True)
            }
        return longest

    def _keeping(self, names: list[str]) -> parquet.ParquetFile:
        """Return the file, opened such that it keeps the dictionaries of these columns."""
        if names != self._undecoded:
            self._file.close()
            self._file = parquet.ParquetFile(
                self._source, metadata=self.metadata, read_dictionary=names, **self._options
            )
            self._undecoded = names
        return self._file

    def __enter__(self) -> Self:
        """Return the table."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        """Close what it has opened, which a file object that it was given is not."""
        self._file.close()


def shares_prefixes(chunk: Any) -> bool:
    """Tell whether values of a row group's column may repeat what the ones before them began with."""
    return _SHARED_PREFIXES in chunk.encodings


def find_longest(file: parquet.ParquetFile, chunk: Any, *, group: int, max_bytes: int) -> int:
    """Find how long the longest value of a row group's column is, in bytes, while few are decoded at once.

    No value is longer than what all that is stored of its column unpacks to.
    """
    rows = max(1, max_bytes // max(1, chunk.total_uncompressed_size))
    batches = file.iter_batches(rows, row_groups=[group], columns=[chunk.path_in_schema], use_threads=False)
    return max((measure_longest(batch.column(0)) for batch in batches), default=0)


def measure_longest(column: pa.Array) -> int:
    """Compute how long the longest value is, in bytes; of lists and structures, those of a row together."""
    if pa.types.is_nested(column.type):
        return max((column.slice(row, 1).nbytes for row in range(len(column))), default=0)
    return pc.max(pc.binary_length(column)).as_py() or 0


def measure(batch: pa.RecordBatch) -> int:
    """Compute the bytes of a batch once its dictionaries are decoded."""
    return sum(map(_measure_column, batch.columns))


def _measure_column(column: pa.Array) -> int:
    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    lengths = pc.binary_length(column.dictionary).cast(pa.int64())
    return pc.sum(lengths.take(column.indices)).as_py() or 0


def _list_chunks(group: Any, columns: list[str] | None) -> list[Any]:
    chosen = None if columns is None else set(columns)
    chunks = [group.column(position) for position in range(group.num_columns)]
    return [chunk for chunk in chunks if chosen is None or chunk.path_in_schema in chosen]


def _list_repeated(chunks: list[Any], *, max_rows: int, max_bytes: int) -> list[str]:
    """List the columns of a row group that keep texts in dictionaries; none where even so no batch can be too large.

    No value is longer than what all that is stored of its column unpacks to.
    """
    repeated = [
        chunk
        for chunk in chunks
        if chunk.physical_type == "BYTE_ARRAY" and not _DICTIONARY_ENCODINGS.isdisjoint(chunk.encodings)
    ]
    most_bytes = sum(chunk.total_uncompressed_size * min(max_rows, chunk.num_values) for chunk in repeated)
    return [chunk.path_in_schema for chunk in repeated] if most_bytes > max_bytes else []


def _estimate_value_bytes(chunk: Any, rows: int, longest: dict[str, int], undecoded: list[str]) -> float:
    """Estimate how many bytes a value of a row group's column takes as it is read, at most or on average."""
    if chunk.physical_type != "BYTE_ARRAY":
        return _VALUE_BYTES.get(chunk.physical_type, _MOST_VALUE_BYTES)
    if chunk.path_in_schema in undecoded:
        return _INDEX_BYTES
    return float(longest.get(chunk.path_in_schema, 0) + chunk.total_uncompressed_size / max(rows, 1))


def _cut(batch: pa.RecordBatch, *, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """Halve a batch until every part is within the limit, or a single row."""
    if batch.num_rows <= 1 or measure(batch) <= max_bytes:
        if batch.num_rows:
            yield batch
        return
    half = batch.num_rows // 2
    yield from _cut(batch.slice(0, half), max_bytes=max_bytes)
    yield from _cut(batch.slice(half), max_bytes=max_bytes)


def _decode(batch: pa.RecordBatch) -> pa.RecordBatch:
    if not any(pa.types.is_dictionary(column.type) for column in batch.columns):
        return batch
    columns = [
        column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
