"""Exports of a model's version: make one, list them, fetch one."""

from typing import Any

import flask
import flask_openapi
import pydantic
import sqlalchemy as sa

from api import answers, auth, context, documents, streams
from api.intake import orders
from api.intake.orders import Accepted
from api.reads import exports, models
from shared import contract, errors
from shared.jobs import views
from shared.jobs.states import State
from shared.training.exports import SUFFIXES, Format

blueprint = flask_openapi.APIBlueprint(
    "model_exports", __name__, url_prefix="/v1/models", abp_tags=[{"name": "models"}]
)
_PATIENCE_SECONDS = 5.0


class ExportRequest(contract.Document):
    """In which form to export a version."""

    format: Format = pydantic.Field(description="`skops`, `onnx` or `mlflow`.")


class ExportQuery(pydantic.BaseModel):
    """In which form to fetch a version."""

    model_config = pydantic.ConfigDict(extra="forbid")

    format: Format = pydantic.Field(default="skops", description="`skops`, `onnx` or `mlflow` (a .tar.gz).")


class Export(documents.Document):
    """An export that was made."""

    format: str
    sha256: str
    bytes: int
    created_at: str
    created_by: str = pydantic.Field(description="The id of the key that asked for it.")
    job_id: str
    details: dict[str, Any] = pydantic.Field(
        description="For ONNX its inputs, its outputs and its parity with scikit-learn."
    )


class ExportList(documents.Document):
    """The exports of a version."""

    name: str
    version: int
    exports: list[Export]


_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_FETCHED: dict[str | int, Any] = {
    200: {
        "description": "The file",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
    202: documents.Job,
    403: {
        "description": "There is no such export yet, and this key may not have it made",
        "content": _PROBLEM,
    },
    409: {
        "description": "This version has no such export, and why",
        "content": _PROBLEM,
    },
}


@blueprint.post("/<name>/versions/<int:version>/exports", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def make_export(path: documents.VersionPath, body: ExportRequest) -> flask.Response:
    """Export a version; one that was exported before is not made again."""
    row = models.find(*context.reading(), path.name, path.version)
    newest = exports.newest_job(context.current().databases, row, body.format)
    return answers.accepted_or_done(_submit(row, body.format, newest=newest, key=answers.idempotency_key()))


@blueprint.get("/<name>/versions/<int:version>/exports", responses={200: ExportList})
@auth.needs("read")
def list_exports(path: documents.VersionPath) -> flask.Response:
    """List the exports of a version."""
    row = models.find(*context.reading(), path.name, path.version)
    return answers.json(exports.page(context.current().databases, row))


@blueprint.get("/<name>/versions/<int:version>/export", responses=_FETCHED)
@auth.needs("read")
def export(path: documents.VersionPath, query: ExportQuery) -> flask.Response:
    """Fetch a version's export.

    One that is not there yet is made, by a key that may write; that may take longer than this request waits.
    """
    databases = context.current().databases
    row = models.find(*context.reading(), path.name, path.version)
    found = row if query.format == "skops" else exports.find(databases, row, query.format)
    if found is None:
        job = _after_making(row, query.format)
        found = exports.find(databases, row, query.format)
        if found is None:
            return answers.accepted_job(views.to_document(job), version=job.version)
    name = f"{path.name}-{path.version}.{SUFFIXES[query.format]}"
    return streams.send_object(found.key, name=name, size=found.bytes, sha256=found.sha256)


def _after_making(row: sa.Row[Any], form: str) -> views.Row:
    """Submit the job that makes an export, or find it, and wait a while.

    Raises ForbiddenError when there is none and the key may not submit any, ConflictError when it has failed.
    """
    newest = exports.newest_job(context.current().databases, row, form)
    if newest is None or newest.state != State.FAILED:
        is_under_way = newest is not None and not views.is_terminal(newest)
        if not is_under_way and not auth.allows("write"):
            raise errors.ForbiddenError(
                f"{row.name}@{row.version} has no {form} export yet, and having it made needs a key with the scope "
                "'write'."
            )
        accepted = _submit(row, form, newest=newest, key=None)
        newest = answers.wait_for(accepted, seconds=answers.preferred_wait(default=_PATIENCE_SECONDS))
    if newest.state == State.FAILED:
        raise errors.ConflictError(
            f"{row.name}@{row.version} has no {form} export: {newest.error_message} ({newest.id}; "
            f"POST /v1/models/{row.name}/versions/{row.version}/exports tries again.)"
        )
    return newest


def _submit(row: sa.Row[Any], form: str, *, newest: views.Row | None, key: str | None) -> Accepted:
    """Submit the job that makes an export; while one is under way, give that."""
    if newest is not None and not views.is_terminal(newest) and key is None:
        return Accepted(views.to_document(newest), newest.version, is_new=False)
    params, tag = exports.params_of(row, form), exports.tag_of(row, form)
    order = orders.make("training.export", params, where="#", tags=(tag,))
    # Requests that come at once see the same newest job, and so get one new job. No client's key has these newlines.
    own = f"export\n{row.name}@{row.version}\n{form}\n{newest.id if newest else ''}"
    return context.current().submitter.submit(order, client=context.client(), key=key or own)
