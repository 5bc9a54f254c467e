"""Decompresses an uploaded file, with limits on the bytes that come out."""

import gzip
import zlib
from pathlib import Path

from shared import errors
from workers.ingestion.limits import Limits

CHUNK_BYTES = 1024 * 1024

# The first bytes of files that are not text, and what each such file is.
FOREIGN_STARTS = (
    (b"\x1f\x8b", "a gzip file; set compression 'gzip', or for an upload `Content-Encoding: gzip`"),
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook; unpack it, or pack the table itself with gzip"),
    (b"PAR1", "a Parquet file; set format 'parquet', or for an upload its `Content-Type`"),
    (b"ARROW1", "an Arrow file; send Parquet instead"),
    (b"\x80\x02", "a Python pickle, which Millrace never reads; send CSV, JSON or Parquet"),
    (b"\x80\x03", "a Python pickle, which Millrace never reads; send CSV, JSON or Parquet"),
    (b"\x80\x04", "a Python pickle, which Millrace never reads; send CSV, JSON or Parquet"),
    (b"\x80\x05", "a Python pickle, which Millrace never reads; send CSV, JSON or Parquet"),
    (b"BZh", "a bzip2 file; pack it with gzip instead"),
    (b"\xfd7zXZ", "an xz file; pack it with gzip instead"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file; pack it with gzip instead"),
    (b"%PDF", "a PDF document; send CSV, JSON or Parquet"),
)


def unpack(source: Path, *, compression: str, scratch: Path, limits: Limits) -> Path:
    """Return the file with the unpacked bytes: the source itself, or a new file in `scratch` when it was gzip."""
    if source.stat().st_size == 0:
        raise errors.BadDataError("The file is empty (0 bytes); send a table with at least one row.")
    if compression == "none":
        limits.check_decoded(source.stat().st_size)
        return source
    target = scratch / "unpacked"
    try:
        _gunzip(source, target=target, limits=limits)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise errors.BadDataError(
            f"The file isn't complete gzip ({error}); send it again, or if it is not packed, set compression 'none', "
            "or for an upload leave out `Content-Encoding`."
        ) from error
    if target.stat().st_size == 0:
        raise errors.BadDataError("The gzip file is empty (0 bytes); send a table with at least one row.")
    return target


def _gunzip(source: Path, *, target: Path, limits: Limits) -> None:
    unpacked_bytes = 0
    with source.open("rb") as packed, gzip.GzipFile(fileobj=packed) as reader, target.open("wb") as writer:
        while chunk := reader.read(CHUNK_BYTES):
            unpacked_bytes += len(chunk)
            limits.check_unpacked(unpacked_bytes, packed_bytes=packed.tell())
            writer.write(chunk)


def refuse_foreign_file(path: Path, *, format_name: str) -> None:
    """Refuse a file that starts with the bytes of a format which is not text."""
    with path.open("rb") as file:
        start = file.read(8)
    for prefix, meaning in FOREIGN_STARTS:
        if start.startswith(prefix):
            raise errors.BadDataError(f"The file is declared as {format_name} but is {meaning}.")
