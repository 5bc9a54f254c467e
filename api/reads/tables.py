"""A dataset's rows and bytes, read from its Parquet file in chunks."""

import contextlib
import dataclasses
import datetime
import functools
import io
import math
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from api.reads import cursors, integrity
from shared import errors
from shared.objects import decoding, store

_BATCH_ROWS = 4 * 1024
_BATCH_BYTES = 4 * 1024 * 1024
"""What is decoded at once, which one request holds in memory a few times."""
_PAGE_BYTES = 32 * 1024 * 1024
"""What the rows of one page may have, with `_VALUE_BYTES` for each value's object and its place in a row."""
_VALUE_BYTES = 100
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


def read_rows(objects: store.Store, version: Any, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """Read a page of the rows of a dataset's version, given its row; raises DamagedError, NotFoundError."""
    first_row = int(cursors.unpack(cursor, pattern=r"\d{1,12}") or 0)
    verified = _check(objects, version)
    with integrity.translate_errors(verified.key, label=verified.label):
        rows, next_row = read_page(verified.open(), first_row=first_row, limit=limit)
    return {"rows": rows, "next_cursor": None if next_row is None else cursors.pack(str(next_row))}


def open_csv(objects: store.Store, version: Any) -> Content:
    """Open all rows of a version, given its row, as CSV; raises DamagedError, NotFoundError."""
    verified = _check(objects, version)
    with integrity.translate_errors(verified.key, label=verified.label):
        length = _count_csv_bytes(verified)
        file = verified.open()
    return Content(length, stream_csv(file), file.close)


def read_chunks(file: BinaryIO) -> Iterator[bytes]:
    """Yield a file's bytes in chunks, and close it."""
    with file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def read_page(source: BinaryIO, *, first_row: int, limit: int) -> tuple[list[dict[str, Any]], int | None]:
    """Read up to `limit` rows as JSON values, fewer where they are large, and which row comes next, if there is one.

    InvalidRequestError when a single row is too large.
    """
    page = _Page(first_row)
    with source, _open(source) as table, _refused_as_request():
        batches = table.iterate(max_rows=min(limit, _BATCH_ROWS), max_bytes=_BATCH_BYTES, first_row=first_row)
        for batch in batches:
            has_space = page.add(batch.slice(0, limit - len(page.rows)))
            if len(page.rows) == limit or not has_space:
                break
        next_row = first_row + len(page.rows)
        return page.rows, next_row if next_row < table.metadata.num_rows else None


class _Page:
    """Rows as JSON values, of which all together are bounded."""

    def __init__(self, first_row: int) -> None:
        self.rows: list[dict[str, Any]] = []
        self._first_row = first_row
        self._free_bytes = _PAGE_BYTES

    def add(self, batch: pa.RecordBatch) -> bool:
        """Add the rows for which there is space; return whether these were all."""
        shown = pa.RecordBatch.from_arrays(list(map(_cut_texts, batch.columns)), names=batch.schema.names)
        row_bytes = max(1, shown.nbytes // shown.num_rows + _VALUE_BYTES * shown.num_columns)
        count = min(shown.num_rows, self._free_bytes // row_bytes)
        if count == 0 and not self.rows:
            raise errors.InvalidRequestError(
                f"Row {self._first_row + 1:,} alone takes {row_bytes:,} bytes in {shown.num_columns:,} columns; a page "
                f"of rows may take {_PAGE_BYTES:,}. Its file can be read from `content`."
            )
        self._free_bytes -= count * row_bytes
        self.rows += [
            {name: _to_json(value) for name, value in row.items()} for row in shown.slice(0, count).to_pylist()
        ]
        return bool(count == shown.num_rows)


def stream_csv(source: BinaryIO) -> Iterator[bytes]:
    """Yield the table as CSV with a header, a batch of rows at a time."""
    with source, _open(source) as table, _refused_as_request():
        yield _write_csv(pa.RecordBatch.from_pylist([], schema=table.schema), header=True)
        for batch in table.iterate(max_rows=_BATCH_ROWS, max_bytes=_BATCH_BYTES):
            yield _write_csv(batch, header=False)


@functools.lru_cache(maxsize=_MAX_CACHED)
def _count_csv_bytes(verified: integrity.VerifiedObject) -> int:
    return sum(map(len, stream_csv(verified.open())))


def _open(file: BinaryIO) -> decoding.Table:
    """Open a file so that it is read in small pieces, not buffered whole: a slow client must not cost much memory."""
    return decoding.Table(file, buffer_bytes=_READ_BYTES, use_threads=False)


@contextlib.contextmanager
def _refused_as_request() -> Iterator[None]:
    """Let a table that can't be decoded within the limits be the request's error."""
    try:
        yield
    except errors.LimitExceededError as error:
        raise errors.InvalidRequestError(f"{error.message} The file can be read from `content`.") from error


def _write_csv(batch: pa.RecordBatch, *, header: bool) -> bytes:
    sink = io.BytesIO()
    pyarrow.csv.write_csv(batch, sink, pyarrow.csv.WriteOptions(include_header=header))
    return sink.getvalue()


def _cut_texts(column: pa.Array) -> pa.Array:
    return pc.utf8_slice_codeunits(column, 0, _MAX_TEXT_LENGTH) if pa.types.is_string(column.type) else column


def _to_json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat().replace("+00:00", "Z")
    return value


def _check(objects: store.Store, version: Any) -> integrity.VerifiedObject:
    return integrity.check(objects, version.key, sha256=version.sha256, label=f"{version.name}@{version.version}")
