"""Finds the dialect of a CSV file, its delimiter and header, and the line on which a row starts."""

import csv
import dataclasses
import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from shared import errors
from workers.ingestion.limits import Limits

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_CHARACTERS = 256 * 1024
SAMPLE_RECORDS = 500
LINE_SEARCH_RECORDS = 20_000_000
DELIMITER_NAMES = {"\t": "tab"}


@dataclasses.dataclass(frozen=True)
class Dialect:
    """A delimiter, the names in the header, and notes for the user."""

    delimiter: str
    header: list[str]
    blank_lines: int
    """Blank lines before the header."""
    blank_bytes: int
    """Bytes of these lines."""
    notes: list[str]


def find_dialect(path: Path, *, skip_bytes: int, declared: str | None, limits: Limits) -> Dialect:
    """Find the delimiter from the first records, unless it is declared, and read the header with it."""
    with _open(path, skip_bytes=skip_bytes) as file:
        sample = file.read(SAMPLE_CHARACTERS)
        is_complete = not file.read(1)
    if not sample.strip():
        raise errors.BadDataError("The CSV contains only blanks; send a header and at least one row.")
    notes = []
    if declared is None:
        delimiter = _find_delimiter(sample, is_complete=is_complete)
        if delimiter != ",":
            notes.append(f"The delimiter was detected as {DELIMITER_NAMES.get(delimiter, delimiter)!r}.")
    else:
        delimiter = _check_delimiter(declared)
    header = _read_header(path, skip_bytes=skip_bytes, delimiter=delimiter, limits=limits)
    blank = sample[: len(sample) - len(sample.lstrip("\r\n"))]
    return Dialect(delimiter, header, len(blank.splitlines()), len(blank), notes)


def find_line(path: Path, *, skip_bytes: int, delimiter: str, row: int, has_one_column: bool) -> int | None:
    """Find the line on which a row starts (row 1 comes after the header); None when it can't be found."""
    if row > LINE_SEARCH_RECORDS:
        return None
    try:
        with _open(path, skip_bytes=skip_bytes) as file:
            reader = csv.reader(file, delimiter=delimiter)
            end = 0
            for record in reader:
                start, end = end + 1, reader.line_num
                if record or has_one_column:
                    if row == 0:
                        return start
                    row -= 1
    except csv.Error:
        return None
    return None


def _open(path: Path, *, skip_bytes: int) -> TextIO:
    file = path.open("rb")
    file.seek(skip_bytes)
    return io.TextIOWrapper(file, encoding="utf-8", newline="")


def _check_delimiter(declared: str) -> str:
    if not declared.isascii() or declared in '"\r\n\0' or not declared:
        raise errors.BadDataError(
            f"The delimiter {declared!r} can't be used; it must be one ASCII character "
            "that is neither a quote nor a line break, such as ',' or ';'."
        )
    return declared


def _find_delimiter(sample: str, *, is_complete: bool) -> str:
    """Choose the delimiter that splits the most records into as many fields as the header has."""
    best, best_score = DELIMITERS[0], (0.0, 1)
    for delimiter in DELIMITERS:
        counts = [len(record) for record in _sample_records(sample, delimiter=delimiter) if record]
        if not is_complete and len(counts) > 1 and len(counts) < SAMPLE_RECORDS:
            counts.pop()
        if not counts or counts[0] < 2:
            continue
        score = (round(counts.count(counts[0]) / len(counts), 1), counts[0])
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _sample_records(sample: str, *, delimiter: str) -> Iterator[list[str]]:
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
    try:
        yield from itertools.islice(reader, SAMPLE_RECORDS)
    except csv.Error:  # A field beyond the reader's own limit: judge by the records before it.
        return


def _read_header(path: Path, *, skip_bytes: int, delimiter: str, limits: Limits) -> list[str]:
    """Read the first record that is not blank, from no more of the file than a header may need."""
    max_characters = limits.columns * 4 * 100 + SAMPLE_CHARACTERS
    with _open(path, skip_bytes=skip_bytes) as file:
        text = file.read(max_characters)
    try:
        for record in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if record:
                return record
    except csv.Error as error:
        raise errors.LimitExceededError(
            f"The header can't be read: {error}. A column's name may have at most {limits.name_characters} "
            "characters; is a quote in the first line left open?"
        ) from error
    raise errors.BadDataError("The CSV contains only blank lines; send a header and at least one row.")
