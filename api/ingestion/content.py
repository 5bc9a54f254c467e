"""A dataset's rows and bytes, read from its Parquet file a piece at a time."""

import datetime
import io
import math
from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

_BATCH_ROWS = 4 * 1024
_READ_BYTES = 64 * 1024
_CHUNK_BYTES = 256 * 1024
_LONGEST_TEXT = 10_000


def _open(file: BinaryIO) -> pyarrow.parquet.ParquetFile:
    """Open a file so that it is read a page at a time: a client that reads slowly shall not make us hold much."""
    return pyarrow.parquet.ParquetFile(file, pre_buffer=False, buffer_size=_READ_BYTES)


def first_rows(source: BinaryIO, *, limit: int) -> list[dict[str, Any]]:
    """Read the first rows as JSON values."""
    with source, _open(source) as file:
        for batch in file.iter_batches(batch_size=max(1, limit), use_threads=False):
            return [{name: _plain(value) for name, value in row.items()} for row in batch.slice(0, limit).to_pylist()]
    return []


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, str):
        return value[:_LONGEST_TEXT]
    return value


def stream_parquet(source: BinaryIO) -> Iterator[bytes]:
    """Give the file as it is."""
    with source:
        while chunk := source.read(_CHUNK_BYTES):
            yield chunk


def stream_csv(source: BinaryIO) -> Iterator[bytes]:
    """Give the table as CSV with a header, a batch of rows at a time."""
    with source, _open(source) as file:
        yield _csv(pa.RecordBatch.from_pylist([], schema=file.schema_arrow), header=True)
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
            yield _csv(batch, header=False)


def _csv(batch: pa.RecordBatch, *, header: bool) -> bytes:
    sink = io.BytesIO()
    pyarrow.csv.write_csv(batch, sink, pyarrow.csv.WriteOptions(include_header=header))
    return sink.getvalue()
