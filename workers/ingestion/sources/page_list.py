"""Reads items that repeat on a web page as rows of text; run only in the confined process."""

from typing import Any

from selectolax import lexbor

from workers.ingestion.sources import page_table, page_text

ADDRESSES = ("href", "src")


def read(page: page_text.Page, *, rows: str, fields: dict[str, dict[str, Any]], most_cells: int) -> page_table.Extract:
    """Read each item that the selector `rows` finds; a field it lacks is missing. PageError if none is found."""
    items = page.select(rows)
    if not items:
        raise page_text.PageError(f"The selector {rows!r} finds nothing on this page.")
    if len(items) * len(fields) > most_cells:
        raise page_text.PageError(f"The page has more than {most_cells:,} values, which is the limit of a page.")
    values = [[_value(page, item, **field) for field in fields.values()] for item in items]
    return page_table.Extract(list(fields), values, [])


def _value(page: page_text.Page, item: lexbor.LexborNode, *, selector: str | None, attribute: str | None) -> str | None:
    found = [item] if selector is None else page_text.find(item, selector)
    if not found:
        return None
    if attribute is None:
        return page_text.text_of(found[0])
    value = found[0].attributes.get(attribute)
    return page.absolute(value) if value is not None and attribute in ADDRESSES else value
