"""Concatenates several files of the same format and columns into one."""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from shared import errors
from shared.ingestion import sources
from shared.ingestion.reading import CsvOptions
from workers.ingestion.formats import text_encoding, unpack
from workers.ingestion.limits import Limits
from workers.ingestion.sources import csv_parts, url


def require_common_format(formats: Sequence[sources.Format | None]) -> sources.Format | None:
    """Return the single format of several files; BadDataError when they have different ones."""
    distinct = sorted({file_format or "unknown" for file_format in formats})
    if len(distinct) > 1:
        raise errors.BadDataError(
            f"The files have different formats ({', '.join(distinct)}); name files of a single format."
        )
    return formats[0]


@dataclasses.dataclass(frozen=True)
class Concatenated:
    """Several files as one."""

    path: Path
    csv: dict[str, Any] = dataclasses.field(default_factory=dict)
    """The options to read the file with, if it is CSV."""
    notes: list[str] = dataclasses.field(default_factory=list)


def concatenate(
    paths: list[Path],
    *,
    file_names: list[str],
    file_format: sources.Format | None,
    options: CsvOptions,
    limits: Limits,
    scratch: Path,
) -> Concatenated:
    """Write one file with the rows of all, which are deleted; BadDataError when their columns differ."""
    if len(paths) == 1:
        return Concatenated(paths[0])
    notes, filled = [], []
    for path, name in zip(paths, file_names, strict=True):
        if path.stat().st_size:
            filled.append((path, name))
        else:
            notes.append(f"The file {name!r} is empty (0 bytes) and was left out.")
    if not filled:
        raise errors.BadDataError("All files are empty (0 bytes); name one with at least one row.")
    unpacked_paths = _unpack_all(filled, limits=limits, scratch=scratch)
    target, names = scratch / "joined", [name for _, name in filled]
    csv_options: dict[str, Any] = {}
    if file_format == "parquet":
        _concatenate_parquet(unpacked_paths, names, target=target)
    elif file_format == "csv":
        csv_options, csv_notes = csv_parts.concatenate(
            unpacked_paths, names, target=target, options=options, scratch=scratch, limits=limits
        )
        notes += csv_notes
    elif file_format == "ndjson":
        _concatenate_lines(unpacked_paths, target=target, scratch=scratch)
    else:
        raise errors.BadDataError(
            "Several files can be read as one only when their names end in .csv, .ndjson or .parquet; these don't."
        )
    return Concatenated(target, csv_options, notes)


def _unpack_all(files: list[tuple[Path, str]], *, limits: Limits, scratch: Path) -> list[Path]:
    unpacked_paths, total = [], 0
    for number, (path, name) in enumerate(files):
        compression = url.detect_compression(path)
        try:
            unpacked = unpack.unpack(path, compression=compression, scratch=scratch, limits=limits)
        except errors.BadDataError as error:
            raise errors.BadDataError(f"The file {name!r}: {error.message}") from error
        unpacked_paths.append(unpacked if unpacked == path else unpacked.rename(scratch / f"plain-{number}"))
        if compression == "gzip":
            path.unlink()
        total += unpacked_paths[-1].stat().st_size
        limits.check_decoded(total)
    return unpacked_paths


def _concatenate_lines(paths: list[Path], *, target: Path, scratch: Path) -> None:
    """Write the lines of all files one after the other, in UTF-8."""
    with target.open("wb") as file:
        for path in paths:
            encoding = text_encoding.find_encoding(path, allow_fallback=False)
            utf8_path, skip_bytes = text_encoding.to_utf8(path, encoding=encoding, scratch=scratch)
            with utf8_path.open("rb") as part:
                part.seek(skip_bytes)
                shutil.copyfileobj(part, file)
                part.seek(-1, 2)
                file.write(b"" if part.read() == b"\n" else b"\n")
            path.unlink()


def _concatenate_parquet(paths: list[Path], names: list[str], *, target: Path) -> None:
    schema: pa.Schema | None = None
    writer: parquet.ParquetWriter | None = None
    try:
        for path, name in zip(paths, names, strict=True):
            with parquet.ParquetFile(path, pre_buffer=False) as file:
                # The metadata name the columns of a pandas index.
                schema = schema or file.schema_arrow
                if not file.schema_arrow.equals(schema, check_metadata=False):
                    raise errors.BadDataError(f"The file {name!r} has other columns or types than the first.")
                writer = writer or parquet.ParquetWriter(target, schema)
                for batch in file.iter_batches():
                    writer.write_batch(batch)
            path.unlink()
    except (pa.ArrowException, OSError) as error:
        raise errors.BadDataError(f"The file {name!r} can't be read as Parquet: {error}.") from error
    finally:
        if writer is not None:
            writer.close()
