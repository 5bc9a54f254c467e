"""Where the rows of a dataset can come from."""

import re
from typing import Annotated, Literal, Self

import pydantic

from shared import contract
from shared.outbound import urls

Format = Literal["csv", "ndjson", "json", "parquet"]
Compression = Literal["none", "gzip"]
MAX_URL_LENGTH = 2000
WATERMARK = "watermark"
"""The query parameter that holds the greatest value that is already loaded."""


def check_object_url(url: str) -> str:
    """Refuse what is not an object's URL."""
    if "\x00" in url or re.search(r"[\ud800-\udfff]", url):
        raise ValueError("the URL contains a NUL or half of a surrogate pair, which no object's name has")
    if not re.match(r"file:///.|s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.", url):
        raise ValueError("the URL must be like file:///folder/table.csv or s3://bucket/table.csv")
    return url


WebUrl = Annotated[
    str, pydantic.Field(min_length=1, max_length=MAX_URL_LENGTH), pydantic.AfterValidator(urls.check_web_url)
]
Selector = Annotated[str, pydantic.Field(min_length=1, max_length=500)]
ConnectionName = Annotated[str, pydantic.StringConstraints(pattern=contract.NAME_PATTERN, max_length=63)]
Parameter = Annotated[str, pydantic.Field(max_length=10_000)] | bool | int | float | None


class UploadSource(contract.Document):
    """Bytes that were uploaded to the API before the job was accepted."""

    type: Literal["upload"] = pydantic.Field(description="The kind of source.")
    upload: Annotated[str, contract.Reference("upload")] = pydantic.Field(
        pattern=r"^[0-9A-HJKMNP-TV-Z]{26}$", description="The upload's id, as the API assigned it."
    )


class UrlSource(contract.Document):
    """A file that a web server serves to anybody."""

    type: Literal["url"] = pydantic.Field(description="The kind of source.")
    url: WebUrl = pydantic.Field(description="The file's URL, http or https, without user name or password.")


class Pages(contract.Document):
    """One web page, or several of which each links to the next."""

    url: WebUrl = pydantic.Field(description="The first page's URL, http or https.")
    next_link: Selector | None = pydantic.Field(
        default=None, description="CSS selector of the link to the next page; when omitted, only one page is read."
    )
    max_pages: int = pydantic.Field(default=100, ge=1, le=1000, description="How many pages to read at most.")


class HtmlTableSource(Pages):
    """A table of a web page, or of several pages of which each links to the next."""

    type: Literal["html_table"] = pydantic.Field(description="The kind of source.")
    selector: Selector | None = pydantic.Field(
        default=None,
        description="CSS selector of the table; the first match on a page is read. When omitted, a page must have a "
        "single table, or the load fails and lists them.",
    )
    header_rows: int | None = pydantic.Field(
        default=None,
        ge=0,
        le=20,
        description="How many of the first rows hold the columns' names; when omitted, the rows of <thead>, else "
        "the first rows that have only <th> cells, else the first row.",
    )


class HtmlField(contract.Document):
    """Where to find one value of an item of a web page."""

    selector: Selector | None = pydantic.Field(
        default=None, description="CSS selector within the item; when omitted, the item itself."
    )
    attribute: str | None = pydantic.Field(
        default=None,
        min_length=1,
        max_length=100,
        description="The attribute to read instead of the text; `href` and `src` become absolute URLs.",
    )


class HtmlListSource(Pages):
    """Items that repeat on a web page, or on several pages of which each links to the next; each becomes a row."""

    type: Literal["html_list"] = pydantic.Field(description="The kind of source.")
    rows: Selector = pydantic.Field(description="CSS selector of the items.")
    fields: dict[Annotated[str, pydantic.Field(min_length=1, max_length=200)], HtmlField] = pydantic.Field(
        min_length=1, max_length=200, description="The columns by name, each with where to find its value in an item."
    )


class SqlSource(contract.Document):
    """The rows that a query returns, from a database that the operator has named."""

    type: Literal["sql"] = pydantic.Field(description="The kind of source.")
    connection: ConnectionName = pydantic.Field(description="The operator's name for the database.")
    query: str = pydantic.Field(
        min_length=1,
        max_length=100_000,
        description="One SELECT, with `:name` for a parameter; it runs in a read-only transaction. The condition for "
        "a load's `watermark` is added around it, so leave that out. (`:watermark` has a value only when the "
        "dataset's latest version has one.)",
    )
    params: dict[Annotated[str, pydantic.Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")], Parameter] = pydantic.Field(
        default={}, max_length=200, description="The parameters' values, which never become part of the query's text."
    )

    @pydantic.model_validator(mode="after")
    def _leaves_the_watermark_alone(self) -> Self:
        if WATERMARK in self.params:
            raise ValueError(
                f"the parameter {WATERMARK!r} is set by Millrace, which adds the condition for a `watermark` itself; "
                "leave it out, or rename yours"
            )
        return self


class ObjectSource(contract.Document):
    """A file in a folder or S3 bucket that the operator has opened to loads, or several files of one format."""

    type: Literal["object"] = pydantic.Field(description="The kind of source.")
    url: Annotated[
        str, pydantic.Field(min_length=1, max_length=MAX_URL_LENGTH), pydantic.AfterValidator(check_object_url)
    ] = pydantic.Field(
        description="`file:///folder/table.csv` or `s3://bucket/table.csv`; `*` and `?` in the last part of its "
        "name stand for any characters, and all files that match are read one after the other."
    )
    connection: ConnectionName | None = pydantic.Field(
        default=None, description="The operator's name for the S3 store; required for s3."
    )

    @pydantic.model_validator(mode="after")
    def _names_a_connection_for_s3(self) -> Self:
        if self.url.startswith("s3:") and self.connection is None:
            raise ValueError("an s3 URL needs a `connection`, the operator's name for the store")
        if self.url.startswith("file:") and self.connection is not None:
            raise ValueError("a file URL takes no `connection`; leave it out")
        return self


FetchedSource = UrlSource | HtmlTableSource | HtmlListSource | SqlSource | ObjectSource
"""The sources from which the worker fetches the rows itself."""

AnySource = Annotated[UploadSource | FetchedSource, pydantic.Field(discriminator="type")]
"""All sources."""
