"""Reads CSV as text in the order of its rows: at once where it is tidy, else after writing its rows out anew.

docs/decisions/ingestion.md, "A CSV is read as a person would read it"
"""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from shared.ingestion.reading import DEFAULT_NULL_VALUES, CsvOptions
from workers.ingestion import names, text_table
from workers.ingestion.formats import (
    csv_arrow,
    csv_dialect,
    csv_layout,
    csv_rewriting,
    not_data,
    text_encoding,
    unpack,
)
from workers.ingestion.limits import Limits

LINE_SEARCH_ROWS = 20_000_000


@dataclasses.dataclass(frozen=True)
class Opened:
    """A CSV file in UTF-8, and how it is laid out."""

    path: Path
    layout: csv_layout.Layout
    notes: list[str]


def open_layout(path: Path, *, options: CsvOptions, scratch: Path, limits: Limits) -> Opened:
    """Detect how a CSV file is encoded and laid out; BadDataError when it is none."""
    unpack.refuse_foreign_file(path, format_name="CSV")
    encoding = text_encoding.find_encoding(path, declared=options.encoding)
    utf8_path, skip_bytes = text_encoding.to_utf8(path, encoding=encoding, scratch=scratch)
    not_data.refuse(utf8_path, skip_bytes=skip_bytes, format_name="CSV")
    layout = csv_layout.find_layout(
        utf8_path, skip_bytes=skip_bytes, options=options, has_backslash=encoding.has_backslash, limits=limits
    )
    limits.check_columns(len(layout.header))
    return Opened(utf8_path, layout, [*([encoding.note] if encoding.note else []), *layout.notes])


def open_csv(
    path: Path, *, options: CsvOptions, scratch: Path, limits: Limits, is_tidy: bool = True
) -> text_table.TextTable:
    """Detect how a CSV file is written and return its columns as text; BadDataError where it is not well formed.

    A file that seems tidy is read as it is, and reading it raises `csv_arrow.UnevenRowError` where it is not; with
    `is_tidy=False` it is rewritten first.
    """
    opened = open_layout(path, options=options, scratch=scratch, limits=limits)
    utf8_path, layout, notes = opened.path, opened.layout, opened.notes
    tidy_rows = csv_rewriting.TidyRows(utf8_path, layout, options, name_place)
    kept = list(range(len(layout.header)))
    rows_path, dialect, skip_bytes = utf8_path, layout.dialect, layout.skip_bytes
    locate_row = _create_locator(lambda: _iterate_lines(utf8_path, layout))
    if not is_tidy or not layout.is_plain:
        rows_path, dialect, skip_bytes = scratch / "tidy", csv_dialect.Dialect(","), 0
        kept = csv_rewriting.write(tidy_rows, target=rows_path)
        notes += tidy_rows.notes
        locate_row = _create_locator(lambda: (line for line, _ in tidy_rows))
    column_names, renamed = names.resolve_names(layout.header, limits=limits, kept=kept)
    notes += renamed
    null_values = DEFAULT_NULL_VALUES if options.null_values is None else options.null_values
    rows = csv_arrow.Rows(
        rows_path,
        skip_bytes=skip_bytes,
        dialect=dialect,
        names=column_names,
        missing=sorted({value.strip() for value in null_values}),
        notes=notes,
        locate_row=locate_row,
    )
    return text_table.TextTable(
        names=column_names,
        batches=rows.batches,
        candidates=[text_table.ANY_TYPE] * len(column_names),
        missing=rows.missing,
        notes=notes,
        locate_row=locate_row,
    ).select(kept)


def _iterate_lines(path: Path, layout: csv_layout.Layout) -> Iterator[int]:
    """Iterate over the line of each row of a tidy file."""
    return (line for line, record in layout.records(path) if record or len(layout.header) == 1)


def _create_locator(iterate_lines: Callable[[], Iterator[int]]) -> Callable[[int], str]:
    """Create a function that names the place of a row, with its line where that can be found."""

    def locate(row: int) -> str:
        line = None
        if row <= LINE_SEARCH_ROWS:
            line = next((line for number, line in enumerate(iterate_lines(), start=1) if number == row), None)
        return f"Row {row:,}" if line is None else name_place(row, line)

    return locate


def name_place(row: int, line: int) -> str:
    """Name the place of a row by its number, counted from 1, and its line."""
    return f"Row {row:,} (line {line:,})"
