"""Reads a table of a web page as rows of text; runs only in the sandboxed process."""

import dataclasses
import itertools
from collections.abc import Iterator

from selectolax import lexbor

from workers.ingestion.sources import page_text

# The HTML standard's own limits on a cell's spans.
MAX_COLUMN_SPAN = 1000
MAX_ROW_SPAN = 65534
CELLS = ("td", "th")
SECTIONS = ("thead", "tbody", "tfoot")


@dataclasses.dataclass(frozen=True)
class Extract:
    """The rows extracted from a page."""

    names: list[str]
    rows: list[list[str | None]]
    notes: list[str]


@dataclasses.dataclass(frozen=True)
class _Row:
    section: str
    texts: list[str]
    has_only_th: bool


def read(page: page_text.Page, *, selector: str, header_rows: int | None, max_columns: int, max_cells: int) -> Extract:
    """Read the first table that a selector matches; PageError when there is none, or it is too large."""
    nodes = page.select(selector)
    if not nodes:
        raise page_text.PageError(
            f"The selector {selector!r} matches nothing on this page, which has {len(page.select('table'))} tables."
        )
    table = nodes[0]
    if table.tag != "table":
        raise page_text.PageError(f"The selector {selector!r} matches a <{table.tag}>, but it must match a <table>.")
    rows = list(_iterate_rows(table, max_columns=max_columns, max_cells=max_cells))
    body = [row for row in rows if row.section != "tfoot"]
    notes = ["The rows of the table's <tfoot> were left out."] if len(body) < len(rows) else []
    heading, is_guess = _count_heading_rows(body) if header_rows is None else (header_rows, False)
    if is_guess:
        notes.append("The table has no marked heading, so its first row was taken as the columns' names.")
    width = max((len(row.texts) for row in body), default=0)
    names, renamed = _name_columns([row.texts for row in body[:heading]], width=width)
    padded = [[*row.texts, *[None] * (width - len(row.texts))] for row in body[heading:]]
    return Extract(names, padded, notes + renamed)


def _iterate_rows(table: lexbor.LexborNode, *, max_columns: int, max_cells: int) -> Iterator[_Row]:
    """Iterate over the table's own rows, not those of nested tables, with every spanned cell filled in."""
    cells = 0
    for section, group in _iterate_sections(table):
        spans: dict[int, tuple[str, int]] = {}
        for row in group:
            texts = _lay_out_row(row, spans=spans, max_columns=max_columns)
            cells += len(texts)
            if cells > max_cells:
                raise page_text.PageError(f"The table has more than {max_cells:,} cells, which is the limit of a page.")
            tags = [cell.tag for cell in row.iter() if cell.tag in CELLS]
            yield _Row(section, texts, has_only_th=bool(tags) and "td" not in tags)


def _iterate_sections(table: lexbor.LexborNode) -> Iterator[tuple[str, list[lexbor.LexborNode]]]:
    for child in table.iter():
        if child.tag in SECTIONS:
            yield str(child.tag), [row for row in child.iter() if row.tag == "tr"]
        elif child.tag == "tr":
            yield "tbody", [child]


def _lay_out_row(row: lexbor.LexborNode, *, spans: dict[int, tuple[str, int]], max_columns: int) -> list[str]:
    """Lay out a row's texts by column; `spans` has the cells that span down from the rows above, and is updated."""
    texts: list[str] = []

    def append_spanned() -> None:
        while (position := len(texts)) in spans:
            text, remaining = spans.pop(position)
            texts.append(text)
            if remaining > 1:
                below[position] = (text, remaining - 1)

    below: dict[int, tuple[str, int]] = {}
    for cell in row.iter():
        if cell.tag not in CELLS:
            continue
        append_spanned()
        text = page_text.text_of(cell)
        width = min(_parse_span(cell, "colspan") or 1, MAX_COLUMN_SPAN)
        height = min(_parse_span(cell, "rowspan", default=1) or MAX_ROW_SPAN, MAX_ROW_SPAN)
        for position in range(len(texts), len(texts) + width):
            spans.pop(position, None)
            if height > 1:
                below[position] = (text, height - 1)
        texts += [text] * width
        _check_width(len(texts), max_columns=max_columns)
    append_spanned()
    for position in sorted(spans):
        texts += [""] * (position - len(texts))
        append_spanned()
    spans.update(below)
    return texts


def _check_width(width: int, *, max_columns: int) -> None:
    if width > max_columns:
        raise page_text.PageError(f"The table has more than {max_columns:,} columns, which is the limit.")


def _parse_span(cell: lexbor.LexborNode, attribute: str, *, default: int = 1) -> int:
    value = (cell.attributes.get(attribute) or "").strip()
    return int(value[:9]) if value.isascii() and value.isdigit() else default


def _count_heading_rows(rows: list[_Row]) -> tuple[int, bool]:
    """Count the rows of the heading, and tell whether that is a guess."""
    in_head = len(list(itertools.takewhile(lambda row: row.section == "thead", rows)))
    marked = in_head or len(list(itertools.takewhile(lambda row: row.has_only_th, rows)))
    return (marked, False) if marked else (min(1, len(rows)), True)


def _name_columns(heading: list[list[str]], *, width: int) -> tuple[list[str], list[str]]:
    """Name each column uniquely by the heading's texts above it, and note renamed columns."""
    names, renamed = [], []
    used: set[str] = set()
    for position in range(width):
        texts = [row[position] for row in heading if position < len(row) and row[position]]
        base = " ".join(dict.fromkeys(texts)) or f"column_{position + 1}"
        unique, number = base, 2
        while unique in used:
            unique, number = f"{base}_{number}", number + 1
        used.add(unique)
        names.append(unique)
        if unique != base:
            renamed.append(unique)
    listed = ", ".join(repr(unique) for unique in renamed[:5])
    return names, [f"Columns whose name was already in use were named {listed}."] if renamed else []
