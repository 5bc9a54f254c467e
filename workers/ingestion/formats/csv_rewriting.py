"""Writes the rows of an untidy CSV file as a tidy one: without comments and footers, each row as wide as the header.

docs/decisions/ingestion.md, "A CSV is read as a person would read it"
"""

import csv
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from shared import errors
from shared.ingestion.reading import CsvOptions
from workers.ingestion.formats import csv_footer, csv_layout, csv_notes

COMMENT = "#"
SHOWN_CHARACTERS = 120


@dataclasses.dataclass
class TidyRows:
    """The rows of a file, each with a field for each column; what is left out or filled in is counted."""

    path: Path
    layout: csv_layout.Layout
    options: CsvOptions
    locate: Callable[[int, int], str]
    """Names the place of a row by its number, counted from 1, and its line."""
    filled: list[bool] = dataclasses.field(default_factory=list)
    """For each column, whether any row has a value."""
    notes: list[str] = dataclasses.field(default_factory=list)
    """What was changed, once all rows were read."""

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Iterate over each row with its line; BadDataError for a row that is too short or too long."""
        width = len(self.layout.header)
        self.filled, self.notes = [False] * width, []
        counts = _Counts()
        footer = csv_footer.Footer(width, skip=self.options.skip_footer, has_total=self.layout.has_total)
        rows = 0
        for line, record in footer.hold(self._iterate_records(counts, width=width)):
            rows += 1
            row = self._fit(record, counts, place=(rows, line))
            if row is None:
                rows -= 1
                continue
            self.filled = [filled or bool(text) for filled, text in zip(self.filled, row, strict=True)]
            yield line, row
        self.notes = [*counts.describe(self.options), *footer.notes()]

    def _iterate_records(self, counts: "_Counts", *, width: int) -> Iterator[tuple[int, list[str]]]:
        for line, record in self.layout.records(self.path):
            if self.layout.comment is None and len(record) < width and record and record[0].startswith(COMMENT):
                counts.comments += 1
            elif record or width > 1:
                yield line, record
            else:
                yield line, [""]

    def _fit(self, record: list[str], counts: "_Counts", *, place: tuple[int, int]) -> list[str] | None:
        """Make a record as wide as the header; None when it is to be left out."""
        header = self.layout.header
        width, excess = len(header), len(record) - len(header)
        if excess == 0:
            return record
        if excess > 0:
            if any(text.strip() for text in record[width:]):
                self._refuse(record, place=place)
            counts.cut += 1
            return record[:width]
        if any(name.strip() for name in header[excess:]):
            if self.options.short_rows in (None, "fail"):
                self._refuse(record, place=place)
            counts.short += 1
            counts.first_short = counts.first_short or self.locate(*place)
            if self.options.short_rows == "skip":
                return None
        return [*record, *[""] * -excess]

    def _refuse(self, record: list[str], *, place: tuple[int, int]) -> NoReturn:
        width = len(self.layout.header)
        text = self.layout.dialect.delimiter.join(record)
        if len(record) > width:
            surplus = next(text for text in record[width:] if text.strip())
            remedy = (
                f"Every row needs as many fields as the header, but here {surplus[:SHOWN_CHARACTERS]!r} has no column; "
                "a field that contains the delimiter or a line break must be quoted."
            )
        else:
            remedy = (
                "Every row needs as many fields as the header; set `short_rows` to 'fill' or 'skip' if some have fewer."
            )
        raise errors.BadDataError(
            f"{self.locate(*place)} has {len(record):,} fields, but the header has {width:,}: "
            f"{text[:SHOWN_CHARACTERS]!r}. {remedy}"
        )


@dataclasses.dataclass
class _Counts:
    comments: int = 0
    cut: int = 0
    short: int = 0
    first_short: str = ""

    def describe(self, options: CsvOptions) -> list[str]:
        notes = []
        if self.comments:
            notes.append(
                f"Lines that begin with {COMMENT!r} were left out ({self.comments:,}); set `comment` to another "
                "character to keep such lines."
            )
        if self.cut:
            notes.append(f"Empty fields after the last column were left out (rows: {self.cut:,}).")
        if self.short:
            action = "left out" if options.short_rows == "skip" else "filled with missing values"
            notes.append(
                f"Rows with fewer fields than the header were {action}, as `short_rows` says ({self.short:,}); the "
                f"first is {self.first_short[:1].lower()}{self.first_short[1:]}."
            )
        return notes


def write(rows: TidyRows, *, target: Path) -> list[int]:
    """Write the rows as plain CSV without a header; return the columns that have a name or a value, by position."""
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows(row for _, row in rows)
    kept = [column for column, name in enumerate(rows.layout.header) if name.strip() or rows.filled[column]]
    if dropped := len(rows.layout.header) - len(kept):
        what = csv_notes.count(dropped, "column")
        rows.notes.append(f"{what} without a name and without a value {csv_notes.were(dropped)} left out.")
    return kept
