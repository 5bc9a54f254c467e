"""Datasets: upload, list, show, read, delete."""

from typing import Any, Literal

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents, list_queries, queries, streams, uploads
from api.ingestion import reading_query
from api.ingestion.reading_query import ReadingQuery
from api.intake import deletion, marking, orders
from api.intake.orders import Accepted
from api.intake.uploads import forget_upload, read_small_upload, submit_with_upload
from api.reads import datasets, named_versions, tables
from shared import contract

blueprint = flask_openapi.APIBlueprint("datasets", __name__, url_prefix="/v1/datasets", abp_tags=[{"name": "datasets"}])
BLUEPRINTS = (blueprint,)
_LOAD = "ingestion.load"
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_JSON = {"schema": {"anyOf": [{"type": "array"}, {"type": "object"}]}}


class DatasetSummary(documents.Version):
    """A version of a dataset, as lists show it."""

    rows: int
    columns: int


class DatasetVersionList(documents.VersionList):
    """A dataset's versions, newest first."""

    versions: list[DatasetSummary]


class DatasetDetail(documents.Version):
    """A version of a dataset: its schema, profile, size, SHA-256 and lineage."""

    role: str = pydantic.Field(description="The role that made it, and keeps it in its database.")
    rows: int
    columns: list[contract.Column]
    profile: list[dict[str, Any]]
    notes: list[str]
    lineage: dict[str, Any]


class DatasetRows(documents.Document):
    """A page of a dataset's rows."""

    rows: list[dict[str, Any]]
    next_cursor: str | None


class UploadQuery(ReadingQuery, queries.SubmitQuery):
    """How to read an upload, and what to make of it."""

    types: str | None = pydantic.Field(
        default=None, max_length=100_000, description='Column types by column name, as JSON: `{"zip": "string"}`.'
    )
    like: str | None = pydantic.Field(
        default=None,
        max_length=127,
        description="A model's version, `churn@3` or `churn@champion`: its columns get the types of its training.",
    )
    mode: Literal["replace", "append"] = pydantic.Field(
        default="replace",
        description="`append` puts the rows after those of the latest version; `replace` starts without them.",
    )
    key: str | None = pydantic.Field(
        default=None,
        description="Columns that identify a row, separated by commas: of rows with the same key one is kept.",
    )
    keep: Literal["last", "first"] = pydantic.Field(
        default="last", description="Which of the rows with the same key to keep."
    )
    watermark: str | None = pydantic.Field(
        default=None,
        max_length=1000,
        description="A column whose values grow: rows below the greatest value so far are left out. With a lag, it is "
        'JSON: `{"column": "updated_at", "lag": "2 days"}`.',
    )
    on_schema_change: Literal["allow", "fail"] = pydantic.Field(
        default="allow", description="Whether columns may be added, be removed or change their type."
    )
    expectations: str | None = pydantic.Field(
        default=None,
        max_length=100_000,
        description="Checks that the new version must pass, as the JSON that a load from a `source` takes: "
        '`[{"type": "not_null", "column": "zip"}]`.',
    )


class RowsQuery(queries.Query):
    """Which rows to read."""

    limit: int = pydantic.Field(
        default=20, ge=1, le=1000, description="At most how many rows; there are fewer where rows are very large."
    )
    cursor: str | None = pydantic.Field(default=None, max_length=200, description="`next_cursor` of the previous page.")


class ContentQuery(queries.Query):
    """In which file format to read a dataset."""

    format: Literal["csv", "parquet"] = pydantic.Field(default="parquet", description="The file format.")


@blueprint.post(
    "/<name>",
    responses={200: documents.Job, 202: documents.Job},
    request_body={"required": True, "content": {**dict.fromkeys(uploads.FORMATS, _BYTES), "application/json": _JSON}},
)
@auth.needs("write")
def load(path: documents.NamePath, query: UploadQuery) -> flask.Response:
    """Load the next version of a dataset from the bytes in the body, or from a `source`."""
    file_format, compression = uploads.file_format(), uploads.compression()
    uploads.require_length(file_format, compression=compression)
    options = _options(query, charset=uploads.charset() if file_format == "csv" else None)
    upload, pin = uploads.receive(_LOAD)
    objects, quota, tenant_id = context.current().objects, context.current().quota, context.client().tenant_id
    if file_format == "json" and compression == "none":
        command = uploads.parse_command(read_small_upload(objects, pin))
        if command is not None:
            forget_upload(objects, pin, quota=quota, tenant_id=tenant_id)
            return answers.submit(_LOAD, {**options, **command, "name": path.name}, **query.to_options())
    params = {
        "name": path.name,
        "source": {"type": "upload", "upload": upload},
        "format": file_format,
        "compression": compression,
        **options,
    }

    def submit() -> list[Accepted]:
        order = orders.make(_LOAD, params, pointer="#", pinned={"source.upload": pin}, **query.to_options())
        return [answers.accept(orders.identify_by_bytes(order, sha256=pin["sha256"], options=query.to_options()))]

    [accepted] = submit_with_upload(objects, pin, submit, quota=quota, tenant_id=tenant_id)
    return answers.accepted_or_done(accepted)


