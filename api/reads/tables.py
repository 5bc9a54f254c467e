"""A dataset's rows and bytes, read from its Parquet file a piece at a time."""

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
_MOST_REMEMBERED = 10_000
_LONGEST_TEXT = 10_000


@dataclasses.dataclass(frozen=True)
class Content:
    """All rows of a version as bytes, a piece at a time."""

    length: int
    """How many bytes there are: without a declared length the server ends a body that broke off as if it were whole."""
    chunks: Iterator[bytes]
    close: Callable[[], None]
    """Closes the file, whether or not all of it was read."""


def rows(objects: store.Store, version: Any, *, limit: int) -> dict[str, Any]:
    """Read the first rows of a dataset's version, given its row; raises DamagedError, NotFoundError."""
    sound = _check(objects, version)
    with integrity.faults(sound.key, label=sound.label):
        return {"rows": first_rows(sound.open(), limit=limit)}


def open_content(objects: store.Store, version: Any, *, form: Literal["csv", "parquet"]) -> Content:
    """Open all rows of a version, given its row; raises DamagedError, NotFoundError."""
    sound = _check(objects, version)
    with integrity.faults(sound.key, label=sound.label):
        length = version.bytes if form == "parquet" else _csv_bytes(sound)
        file = sound.open()
    return Content(length, chunks_of(file) if form == "parquet" else stream_csv(file), file.close)


def chunks_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield a file's bytes a piece at a time, and close it."""
    with file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def first_rows(source: BinaryIO, *, limit: int) -> list[dict[str, Any]]:
    """Read the first rows as JSON values."""
    with source, _open(source) as file:
        for batch in file.iter_batches(batch_size=max(1, limit), use_threads=False):
            return [{name: _plain(value) for name, value in row.items()} for row in batch.slice(0, limit).to_pylist()]
    return []


def stream_csv(source: BinaryIO) -> Iterator[bytes]:
    """Give the table as CSV with a header, a batch of rows at a time."""
    with source, _open(source) as file:
        yield _csv(pa.RecordBatch.from_pylist([], schema=file.schema_arrow), header=True)
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
            yield _csv(batch, header=False)


@functools.lru_cache(maxsize=_MOST_REMEMBERED)
def _csv_bytes(sound: integrity.Sound) -> int:
    return sum(map(len, stream_csv(sound.open())))


def _open(file: BinaryIO) -> pyarrow.parquet.ParquetFile:
    """Open a file so that it is read a page at a time: a client that reads slowly shall not make us hold much."""
    return pyarrow.parquet.ParquetFile(file, pre_buffer=False, buffer_size=_READ_BYTES)


def _csv(batch: pa.RecordBatch, *, header: bool) -> bytes:
    sink = io.BytesIO()
    pyarrow.csv.write_csv(batch, sink, pyarrow.csv.WriteOptions(include_header=header))
    return sink.getvalue()


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, str):
        return value[:_LONGEST_TEXT]
    return value


def _check(objects: store.Store, version: Any) -> integrity.Sound:
    return integrity.check(objects, version.key, sha256=version.sha256, label=f"{version.name}@{version.version}")
