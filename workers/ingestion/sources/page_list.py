"""Reads repeated items of a web page as rows of text; runs only in the sandboxed process."""

from typing import Any

from selectolax import lexbor

from workers.ingestion.sources import page_table, page_text

URL_ATTRIBUTES = ("href", "src")


def read(page: page_text.Page, *, rows: str, fields: dict[str, dict[str, Any]], max_cells: int) -> page_table.Extract:
    """Read each item that the selector `rows` matches; a field that it lacks is None. PageError if nothing matches."""
    items = page.select(rows)
    if not items:
        raise page_text.PageError(f"The selector {rows!r} matches nothing on this page.")
    if len(items) * len(fields) > max_cells:
        raise page_text.PageError(f"The page has more than {max_cells:,} values, which is the limit of a page.")
    values = [[_extract_value(page, item, **field) for field in fields.values()] for item in items]
    return page_table.Extract(list(fields), values, [])


def _extract_value(
    page: page_text.Page, item: lexbor.LexborNode, *, selector: str | None, attribute: str | None
) -> str | None:
    nodes = [item] if selector is None else page_text.find(item, selector)
    if not nodes:
        return None
    if attribute is None:
        return page_text.text_of(nodes[0])
    value = nodes[0].attributes.get(attribute)
    return page.to_absolute(value) if value is not None and attribute in URL_ATTRIBUTES else value
