"""Chooses the table of a page, or lists those that it has; runs only in the sandboxed process."""

import re

from selectolax import lexbor

from workers.ingestion.sources import page_text, page_visibility

MAX_LISTED = 20
MAX_NAMES = 4
IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,60}")


def choose(page: page_text.Page, selector: str | None) -> tuple[lexbor.LexborNode, list[str]]:
    """Choose the first table that a selector matches, or without one the only table of the page; return notes too.

    Raises PageError when there is none, or several and no selector.
    """
    if selector is None:
        return _choose_only(page), []
    nodes = page.select(selector)
    if not nodes:
        raise page_text.PageError(
            f"The selector {selector!r} matches nothing on this page, which has {len(page.select('table'))} tables."
        )
    if nodes[0].tag != "table":
        raise page_text.PageError(f"The selector {selector!r} matches a <{nodes[0].tag}>, but it must match a <table>.")
    tables = [node for node in nodes if node.tag == "table"]
    notes = [f"The selector matches {len(tables)} tables, of which the first was read."] if len(tables) > 1 else []
    return nodes[0], notes


def _choose_only(page: page_text.Page) -> lexbor.LexborNode:
    tables = page.select("table")
    if not tables:
        raise page_text.PageError("The page has no table; read repeated items with the source 'html_list'.")
    shown = [table for table in tables if not page_visibility.is_within_hidden(table)] or tables
    layouts = {table.mem_id for table in shown if _is_layout(table)}
    candidates = [table for table in shown if table.mem_id not in layouts and not _is_part(table, layouts)]
    filled = [table for table in candidates if len(_rows(table)) > 1] or candidates or shown
    if len(filled) == 1:
        return filled[0]
    listed = "; ".join(_describe(page, table) for table in filled[:MAX_LISTED])
    excess = f"; and {len(filled) - MAX_LISTED} more" if len(filled) > MAX_LISTED else ""
    raise page_text.PageError(f"The page has {len(filled)} tables; name one in `selector`: {listed}{excess}.")


def _rows(table: lexbor.LexborNode) -> list[lexbor.LexborNode]:
    """List the table's own rows."""
    rows = []
    for child in table.iter():
        rows += [child] if child.tag == "tr" else [row for row in child.iter() if row.tag == "tr"]
    return rows


def _is_layout(table: lexbor.LexborNode) -> bool:
    """Check whether a table only arranges others: one within it has more rows than itself."""
    if table.attributes.get("role") in ("presentation", "none"):
        return True
    inner = [node for node in table.css("table") if node.mem_id != table.mem_id]
    has_names = any(cell.tag == "th" for row in _rows(table) for cell in row.iter())
    return not has_names and any(len(_rows(node)) > max(1, len(_rows(table))) for node in inner)


def _is_part(table: lexbor.LexborNode, layouts: set[int]) -> bool:
    """Check whether a table stands in a cell of another one that is no layout."""
    parent = table.parent
    while parent is not None:
        if parent.tag == "table" and parent.mem_id not in layouts:
            return True
        parent = parent.parent
    return False


def _describe(page: page_text.Page, table: lexbor.LexborNode) -> str:
    rows = _rows(table)
    captions = [child for child in table.iter() if child.tag == "caption"]
    caption = f"{page_text.text_of(captions[0])[:60]!r}, " if captions else ""
    cells = [page_text.text_of(cell)[:30] for cell in rows[0].iter() if cell.tag in ("td", "th")] if rows else []
    names = ", ".join(map(repr, cells[:MAX_NAMES])) + (", …" if len(cells) > MAX_NAMES else "")
    return f"{_find_selector(page, table)!r} ({caption}{len(rows)} rows, beginning with {names})"


def _find_selector(page: page_text.Page, table: lexbor.LexborNode) -> str:
    """Find a selector that matches this table first."""
    identifier = table.attributes.get("id") or ""
    if IDENTIFIER.fullmatch(identifier) and len(page.select(f"#{identifier}")) == 1:
        return f"#{identifier}"
    steps: list[str] = []
    node: lexbor.LexborNode | None = table
    while node is not None and node.tag not in ("html", "body", "-undef"):
        position, sibling = 1, node.prev
        while sibling is not None:
            position += sibling.tag == node.tag
            sibling = sibling.prev
        steps.append(f"{node.tag}:nth-of-type({position})")
        node = node.parent
    return " > ".join(["body", *reversed(steps)])
