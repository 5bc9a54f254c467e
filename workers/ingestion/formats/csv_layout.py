"""Finds out how a CSV file is laid out: where its names and its rows are, and whether every row is plain.

docs/decisions/ingestion.md, "A CSV is read as a person would read it"
"""

import csv
import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

from shared import errors
from shared.ingestion.reading import CsvOptions
from workers.ingestion.formats import csv_dialect, csv_header, csv_hint, csv_notes, csv_records, csv_tail, value_forms
from workers.ingestion.limits import Limits

SAMPLE_CHARACTERS = 256 * 1024
SAMPLE_RECORDS = 500
COMMENT = "#"


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the rows of a file are, and how they are written."""

    dialect: csv_dialect.Dialect
    header: list[str]
    """The columns' names as they stand in the file; a blank one stands for a column without a name."""
    skip_bytes: int
    """Bytes before the first row."""
    skip_lines: int
    """Lines before the first row."""
    notes: list[str]
    comment: str | None = None
    is_plain: bool = True
    """Whether each row seems to have a field for each column, and the file nothing but rows below the header."""
    has_total: bool = False
    """Whether a row at the end begins like a total."""

    def records(self, path: Path) -> csv_records.Records:
        """Return the records below the header."""
        return csv_records.Records(
            path,
            skip_bytes=self.skip_bytes,
            skip_lines=self.skip_lines,
            dialect=self.dialect,
            comment=self.comment,
        )


@dataclasses.dataclass(frozen=True)
class _Record:
    fields: list[str]
    first: int
    """The number of its first line among the lines of the sample, from 0."""
    end: int
    """The number of the line after it."""


def find_layout(
    path: Path, *, skip_bytes: int, options: CsvOptions, has_backslash: bool = True, limits: Limits
) -> Layout:
    """Find the layout from the first records and the last lines; BadDataError when there is no header."""
    lines, is_complete = _read_sample(path, skip_bytes=skip_bytes, limits=limits)
    hint = csv_hint.read(path, skip_bytes=skip_bytes, declared=options.delimiter)
    options = options.model_copy(update={"delimiter": hint.delimiter})
    skipped, notes = max(hint.lines, _count_skipped(options)), list(hint.notes)
    if options.header is None and options.skip_rows is None and options.comment is None:
        skipped += _count_comments(lines[skipped:], options=options)
    if not any(line.strip() for line in lines[skipped:]):
        raise errors.BadDataError(
            "The CSV contains only blanks or skipped lines; send a header and at least one row."
            if skipped
            else "The CSV contains only blanks; send a header and at least one row."
        )
    dialect, dialect_notes = csv_dialect.find_dialect(lines[skipped:], options=options, is_complete=is_complete)
    if options.escape is None and options.quote is None and has_backslash:
        dialect, escape_notes = csv_dialect.find_escape(path, dialect=dialect)
        dialect_notes += escape_notes
    records = _split(lines, skipped=skipped, dialect=dialect, comment=options.comment, is_complete=is_complete)
    _refuse_open_quote(records[0], lines=lines, dialect=dialect, is_complete=is_complete)
    header, start = _find_names(records, options=options)
    names = header.fields if header else _number_columns(records, options=options)
    rows = [record.fields for record in records if record.first >= start and record.fields]
    if header:
        notes += csv_notes.describe_header(header.fields, rows=rows, line=header.first + 1)
    notes += dialect_notes + _describe_skipped(lines, header=header, start=start, records=records, options=options)
    if header and _lacks_first_name(names, rows=rows, is_quoted=_are_quoted(lines, records, start=start)):
        names = ["", *names]
        notes.append("Each row has a field more than the header, so the first column has no name, as R writes it.")
    names = [names[0].removeprefix(COMMENT).lstrip(), *names[1:]] if header and _is_comment(header, lines) else names
    tail = csv_tail.read(path, skip_bytes=skip_bytes, dialect=dialect) if len(names) > 1 else []
    is_plain = (
        options.comment is None
        and not options.skip_footer
        and dialect.literal_escape is None
        and (dialect.escape is None or options.escape is not None)
        and not _has_empty_nameless(names, rows=rows)
        and (options.skip_footer == 0 or csv_tail.is_plain(tail))
    )
    size = len("".join(lines[:start]).encode())
    return Layout(dialect, names, skip_bytes + size, start, notes, options.comment, is_plain, csv_tail.has_total(tail))


def _read_sample(path: Path, *, skip_bytes: int, limits: Limits) -> tuple[list[str], bool]:
    """Read the first lines, and whether they are all; more of them where a line is as long as a header may be."""
    for characters in (SAMPLE_CHARACTERS, limits.columns * 4 * 100 + SAMPLE_CHARACTERS):
        with csv_records.open_text(path, skip_bytes=skip_bytes) as file:
            lines = file.read(characters).splitlines(keepends=True)
            is_complete = not file.read(1)
        if is_complete or len(lines) > 2:
            break
    return lines, is_complete


def _count_skipped(options: CsvOptions) -> int:
    """Count the lines that the options skip above the header."""
    is_line = options.header is not None and not isinstance(options.header, bool)
    return (options.header or 1) - 1 if is_line else options.skip_rows or 0


