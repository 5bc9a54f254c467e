"""Exports of a model's version: make one, list them, download one."""

from typing import Any

import flask
import flask_openapi
import pydantic
import sqlalchemy as sa

from api import answers, auth, context, documents, preferences, queries, streams
from api.intake import orders
from api.intake.orders import Accepted
from api.reads import exports, jobs, models
from shared import contract, errors
from shared.jobs import views
from shared.jobs.states import State
from shared.training.exports import SUFFIXES, Format

blueprint = flask_openapi.APIBlueprint(
    "model_exports", __name__, url_prefix="/v1/models", abp_tags=[{"name": "models"}]
)
_DEFAULT_WAIT_SECONDS = 5.0


class ExportRequest(contract.Document):
    """In which format to export a version."""

    format: Format = pydantic.Field(description="`skops`, `onnx` or `mlflow`.")


class ExportQuery(queries.Query):
    """In which format to download a version."""

    format: Format = pydantic.Field(default="skops", description="`skops`, `onnx` or `mlflow` (a .tar.gz).")


class Export(documents.Document):
    """An export of a version."""

    format: str
    sha256: str
    bytes: int
    created_at: str
    created_by: str = pydantic.Field(description="The id of the API key that submitted the job.")
    job_id: str
    details: dict[str, Any] = pydantic.Field(
        description="For ONNX: its inputs, its outputs and its parity with scikit-learn."
    )


class ExportList(documents.Document):
    """The exports of a version."""

    name: str
    version: int
    exports: list[Export]


_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_EXPORT_RESPONSES: dict[str | int, Any] = {
    200: {
        "description": "The file",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
    202: documents.Job,
    403: {
        "description": "There is no such export yet, and this key may not submit the job that makes it",
        "content": _PROBLEM,
    },
    409: {
        "description": "There is no such export, because making it failed; the detail says why",
        "content": _PROBLEM,
    },
}


@blueprint.post("/<name>/versions/<version:version>/exports", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def make_export(path: documents.VersionPath, body: ExportRequest, query: queries.SubmitQuery) -> flask.Response:
    """Export a version; an export that exists already is not made again."""
    row = models.find(*context.databases_and_tenant(), path.name, path.number)
    newest = exports.find_newest_job(context.current().databases, row, body.format)
    accepted = _submit(row, body.format, newest=newest, key=answers.idempotency_key(), **query.to_options())
    return answers.accepted_or_done(accepted)


@blueprint.get("/<name>/versions/<version:version>/exports", responses={200: ExportList})
@auth.needs("read")
def list_exports(path: documents.VersionPath) -> flask.Response:
    """List the exports of a version."""
    row = models.find(*context.databases_and_tenant(), path.name, path.number)
    return answers.json(exports.page(context.current().databases, row))


@blueprint.get("/<name>/versions/<version:version>/export", responses=_EXPORT_RESPONSES)
@auth.needs("read")
def export(path: documents.VersionPath, query: ExportQuery) -> flask.Response:
    """Download an export of a version.

    If it doesn't exist yet, a key with the scope `write` submits the job that makes it; 202 when that takes longer.
    """
    databases = context.current().databases
    row = models.find(*context.databases_and_tenant(), path.name, path.number)
    export_row = exports.find(databases, row, query.format)
    if export_row is None and query.format == "skops":
        export_row = row
    if export_row is None:
        return _make_and_send(row, query.format)
    return _send(row, export_row, query.format)


def _send(row: sa.Row[Any], export_row: sa.Row[Any], export_format: str) -> flask.Response:
    name = f"{row.name}-{row.version}.{SUFFIXES[export_format]}"
    return streams.send_object(export_row.key, name=name, size=export_row.bytes, sha256=export_row.sha256)


def _make_and_send(row: sa.Row[Any], export_format: str) -> flask.Response:
    """Submit the job that makes an export, or find it, wait a while, and send what it made.

    Raises ForbiddenError when there is none and the key may not submit one, ConflictError when it has failed. See
    docs/decisions/exports.md, "A key that may only read gets an export that is there, and starts none".
    """
    newest = exports.find_newest_job(context.current().databases, row, export_format)
    if newest is None or newest.state != State.FAILED:
        is_in_progress = newest is not None and not newest.is_terminal
        if not is_in_progress and not auth.allows("write"):
            raise errors.ForbiddenError(
                f"{row.name}@{row.version} has no {export_format} export yet, and making it needs a key with the "
                "scope 'write'."
            )
        accepted = _submit(row, export_format, newest=newest, key=None)
        job_id = accepted.document["id"]
        seconds = preferences.read(default_wait_seconds=_DEFAULT_WAIT_SECONDS).wait_seconds
        return answers.when_done(accepted, seconds=seconds, finish=lambda: _send_made(row, export_format, job_id))
    return _send_made(row, export_format, newest.id)


def _send_made(row: sa.Row[Any], export_format: str, job_id: str) -> flask.Response:
    """Send what a job has made, or answer 202 while it is at work; raises ConflictError when it has failed."""
    newest = jobs.find(*context.databases_and_tenant(), job_id)
    export_row = exports.find(context.current().databases, row, export_format)
    if export_row is None:
        answers.require_success(newest, preferences.read())
    if newest.state == State.FAILED:
        raise errors.ConflictError(
            f"{row.name}@{row.version} has no {export_format} export: {newest.error_message} ({newest.id}; "
            f"POST /v1/models/{row.name}/versions/{row.version}/exports tries again.)"
        )
    if export_row is None:
        return answers.accepted_job(views.to_document(newest), version=newest.version)
    return _send(row, export_row, export_format)


def _submit(
    row: sa.Row[Any],
    export_format: str,
    *,
    newest: views.ShownJob | None,
    key: str | None,
    tags: tuple[str, ...] = (),
    **options: Any,
) -> Accepted:
    """Submit the job that makes an export, or return the one in progress."""
    if newest is not None and not newest.is_terminal and key is None:
        return Accepted(views.to_document(newest), version=newest.version, is_new=False)
    params, tag = exports.params_of(row, export_format), exports.tag_of(row, export_format)
    order = orders.make("training.export", params, pointer="#", tags=(tag, *tags), **options)
    # Simultaneous requests see the same newest job, and so submit one new job. A client's key can't contain newlines.
    own_key = f"export\n{row.name}@{row.version}\n{export_format}\n{newest.id if newest else ''}"
    return context.current().submitter.submit(order, client=context.client(), key=key or own_key)
