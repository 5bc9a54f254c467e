"""Datasets: upload, list, show, read, delete."""

import dataclasses
from typing import Any, Literal

import flask
import flask_openapi
import pydantic

from api import answers, auth, bodies, context, documents, streams, uploads
from api.intake import deletion, orders
from api.intake.orders import Accepted, Order
from api.intake.uploads import forget_upload, read_small_upload, submit_with_upload
from api.reads import datasets, named_versions, tables
from shared import contract, errors, fingerprints

blueprint = flask_openapi.APIBlueprint("datasets", __name__, url_prefix="/v1/datasets", abp_tags=[{"name": "datasets"}])
BLUEPRINTS = (blueprint,)
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
    """The first rows of a dataset."""

    rows: list[dict[str, Any]]


class UploadQuery(pydantic.BaseModel):
    """How to read an upload."""

    model_config = pydantic.ConfigDict(extra="forbid")

    delimiter: str | None = pydantic.Field(default=None, description="CSV: the character that separates fields.")
    encoding: str | None = pydantic.Field(
        default=None,
        description="CSV: the encoding of the text; defaults to the `charset` of Content-Type, if it has one.",
    )
    null_values: str | None = pydantic.Field(
        default=None, max_length=10_000, description='CSV: the texts of missing values, as JSON: `["", "NA"]`.'
    )
    types: str | None = pydantic.Field(
        default=None, max_length=100_000, description='Column types by column name, as JSON: `{"zip": "string"}`.'
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
        description="A column that only grows: rows whose value is not above the greatest one so far are left out.",
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


class RowsQuery(pydantic.BaseModel):
    """How many rows to read."""

    model_config = pydantic.ConfigDict(extra="forbid")

    limit: int = pydantic.Field(default=20, ge=1, le=1000, description="How many rows, from the first on.")


class ContentQuery(pydantic.BaseModel):
    """In which file format to read a dataset."""

    model_config = pydantic.ConfigDict(extra="forbid")

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
    upload, pin = uploads.receive()
    objects = context.current().objects
    if file_format == "json" and compression == "none":
        command = uploads.parse_command(read_small_upload(objects, pin))
        if command is not None:
            forget_upload(objects, pin)
            return answers.submit("ingestion.load", {**options, **command, "name": path.name})
    params = {
        "name": path.name,
        "source": {"type": "upload", "upload": upload},
        "format": file_format,
        "compression": compression,
        **options,
    }

    def submit() -> list[Accepted]:
        order = orders.make("ingestion.load", params, pointer="#", pinned={"source.upload": pin})
        return [answers.accept(_identify_by_bytes(order, sha256=pin["sha256"]))]

    [accepted] = submit_with_upload(objects, pin, submit)
    return answers.accepted_or_done(accepted)


def _identify_by_bytes(order: Order, *, sha256: str) -> Order:
    """Let two uploads of the same bytes count as the same request, although each has an id of its own."""
    params = order.command.model_dump(mode="json", exclude={"source"})
    return dataclasses.replace(order, request_digest=fingerprints.compute({"params": params, "sha256": sha256}))


def _options(query: UploadQuery, *, charset: str | None) -> dict[str, Any]:
    csv = query.model_dump(include={"delimiter", "encoding"}, exclude_none=True)
    if charset is not None:
        csv.setdefault("encoding", charset)
    if query.null_values is not None:
        csv["null_values"] = _parse(query.null_values, name="null_values")
    options = query.model_dump(include={"mode", "keep", "on_schema_change"}, exclude_unset=True)
    if csv:
        options["csv"] = csv
    if query.key is not None:
        options["key"] = query.key.split(",")
    if query.watermark is not None:
        options["watermark"] = {"column": query.watermark}
    for name, text in (("types", query.types), ("expectations", query.expectations)):
        if text is not None:
            options[name] = _parse(text, name=name)
    return options


def _parse(text: str, *, name: str) -> Any:
    """Parse a query parameter that holds JSON."""
    try:
        return bodies.loads(text.encode())
    except errors.MalformedRequestError as error:
        problem = errors.Problem(error.message.replace("The body", name), f"#/{name}")
        raise errors.InvalidRequestError(f"The query's {problem['detail']}", problems=[problem]) from error


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
def show_dataset(path: documents.NamePath, query: documents.NamesQuery) -> flask.Response:
    """Show a dataset's versions, newest first."""
    return answers.json(
        datasets.page(*context.databases_and_tenant(), path.name, limit=query.limit, cursor=query.cursor)
    )


@blueprint.get("/<name>/versions/<int:version>", responses={200: DatasetDetail})
@auth.needs("read")
def show_version(path: documents.VersionPath) -> flask.Response:
    """Show a version: its schema, profile, size, SHA-256 and lineage."""
    return answers.json(datasets.show(*context.databases_and_tenant(), path.name, path.version))


@blueprint.get("/<name>/versions/<int:version>/rows", responses={200: DatasetRows})
@auth.needs("read")
def show_rows(path: documents.VersionPath, query: RowsQuery) -> flask.Response:
    """Show the first rows of a version."""
    _place, row = datasets.find(*context.databases_and_tenant(), path.name, path.version)
    return answers.json(tables.read_rows(context.current().objects, row, limit=query.limit))


@blueprint.get(
    "/<name>/versions/<int:version>/content",
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
    _place, row = datasets.find(*context.databases_and_tenant(), path.name, path.version)
    return streams.send_rows(row, file_format=query.format)


@blueprint.delete("/<name>/versions/<int:version>", responses={204: None})
@auth.needs("write")
def delete_version(path: documents.VersionPath) -> flask.Response:
    """Delete a version; jobs that were accepted before can still read it."""
    databases, tenant_id = context.databases_and_tenant()
    place, row = datasets.find(databases, tenant_id, path.name, path.version)
    deletion.delete(databases, place, row)
    return flask.Response(status=204)