def _options(query: UploadQuery, *, charset: str | None) -> dict[str, Any]:
    options = reading_query.to_options(query)
    if charset is not None:
        options.setdefault("encoding", charset)
    options |= query.model_dump(include={"like", "mode", "keep", "on_schema_change"}, exclude_unset=True)
    if query.key is not None:
        options["key"] = query.key.split(",")
    if query.watermark is not None:
        is_json = query.watermark.startswith("{")
        options["watermark"] = (
            queries.parse_json(query.watermark, name="watermark") if is_json else {"column": query.watermark}
        )
    for name, text in (("types", query.types), ("expectations", query.expectations)):
        if text is not None:
            options[name] = queries.parse_json(text, name=name)
    return options


@blueprint.get("", responses={200: documents.NameList})
@auth.needs("read")
def list_datasets(query: documents.NamesQuery) -> flask.Response:
    """List datasets by name."""
    return answers.json(
        named_versions.list_names(
            *context.databases_and_tenant(), datasets.TYPE, limit=query.limit, cursor=query.cursor
        )
    )


@blueprint.get("/<name>", responses={200: DatasetVersionList})
@auth.needs("read")
def show_dataset(path: documents.NamePath, query: list_queries.MarkedQuery) -> flask.Response:
    """Show a dataset's versions, newest first."""
    chosen = list_queries.parse_marked(query)
    return answers.json(
        datasets.page(*context.databases_and_tenant(), path.name, chosen, limit=query.limit, cursor=query.cursor)
    )


@blueprint.get("/<name>/versions/<version:version>", responses={200: DatasetDetail})
@auth.needs("read")
def show_version(path: documents.VersionPath) -> flask.Response:
    """Show a version: its schema, profile, size, SHA-256 and lineage."""
    return answers.json(datasets.show(*context.databases_and_tenant(), path.name, path.number))


@blueprint.get("/<name>/versions/<version:version>/rows", responses={200: DatasetRows})
@auth.needs("read")
def show_rows(path: documents.VersionPath, query: RowsQuery) -> flask.Response:
    """Show a page of a version's rows, from the first on."""
    _place, row = datasets.find(*context.databases_and_tenant(), path.name, path.number)
    return answers.json(tables.read_rows(context.current().objects, row, limit=query.limit, cursor=query.cursor))


@blueprint.get(
    "/<name>/versions/<version:version>/content",
    responses={
        200: {
            "description": "All rows",
            "content": {"text/csv": {"schema": {"type": "string"}}, "application/vnd.apache.parquet": _BYTES},
        }
    },
)
@auth.needs("read")
def read_content(path: documents.VersionPath, query: ContentQuery) -> flask.Response:
    """Download all rows of a version, as CSV or Parquet."""
    _place, row = datasets.find(*context.databases_and_tenant(), path.name, path.number)
    return streams.send_rows(row, file_format=query.format)


@blueprint.patch("/<name>/versions/<int:version>", responses={200: DatasetDetail})
@auth.needs("write")
def change_version(path: documents.NumberPath, body: documents.MarksRequest) -> flask.Response:
    """Change a version's tags, its note or both."""
    databases, tenant_id = context.databases_and_tenant()
    place, row = datasets.find(databases, tenant_id, path.name, path.version)
    marking.change_version(databases, place, row, body.to_changes())
    return answers.json(datasets.show(databases, tenant_id, path.name, path.version))


@blueprint.delete("/<name>/versions/<int:version>", responses={204: None})
@auth.needs("write")
def delete_version(path: documents.NumberPath) -> flask.Response:
    """Delete a version; jobs that were accepted before can still read it."""
    databases, tenant_id = context.databases_and_tenant()
    place, row = datasets.find(databases, tenant_id, path.name, path.version)
    deletion.delete(databases, place, row)
    return flask.Response(status=204)
