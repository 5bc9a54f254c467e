"""Concatenates CSV files of the same columns, each read as its own layout, encoding and dialect say."""

import csv
import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared import errors
from shared.ingestion.reading import CsvOptions
from workers.ingestion import names
from workers.ingestion.formats import csv_dialect, csv_layout, csv_rewriting, csv_text
from workers.ingestion.limits import Limits

CHUNK_BYTES = 1024 * 1024
PLAIN = csv_dialect.Dialect(",")
MAX_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Part:
    """The rows of one file, without its header."""

    name: str
    """The file's name, for messages."""
    path: Path
    skip_bytes: int
    dialect: csv_dialect.Dialect
    columns: list[str]
    notes: list[str]


def concatenate(
    paths: Sequence[Path],
    file_names: Sequence[str],
    *,
    target: Path,
    options: CsvOptions,
    scratch: Path,
    limits: Limits,
) -> tuple[dict[str, Any], list[str]]:
    """Write the rows of all files to `target`; return the options to read it with, and notes.

    Raises BadDataError, which names the file, where one can't be read or has other columns than the first.
    """
    folders = [scratch / f"part-{number}" for number in range(len(paths))]
    parts = [
        _prepare(path, name, options=options, scratch=folder, limits=limits)
        for path, name, folder in zip(paths, file_names, folders, strict=True)
    ]
    if len({part.dialect for part in parts}) > 1 or any(_may_be_open(part) for part in parts):
        parts = [
            part
            if part.dialect == PLAIN and part.skip_bytes == 0
            else _prepare(path, part.name, options=options, scratch=folder, limits=limits, is_tidy=False)
            for part, path, folder in zip(parts, paths, folders, strict=True)
        ]
    first = parts[0]
    notes = _collect_notes(parts)
    with target.open("wb") as file:
        file.write(_to_line(first.columns, first.dialect))
        for part, folder in zip(parts, folders, strict=True):
            if part.columns != first.columns:
                part = _reorder(part, first, scratch=folder)  # noqa: PLW2901
                notes.append(f"The columns of the file {part.name!r} stand in another order than those of the first.")
            _copy(part, file)
            shutil.rmtree(folder, ignore_errors=True)
    for path in paths:
        path.unlink(missing_ok=True)
    return _describe_dialect(first.dialect), notes


def _prepare(
    path: Path, name: str, *, options: CsvOptions, scratch: Path, limits: Limits, is_tidy: bool = True
) -> Part:
    scratch.mkdir(exist_ok=True)
    try:
        opened = csv_text.open_layout(path, options=options, scratch=scratch, limits=limits)
        layout, notes = opened.layout, opened.notes
        header = layout.header
        if is_tidy and layout.is_plain:
            columns, _ = names.resolve_names(header, limits=limits)
            return Part(name, opened.path, layout.skip_bytes, layout.dialect, columns, notes)
        rows = csv_rewriting.TidyRows(opened.path, layout, options, csv_text.name_place)
        kept = csv_rewriting.write(rows, target=scratch / "tidy")
        columns, renamed = names.resolve_names(header, limits=limits, kept=kept)
        part = Part(name, scratch / "tidy", 0, PLAIN, columns, [*notes, *rows.notes, *renamed])
        return part if len(kept) == len(columns) else _select(part, kept, scratch=scratch)
    except (errors.BadDataError, errors.LimitExceededError) as error:
        raise type(error)(f"The file {name!r}: {error.message}") from error


def _may_be_open(part: Part) -> bool:
    """Check whether a quote may be left open at the end of a file, where the next one would go on."""
    quote, count = part.dialect.quote.encode(), 0
    if not quote:
        return False
    with part.path.open("rb") as file:
        file.seek(part.skip_bytes)
        while chunk := file.read(CHUNK_BYTES):
            count += chunk.count(quote)
    return count % 2 == 1


def _reorder(part: Part, first: Part, *, scratch: Path) -> Part:
    """Bring the columns of a file in the order of the first; BadDataError when they are not the same."""
    if sorted(part.columns) != sorted(first.columns):
        lacking = [name for name in first.columns if name not in part.columns]
        surplus = [name for name in part.columns if name not in first.columns]
        differences = [
            *([f"lacks {_join_some(lacking)}"] if lacking else []),
            *([f"has {_join_some(surplus)} in addition"] if surplus else []),
        ]
        raise errors.BadDataError(
            f"The file {part.name!r} has other columns than the first, {first.name!r}: it {' and '.join(differences)}. "
            "Files that are read as one need the same columns."
        )
    return _select(part, [part.columns.index(name) for name in first.columns], scratch=scratch, dialect=first.dialect)


def _select(part: Part, positions: list[int], *, scratch: Path, dialect: csv_dialect.Dialect = PLAIN) -> Part:
    """Write a file with these columns only, by position."""
    target = scratch / "selected"
    rows = csv_layout.Layout(part.dialect, part.columns, part.skip_bytes, 0, []).records(part.path)
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = _create_writer(file, dialect)
        writer.writerows([record[position] for position in positions] for _, record in rows if record)
    columns = [part.columns[position] for position in positions]
    return dataclasses.replace(part, path=target, skip_bytes=0, dialect=dialect, columns=columns)


def _copy(part: Part, target: Any) -> None:
    """Append a file's rows, with a line end after the last one."""
    last = b"\n"
    with part.path.open("rb") as file:
        file.seek(part.skip_bytes)
        while chunk := file.read(CHUNK_BYTES):
            target.write(chunk)
            last = chunk[-1:]
    if last not in (b"\n", b"\r"):
        target.write(b"\n")


def _to_line(columns: list[str], dialect: csv_dialect.Dialect) -> bytes:
    """Write the names as the first line, each of which may have line breaks of its own."""
    parts: list[str] = []

    class _Collector:
        def write(self, text: str) -> None:
            parts.append(text)

    _create_writer(_Collector(), dialect).writerow(columns)
    return "".join(parts).encode()


def _create_writer(file: Any, dialect: csv_dialect.Dialect) -> Any:
    return csv.writer(
        file,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        escapechar=dialect.escape,
        doublequote=True,
        lineterminator="\n",
    )


def _describe_dialect(dialect: csv_dialect.Dialect) -> dict[str, Any]:
    return {
        "delimiter": dialect.delimiter,
        "quote": dialect.quote,
        "escape": dialect.escape,
        "encoding": "utf-8",
        "header": True,
        "skip_rows": None,
        "skip_footer": 0,
        "comment": None,
    }


def _collect_notes(parts: list[Part]) -> list[str]:
    """Collect the notes on all files; one that not all of them have names the first file that has it."""
    by_note: dict[str, list[str]] = {}
    for part in parts:
        for note in part.notes:
            by_note.setdefault(note, []).append(part.name)
    return [
        note if len(files) == len(parts) else f"The file {files[0]!r}{_count_others(files)}: {note}"
        for note, files in by_note.items()
    ]


def _count_others(files: list[str]) -> str:
    return f" and {len(files) - 1:,} more" if len(files) > 1 else ""


def _join_some(listed: list[str]) -> str:
    shown = ", ".join(repr(name[:60]) for name in listed[:MAX_SHOWN])
    return shown if len(listed) <= MAX_SHOWN else f"{shown} and {len(listed) - MAX_SHOWN:,} more"
