"""A dataset's rows and bytes, read from its Parquet file a piece at a time."""

import datetime
import functools
import io
import math
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal

import flask
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from api import door, soundness, streams

_BATCH_ROWS = 4 * 1024
_READ_BYTES = 64 * 1024
_MOST_REMEMBERED = 10_000
_LONGEST_TEXT = 10_000
_TYPES = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}


def show(row: Any, *, limit: int) -> list[dict[str, Any]]:
    """Give the first rows of a version as JSON values; raises DamagedError, NotFoundError."""
    sound = _see(row)
    with soundness.faults(sound.key, label=sound.label):
        return first_rows(sound.open(), limit=limit)


def send(row: Any, *, form: Literal["csv", "parquet"]) -> flask.Response:
    """Answer with all rows of a version; raises DamagedError, NotFoundError.

    The length is always declared. Without it the server ends a body that broke off as if it were whole; with it,
    the client sees that bytes are missing.
    """

    def make() -> flask.Response:
        sound = _see(row)
        with soundness.faults(sound.key, label=sound.label):
            length = row.bytes if form == "parquet" else _csv_bytes(sound)
            file = sound.open()
        stream = streams.chunks(file) if form == "parquet" else stream_csv(file)
        response = flask.Response(stream, content_type=_TYPES[form])
        response.call_on_close(file.close)
        response.content_length = length
        response.headers["Content-Disposition"] = f'attachment; filename="{row.name}-{row.version}.{form}"'
        return response

    return door.current().arrivals.streamed(door.client().key_id, make)


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
def _csv_bytes(sound: soundness.Sound) -> int:
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


def _see(row: Any) -> soundness.Sound:
    return soundness.see(row.key, sha256=row.sha256, label=f"{row.name}@{row.version}")
