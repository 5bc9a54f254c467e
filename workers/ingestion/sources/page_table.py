"""Reads a table of a web page as rows of text; run only in the confined process."""

import dataclasses
import itertools
from collections.abc import Iterator

from selectolax import lexbor

from workers.ingestion.sources import page_text

# The HTML standard's own limits of a cell's span.
MOST_COLUMNS_SPANNED = 1000
MOST_ROWS_SPANNED = 65534
CELLS = ("td", "th")
SECTIONS = ("thead", "tbody", "tfoot")


@dataclasses.dataclass(frozen=True)
class Extract:
    """What was found on a page."""

    names: list[str]
    rows: list[list[str | None]]
    notes: list[str]


@dataclasses.dataclass(frozen=True)
class _Row:
    section: str
    texts: list[str]
    is_heading: bool


def read(
    page: page_text.Page, *, selector: str, header_rows: int | None, most_columns: int, most_cells: int
) -> Extract:
    """Read the first table that a selector finds; PageError when there is none, or it is too large."""
    found = page.select(selector)
    if not found:
        raise page_text.PageError(
            f"The selector {selector!r} finds nothing on this page, which has {len(page.select('table'))} tables."
        )
    table = found[0]
    if table.tag != "table":
        raise page_text.PageError(f"The selector {selector!r} finds a <{table.tag}>, but it must find a <table>.")
    rows = list(_rows(table, most_columns=most_columns, most_cells=most_cells))
    body = [row for row in rows if row.section != "tfoot"]
    notes = ["The rows of the table's <tfoot> were left out."] if len(body) < len(rows) else []
    heading, guessed = _heading(body) if header_rows is None else (header_rows, False)
    if guessed:
        notes.append("The table marks no heading, so its first row was taken as the columns' names.")
    width = max((len(row.texts) for row in body), default=0)
    names, renamed = _names([row.texts for row in body[:heading]], width=width)
    padded = [[*row.texts, *[None] * (width - len(row.texts))] for row in body[heading:]]
    return Extract(names, padded, notes + renamed)


def _rows(table: lexbor.LexborNode, *, most_columns: int, most_cells: int) -> Iterator[_Row]:
    """Give the table's own rows, not those of tables within it, with every spanned cell filled in."""
    cells = 0
    for section, group in _groups(table):
        spans: dict[int, tuple[str, int]] = {}
        for row in group:
            texts = _laid_out(row, spans=spans, most_columns=most_columns)
            cells += len(texts)
            if cells > most_cells:
                raise page_text.PageError(
                    f"The table has more than {most_cells:,} cells, which is the limit of a page."
                )
            marks = [cell.tag for cell in row.iter() if cell.tag in CELLS]
            yield _Row(section, texts, is_heading=bool(marks) and "td" not in marks)


def _groups(table: lexbor.LexborNode) -> Iterator[tuple[str, list[lexbor.LexborNode]]]:
    for child in table.iter():
        if child.tag in SECTIONS:
            yield str(child.tag), [row for row in child.iter() if row.tag == "tr"]
        elif child.tag == "tr":
            yield "tbody", [child]


def _laid_out(row: lexbor.LexborNode, *, spans: dict[int, tuple[str, int]], most_columns: int) -> list[str]:
    """Give a row's texts by column; `spans` holds what reaches down from the rows above, and is brought up to date."""
    texts: list[str] = []

    def take_spanned() -> None:
        while (position := len(texts)) in spans:
            text, left = spans.pop(position)
            texts.append(text)
            if left > 1:
                below[position] = (text, left - 1)

    below: dict[int, tuple[str, int]] = {}
    for cell in row.iter():
        if cell.tag not in CELLS:
            continue
        take_spanned()
        text = page_text.text_of(cell)
        width = min(_span(cell, "colspan") or 1, MOST_COLUMNS_SPANNED)
        height = min(_span(cell, "rowspan", default=1) or MOST_ROWS_SPANNED, MOST_ROWS_SPANNED)
        for position in range(len(texts), len(texts) + width):
            spans.pop(position, None)
            if height > 1:
                below[position] = (text, height - 1)
        texts += [text] * width
        _check_width(len(texts), most_columns=most_columns)
    take_spanned()
    for position in sorted(spans):
        texts += [""] * (position - len(texts))
        take_spanned()
    spans.update(below)
    return texts


def _check_width(width: int, *, most_columns: int) -> None:
    if width > most_columns:
        raise page_text.PageError(f"The table has more than {most_columns:,} columns, which is the limit.")


def _span(cell: lexbor.LexborNode, name: str, *, default: int = 1) -> int:
    given = (cell.attributes.get(name) or "").strip()
    return int(given[:9]) if given.isascii() and given.isdigit() else default


def _heading(rows: list[_Row]) -> tuple[int, bool]:
    """Tell how many rows are the heading, and whether that is a guess."""
    in_head = len(list(itertools.takewhile(lambda row: row.section == "thead", rows)))
    marked = in_head or len(list(itertools.takewhile(lambda row: row.is_heading, rows)))
    return (marked, False) if marked else (min(1, len(rows)), True)


def _names(heading: list[list[str]], *, width: int) -> tuple[list[str], list[str]]:
    """Give each column the texts above it as a name of its own, and note what had to be changed."""
    names, renamed = [], []
    used: set[str] = set()
    for position in range(width):
        parts = [row[position] for row in heading if position < len(row) and row[position]]
        plain = " ".join(dict.fromkeys(parts)) or f"column_{position + 1}"
        name, number = plain, 2
        while name in used:
            name, number = f"{plain}_{number}", number + 1
        used.add(name)
        names.append(name)
        if name != plain:
            renamed.append(name)
    shown = ", ".join(repr(name) for name in renamed[:5])
    return names, [f"Columns with a name that was used before were named {shown}."] if renamed else []
