"""Makes one file of several that have the same format and columns."""

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

LONGEST_HEADER_BYTES = 1024 * 1024


def common_format(formats: Sequence[sources.Format | None]) -> sources.Format | None:
    """Give the one format that files have by their names; BadDataError when there are several."""
    kinds = sorted({form or "unknown" for form in formats})
    if len(kinds) > 1:
        raise errors.BadDataError(f"The files have different formats ({', '.join(kinds)}); name those of one.")
    return formats[0]


def join(paths: list[Path], *, form: sources.Format | None, limits: Limits, scratch: Path) -> Path:
    """Give one file with the rows of all, which are used up; BadDataError when they don't fit each other."""
    if len(paths) == 1:
        return paths[0]
    plain = _unpacked(paths, limits=limits, scratch=scratch)
    target = scratch / "joined"
    if form == "parquet":
        _join_parquet(plain, target=target)
    elif form in ("csv", "ndjson"):
        _join_lines(plain, target=target, has_header=form == "csv")
    else:
        raise errors.BadDataError(
            "Several files can be read as one when their names end in .csv, .ndjson or .parquet; these don't."
        )
    return target


def _unpacked(paths: list[Path], *, limits: Limits, scratch: Path) -> list[Path]:
    plain, total = [], 0
    for number, path in enumerate(paths):
        packed = url.packed_as(path)
        opened = unpack.unpack(path, compression=packed, scratch=scratch, limits=limits)
        plain.append(opened if opened == path else opened.rename(scratch / f"plain-{number}"))
        if packed == "gzip":
            path.unlink()
        total += plain[-1].stat().st_size
        limits.check_decoded(total)
    return plain


def _join_lines(paths: list[Path], *, target: Path, has_header: bool) -> None:
    """Write the lines of all files behind each other, a header once; it must be the same, byte by byte."""
    header = b""
    with target.open("wb") as file:
        for number, path in enumerate(paths):
            with path.open("rb") as part:
                if has_header:
                    header = _check_header(part.readline(LONGEST_HEADER_BYTES), header=header, number=number)
                    file.write(header if number == 0 else b"")
                shutil.copyfileobj(part, file)
                ends = part.tell() and _last_byte(path) == b"\n"
            file.write(b"" if ends else b"\n")
            path.unlink()


def _check_header(line: bytes, *, header: bytes, number: int) -> bytes:
    line = line.rstrip(b"\r\n") + b"\n"
    if number and line != header:
        raise errors.BadDataError(
            f"File {number + 1:,} begins with {line[:100]!r}, but the first with {header[:100]!r}; "
            "files that are read as one need the same header."
        )
    return line


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1)


def _join_parquet(paths: list[Path], *, target: Path) -> None:
    schema: pa.Schema | None = None
    writer: parquet.ParquetWriter | None = None
    try:
        for number, path in enumerate(paths, start=1):
            with parquet.ParquetFile(path, pre_buffer=False) as file:
                schema = schema or file.schema_arrow.remove_metadata()
                if not file.schema_arrow.remove_metadata().equals(schema):
                    raise errors.BadDataError(f"File {number:,} has other columns or types than the first.")
                writer = writer or parquet.ParquetWriter(target, schema)
                for batch in file.iter_batches():
                    writer.write_batch(batch)
            path.unlink()
    except (pa.ArrowException, OSError) as error:
        raise errors.BadDataError(f"File {number:,} can't be read as Parquet: {error}.") from error
    finally:
        if writer is not None:
            writer.close()
