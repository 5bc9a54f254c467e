"""A dataset's rows and bytes, read from its Parquet file in chunks."""

import dataclasses
import datetime
import functools
import io
import math
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Literal

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from api.reads import integrity
from shared.objects import store

_BATCH_ROWS = 4 * 1024
_READ_BYTES = 64 * 1024
_CHUNK_BYTES = 256 * 1024
_MAX_CACHED = 10_000
_MAX_TEXT_LENGTH = 10_000


@dataclasses.dataclass(frozen=True)
class Content:
    """All rows of a version as chunks of bytes."""

    length: int
    """The number of bytes: without a declared length the server ends a truncated body as if it were complete."""
    chunks: Iterator[bytes]
    close: Callable[[], None]
    """Closes the file, even when not all of it was read."""


def read_rows(objects: store.Store, version: Any, *, limit: int) -> dict[str, Any]:
    """Read the first rows of a dataset's version, given its row; raises DamagedError, NotFoundError."""
    verified = _check(objects, version)
    with integrity.translate_errors(verified.key, label=verified.label):
        return {"rows": read_first_rows(verified.open(), limit=limit)}


def open_content(objects: store.Store, version: Any, *, file_format: Literal["csv", "parquet"]) -> Content:
    """Open all rows of a version, given its row; raises DamagedError, NotFoundError."""
    verified = _check(objects, version)
    is_parquet = file_format == "parquet"
    with integrity.translate_errors(verified.key, label=verified.label):
        length = version.bytes if is_parquet else _count_csv_bytes(verified)
        file = verified.open()
    return Content(length, read_chunks(file) if is_parquet else stream_csv(file), file.close)


def read_chunks(file: BinaryIO) -> Iterator[bytes]:
    """Yield a file's bytes in chunks, and close it."""
    with file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def read_first_rows(source: BinaryIO, *, limit: int) -> list[dict[str, Any]]:
    """Read the first rows as JSON values."""
    with source, _open(source) as file:
        for batch in file.iter_batches(batch_size=max(1, limit), use_threads=False):
            return [{name: _to_json(value) for name, value in row.items()} for row in batch.slice(0, limit).to_pylist()]
    return []


def stream_csv(source: BinaryIO) -> Iterator[bytes]:
    """Yield the table as CSV with a header, a batch of rows at a time."""
    with source, _open(source) as file:
        yield _write_csv(pa.RecordBatch.from_pylist([], schema=file.schema_arrow), header=True)
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
            yield _write_csv(batch, header=False)


@functools.lru_cache(maxsize=_MAX_CACHED)
def _count_csv_bytes(verified: integrity.VerifiedObject) -> int:
    return sum(map(len, stream_csv(verified.open())))


def _open(file: BinaryIO) -> pyarrow.parquet.ParquetFile:
    """Open a file so that it is read in small pieces, not buffered whole: a slow client must not cost much memory."""
    return pyarrow.parquet.ParquetFile(file, pre_buffer=False, buffer_size=_READ_BYTES)


def _write_csv(batch: pa.RecordBatch, *, header: bool) -> bytes:
    sink = io.BytesIO()
    pyarrow.csv.write_csv(batch, sink, pyarrow.csv.WriteOptions(include_header=header))
    return sink.getvalue()


def _to_json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, str):
        return value[:_MAX_TEXT_LENGTH]
    return value


def _check(objects: store.Store, version: Any) -> integrity.VerifiedObject:
    return integrity.check(objects, version.key, sha256=version.sha256, label=f"{version.name}@{version.version}")
