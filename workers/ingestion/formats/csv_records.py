"""Reads a CSV file record by record: slower than Arrow, but it can skip comments and knows the line of each record."""

import csv
import dataclasses
import io
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from shared import errors
from workers.ingestion.formats import csv_dialect


@dataclasses.dataclass(frozen=True)
class Records:
    """The records of a file, from a place on."""

    path: Path
    _: dataclasses.KW_ONLY
    skip_bytes: int
    skip_lines: int
    """Lines before that place."""
    dialect: csv_dialect.Dialect
    comment: str | None = None
    """The character that begins a line to leave out."""

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Iterate over each record with the line on which it starts; a blank line is an empty record.

        Raises BadDataError, after the record that it belongs to, for a quote that is never closed.
        """
        mark = secrets.token_hex(12)
        with open_text(self.path, skip_bytes=self.skip_bytes) as file:
            lines = _Lines(file, comment=self.comment, mark=mark, line=self.skip_lines)
            try:
                for record in self.dialect.read(lines):
                    if record == [mark]:
                        return
                    yield lines.start, record
                    if record and mark in record[-1]:
                        raise errors.BadDataError(f"Line {lines.start:,}: {OPEN_QUOTE}")
                    lines.is_between_records = True
            except csv.Error as error:
                raise errors.LimitExceededError(
                    f"Line {lines.start:,} can't be read: {error}; most likely a quote is opened there and never "
                    "closed."
                ) from error


OPEN_QUOTE = (
    "a quote is opened and never closed before the file ends. "
    'Close it, and double a quote within quotes ("") or set `escape`.'
)


def open_text(path: Path, *, skip_bytes: int) -> TextIO:
    """Open a file of UTF-8 without changing its line ends."""
    file = path.open("rb")
    file.seek(skip_bytes)
    return io.TextIOWrapper(file, encoding="utf-8", newline="")


class _Lines(Iterator[str]):
    """The lines of a file without its comments, and a mark as the last one."""

    def __init__(self, file: TextIO, *, comment: str | None, mark: str, line: int) -> None:
        self._file = file
        self._comment = comment
        self._mark: str | None = mark
        self._line = line
        self._ends_in_newline = True
        self.start = line + 1
        self.is_between_records = True

    def __next__(self) -> str:
        for text in self._file:
            self._line += 1
            if self.is_between_records and self._comment is not None and text.startswith(self._comment):
                continue
            self._start()
            return text
        if self._mark is None:
            raise StopIteration
        self._line += 1
        self._start()
        mark, self._mark = self._mark, None
        return mark

    def _start(self) -> None:
        if self.is_between_records:
            self.start, self.is_between_records = self._line, False
