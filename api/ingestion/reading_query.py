"""How to read an upload, as its query says it: the options of a load by the same names."""

import re
from typing import Any

import pydantic

from api import queries
from shared.ingestion.reading import ReadingOptions


def _describe(name: str) -> str:
    return ReadingOptions.model_fields[name].description or ""


class ReadingQuery(queries.Query):
    """How to read an upload."""

    delimiter: str | None = pydantic.Field(default=None, description=_describe("delimiter"))
    encoding: str | None = pydantic.Field(
        default=None,
        description="CSV: the encoding of the text; defaults to the `charset` of Content-Type, if it has one.",
    )
    quote: str | None = pydantic.Field(default=None, description=_describe("quote"))
    escape: str | None = pydantic.Field(default=None, description=_describe("escape"))
    comment: str | None = pydantic.Field(default=None, description=_describe("comment"))
    header: str | None = pydantic.Field(default=None, max_length=20, description=_describe("header"))
    skip_rows: int | None = pydantic.Field(default=None, description=_describe("skip_rows"))
    skip_footer: int | None = pydantic.Field(default=None, description=_describe("skip_footer"))
    short_rows: str | None = pydantic.Field(default=None, description=_describe("short_rows"))
    columns: str | None = pydantic.Field(
        default=None,
        max_length=200_000,
        description=f'{_describe("columns")} Separated by commas, or as JSON: `["a", "b, c"]`.',
    )
    decimal: str | None = pydantic.Field(default=None, description=_describe("decimal"))
    thousands: str | None = pydantic.Field(default=None, description=_describe("thousands"))
    date_format: str | None = pydantic.Field(default=None, description=_describe("date_format"))
    null_values: str | None = pydantic.Field(
        default=None, max_length=10_000, description='CSV: the texts of missing values, as JSON: `["", "NA"]`.'
    )


def to_options(query: ReadingQuery) -> dict[str, Any]:
    """Return the options of a load that a query gives; raises InvalidRequestError."""
    options = {name: getattr(query, name) for name in ReadingOptions.model_fields}
    options = {name: value for name, value in options.items() if value is not None}
    if query.header is not None:
        options["header"] = _parse_header(query.header)
    if query.columns is not None:
        as_json = query.columns.lstrip().startswith("[")
        options["columns"] = queries.parse_json(query.columns, name="columns") if as_json else query.columns.split(",")
    if query.null_values is not None:
        options["null_values"] = queries.parse_json(query.null_values, name="null_values")
    return options


def _parse_header(text: str) -> bool | int | str:
    """Return a line's number or a boolean; any other text is left for the contract to refuse."""
    if re.fullmatch("[0-9]{1,9}", text):
        return int(text)
    return {"true": True, "false": False}.get(text.lower(), text)