def _count_comments(lines: list[str], *, options: CsvOptions) -> int:
    """Count the comments at the start, without one that holds the names."""
    comments = list(itertools.takewhile(lambda line: line.startswith(COMMENT) or not line.strip(), lines))
    if not any(line.startswith(COMMENT) for line in comments) or len(comments) == len(lines):
        return 0
    last = max(index for index, line in enumerate(comments) if line.strip())
    for delimiter in [options.delimiter] if options.delimiter else csv_dialect.DELIMITERS:
        names, row = next(csv.reader([lines[last]], delimiter=delimiter)), None
        row = next(csv.reader([lines[len(comments)]], delimiter=delimiter))
        if len(names) == len(row) > 1 and (any(map(value_forms.is_value, row)) or len(comments) == 1):
            return last
    return len(comments)


def _is_comment(header: _Record, lines: list[str]) -> bool:
    return header.first < len(lines) and lines[header.first].startswith(COMMENT) and len(header.fields) > 1


def _split(
    lines: list[str], *, skipped: int, dialect: csv_dialect.Dialect, comment: str | None, is_complete: bool
) -> list[_Record]:
    """Split lines into records, from the first one that is not blank."""
    position = skipped

    def take() -> Iterator[str]:
        nonlocal position
        for line in lines[skipped:]:
            position += 1
            if comment is None or not line.startswith(comment):
                yield line

    records: list[_Record] = []
    first = skipped
    try:
        for fields in itertools.islice(dialect.read(take()), SAMPLE_RECORDS):
            if fields or records:
                records.append(_Record(fields, first, position))
            first = position
    except csv.Error as error:
        if not records:
            raise errors.LimitExceededError(
                f"The header can't be read: {error}; is a quote in the first line left open?"
            ) from error
    if not is_complete and 1 < len(records) < SAMPLE_RECORDS:
        records.pop()
    if not records:
        raise errors.BadDataError("The CSV contains only blank lines; send a header and at least one row.")
    return records


def _refuse_open_quote(record: _Record, *, lines: list[str], dialect: csv_dialect.Dialect, is_complete: bool) -> None:
    """Refuse a first record that goes on to the end of the file because a quote is left open."""
    if is_complete and dialect.quote and record.end == len(lines):
        text = "".join(lines[record.first : record.end])
        mark = list(dialect.read([*text.splitlines(keepends=True), "\n" if text[-1] not in "\r\n" else "", "x"]))
        if len(mark) == 1 and record.fields:
            raise errors.BadDataError(f"The header (line {record.first + 1:,}): {csv_records.OPEN_QUOTE}")


def _find_names(records: list[_Record], *, options: CsvOptions) -> tuple[_Record | None, int]:
    """Find the record with the names, None when there is none, and the number of the line where the rows start."""
    if options.header is False:
        return None, records[0].first
    if options.header is not None or options.skip_rows is not None:
        return records[0], records[0].end
    fields = [record.fields for record in records]
    if csv_header.find_width(fields) < 2:
        return records[0], records[0].end
    found = csv_header.find_header(fields)
    return records[found.position], records[found.position + found.descriptions].end


def _number_columns(records: list[_Record], *, options: CsvOptions) -> list[str]:
    width = csv_header.find_width([record.fields for record in records])
    names = options.columns or [f"column_{position}" for position in range(1, width + 1)]
    if len(names) != width:
        raise errors.BadDataError(
            f"`columns` names {len(names):,} columns, but the rows have {width:,} fields; without a header, `columns` "
            "are the names of all columns."
        )
    return names


def _lacks_first_name(header: list[str], *, rows: list[list[str]], is_quoted: bool) -> bool:
    """Check whether the header lacks the name of the first column, as R writes a table with the names of its rows.

    These are quoted; else the surplus field may as well be the second half of a number.
    """
    names = [row[0] for row in rows]
    are_names = is_quoted and bool(rows) and len(set(names)) == len(names)
    return are_names and all(len(row) == len(header) + 1 and row[-1].strip() for row in rows)


def _are_quoted(lines: list[str], records: list[_Record], *, start: int) -> bool:
    """Check whether each row begins with a quote."""
    return all(lines[record.first].startswith('"') for record in records if record.first >= start and record.fields)


def _has_empty_nameless(header: list[str], *, rows: list[list[str]]) -> bool:
    """Check whether any column has neither a name nor a value so far."""
    return any(
        not name.strip() and not any(row[column].strip() for row in rows if column < len(row))
        for column, name in enumerate(header)
    )


def _describe_skipped(
    lines: list[str], *, header: _Record | None, start: int, records: list[_Record], options: CsvOptions
) -> list[str]:
    """Describe what was left out above the names, and between them and the rows."""
    if header is None or options.header is not None or options.skip_rows is not None:
        return []
    above = [line for line in lines[: header.first] if line.strip() and csv_hint.HINT.match(line.encode()) is None]
    units = [record.fields for record in records if header.end <= record.first < start and record.fields]
    return csv_notes.describe_above(above, line=header.first + 1) + csv_notes.describe_units(units)
