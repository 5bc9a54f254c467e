"""Reads a table of a web page as rows of text; runs only in the sandboxed process."""

import dataclasses
import itertools
import re
from collections.abc import Iterator

from selectolax import lexbor

from workers.ingestion.sources import page_choice, page_text, page_visibility

# The HTML standard's own limits on a cell's spans.
MAX_COLUMN_SPAN = 1000
MAX_ROW_SPAN = 65534
SPAN = re.compile(r"[\t\n\f\r ]*\+?([0-9]+)")
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
    only_span: int
    """How many columns its cell covers, if it has only one; else 0."""


def read(
    page: page_text.Page, *, selector: str | None, header_rows: int | None, max_columns: int, max_cells: int
) -> Extract:
    """Read the only table, or the first that a selector matches; PageError when there is none, or it is too large."""
    table, notes = page_choice.choose(page, selector)
    hidden = _remove_hidden_rows(table)
    if hidden:
        notes.append(f"Rows that the page doesn't show were left out ({hidden}).")
    rows = list(_iterate_rows(table, max_columns=max_columns, max_cells=max_cells))
    body = [row for row in rows if row.section != "tfoot"]
    if len(body) < len(rows):
        notes.append("The rows of the table's <tfoot> were left out.")
    width = max((len(row.texts) for row in body), default=0)
    if header_rows is None:
        body = _leave_out_banners(body, width=width, notes=notes)
    heading, is_guess = _count_heading_rows(body) if header_rows is None else (header_rows, False)
    if is_guess:
        notes.append("The table has no marked heading, so its first row was taken as the columns' names.")
    names, renamed = _name_columns([row.texts for row in body[:heading]], width=width)
    filled = _leave_out_repeated(body[:heading], body[heading:], notes=notes)
    if short := sum(len(row.texts) < width for row in filled):
        notes.append(
            f"Rows have fewer cells than the table has columns ({short}); the others are missing at their end."
        )
    padded = [[*row.texts, *[None] * (width - len(row.texts))] for row in filled]
    return Extract(names, padded, notes + renamed)


def _remove_hidden_rows(table: lexbor.LexborNode) -> int:
    """Remove what the page doesn't show within a table, and count the table's own rows among it."""
    hidden = [row for _, group in _iterate_sections(table) for row in group if not page_visibility.is_visible(row)]
    for row in hidden:
        row.decompose()
    return len(hidden)


def _leave_out_banners(rows: list[_Row], *, width: int, notes: list[str]) -> list[_Row]:
    """Leave out rows of a single cell over all columns, which are titles, unless there is nothing else."""
    banners = [row for row in rows if row.only_span == width > 1 and len(row.texts) == width]
    if not banners or len(banners) == len(rows):
        return rows
    shown = ", ".join(repr(row.texts[0][:60]) for row in banners[:3])
    notes.append(f"Rows of a single cell over all columns were left out ({len(banners)}), such as {shown}.")
    return [row for row in rows if row not in banners]


def _leave_out_repeated(heading: list[_Row], rows: list[_Row], *, notes: list[str]) -> list[_Row]:
    """Leave out rows that repeat the heading."""
    known = [row.texts for row in heading]
    kept = [row for row in rows if not (row.has_only_th and row.texts in known)]
    if len(kept) < len(rows):
        notes.append(f"Rows that repeat the heading were left out ({len(rows) - len(kept)}).")
    return kept


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
            own = [cell for cell in row.iter() if cell.tag in CELLS and page_visibility.is_displayed(cell)]
            has_only_th = bool(own) and all(cell.tag == "th" for cell in own)
            yield _Row(section, texts, has_only_th, only_span=_parse_colspan(own[0]) if len(own) == 1 else 0)


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
        if cell.tag not in CELLS or not page_visibility.is_displayed(cell):
            continue
        append_spanned()
        page_visibility.remove_hidden(cell)
        text = page_text.text_of(cell) if page_visibility.is_visible(cell) else ""
        width = _parse_colspan(cell)
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


def _parse_colspan(cell: lexbor.LexborNode) -> int:
    return min(_parse_span(cell, "colspan") or 1, MAX_COLUMN_SPAN)


def _parse_span(cell: lexbor.LexborNode, attribute: str, *, default: int = 1) -> int:
    """Read the leading digits of a span, as browsers do: `2;` and `2px` are 2."""
    match = SPAN.match(cell.attributes.get(attribute) or "")
    return int(match.group(1)[:9]) if match else default


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
