"""Concatenates several files of the same format and columns into one."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from shared import errors
from shared.ingestion import sources
from workers.ingestion.formats import unpack
from workers.ingestion.limits import Limits
from workers.ingestion.sources import url

MAX_HEADER_BYTES = 1024 * 1024


def require_common_format(formats: Sequence[sources.Format | None]) -> sources.Format | None:
    """Return the single format of several files; BadDataError when they have different ones."""
    distinct = sorted({file_format or "unknown" for file_format in formats})
    if len(distinct) > 1:
        raise errors.BadDataError(
            f"The files have different formats ({', '.join(distinct)}); name files of a single format."
        )
    return formats[0]


def concatenate(paths: list[Path], *, file_format: sources.Format | None, limits: Limits, scratch: Path) -> Path:
    """Write one file with the rows of all, which are deleted; BadDataError when their columns differ."""
    if len(paths) == 1:
        return paths[0]
    unpacked_paths = _unpack_all(paths, limits=limits, scratch=scratch)
    target = scratch / "joined"
    if file_format == "parquet":
        _concatenate_parquet(unpacked_paths, target=target)
    elif file_format in ("csv", "ndjson"):
        _concatenate_lines(unpacked_paths, target=target, has_header=file_format == "csv")
    else:
        raise errors.BadDataError(
            "Several files can be read as one only when their names end in .csv, .ndjson or .parquet; these don't."
        )
    return target


def _unpack_all(paths: list[Path], *, limits: Limits, scratch: Path) -> list[Path]:
    unpacked_paths, total = [], 0
    for number, path in enumerate(paths):
        compression = url.detect_compression(path)
        unpacked = unpack.unpack(path, compression=compression, scratch=scratch, limits=limits)
        unpacked_paths.append(unpacked if unpacked == path else unpacked.rename(scratch / f"plain-{number}"))
        if compression == "gzip":
            path.unlink()
        total += unpacked_paths[-1].stat().st_size
        limits.check_decoded(total)
    return unpacked_paths


def _concatenate_lines(paths: list[Path], *, target: Path, has_header: bool) -> None:
    """Write the lines of all files one after the other, the header once; all headers must be equal, byte by byte."""
    header = b""
    with target.open("wb") as file:
        for number, path in enumerate(paths):
            with path.open("rb") as part:
                if has_header:
                    header = _check_header(part.readline(MAX_HEADER_BYTES), header=header, number=number)
                    file.write(header if number == 0 else b"")
                shutil.copyfileobj(part, file)
                ends_in_newline = part.tell() and _read_last_byte(path) == b"\n"
            file.write(b"" if ends_in_newline else b"\n")
            path.unlink()


def _check_header(line: bytes, *, header: bytes, number: int) -> bytes:
    line = line.rstrip(b"\r\n") + b"\n"
    if number and line != header:
        raise errors.BadDataError(
            f"File {number + 1:,} begins with {line[:100]!r}, but the first with {header[:100]!r}; "
            "files that are read as one need the same header."
        )
    return line


def _read_last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1)


def _concatenate_parquet(paths: list[Path], *, target: Path) -> None:
    schema: pa.Schema | None = None
    writer: parquet.ParquetWriter | None = None
    try:
        for number, path in enumerate(paths, start=1):
            with parquet.ParquetFile(path, pre_buffer=False) as file:
                schema = schema or file.schema_arrow.remove_metadata()
                if not file.schema_arrow.remove_metadata().equals(schema):
                    raise errors.BadDataError(f"File {number:,} has different columns or types from the first.")
                writer = writer or parquet.ParquetWriter(target, schema)
                for batch in file.iter_batches():
                    writer.write_batch(batch)
            path.unlink()
    except (pa.ArrowException, OSError) as error:
        raise errors.BadDataError(f"File {number:,} can't be read as Parquet: {error}.") from error
    finally:
        if writer is not None:
            writer.close()
