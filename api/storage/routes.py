"""The object store: verify, prune, export, import, usage."""

import dataclasses
from typing import Any

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents, queries, streams, uploads
from api.intake import deletion, importing
from api.intake.orders import Accepted
from api.intake.uploads import submit_with_upload
from api.reads import archives, usage
from shared import errors
from shared.storage.contract import ExportArchive, Packed, PruneObjects, VerifyObjects

blueprint = flask_openapi.APIBlueprint("storage", __name__, url_prefix="/v1/storage", abp_tags=[{"name": "storage"}])
BLUEPRINTS = (blueprint,)
_CONTENT_TYPE = "application/x-tar"
_TAR = {_CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}}
_VERIFY = {"application/json": {"schema": VerifyObjects.model_json_schema()}}


class ArchivePath(pydantic.BaseModel):
    """An archive's id, in the path."""

    archive_id: str = pydantic.Field(max_length=64, description="The archive's id.")


class ArchiveDetail(documents.Document):
    """An archive."""

    id: str
    bytes: int
    sha256: str
    items: list[Packed]
    job_id: str
    created_at: str
    created_by: str


class ArchiveList(documents.Document):
    """Archives, newest first."""

    archives: list[ArchiveDetail]
    next_cursor: str | None


class Use(documents.Document):
    """The storage that one role uses for one type of resource."""

    role: str = pydantic.Field(description="The role that keeps these resources.")
    kind: str = pydantic.Field(description="The type of the resources: `dataset`, `features`, `model`, `archive`, …")
    objects: int = pydantic.Field(description="How many objects they have; an object that several share counts once.")
    bytes: int = pydantic.Field(description="The size of these objects.")
    deleted_objects: int = pydantic.Field(
        description="How many more objects belong to deleted resources, and are in the store until it is pruned."
    )
    deleted_bytes: int = pydantic.Field(description="The size of the objects of deleted resources.")


class Usage(documents.Document):
    """The storage that a tenant uses in the object store."""

    tenant: str
    objects: int = pydantic.Field(description="How many objects the tenant's resources have.")
    bytes: int = pydantic.Field(description="The size of these objects.")
    uses: list[Use] = pydantic.Field(description="The same by role and type of resource.")
    uploads: int = pydantic.Field(description="Uploads that are still in the store, until it is pruned.")
    upload_bytes: int = pydantic.Field(description="The size of these uploads.")
    stored_bytes: int = pydantic.Field(
        description="What counts for the quota: these objects, those that are deleted but not pruned, and uploads."
    )
    quota_bytes: int | None = pydantic.Field(description="How many bytes the tenant may store; null: any number.")
    unavailable: list[str] = pydantic.Field(
        description="Roles that are missing here, because their database can't be reached."
    )


@blueprint.post(
    "/verify",
    responses={200: documents.Job, 202: documents.Job},
    request_body={"required": False, "content": _VERIFY},
)
@auth.needs("write")
def verify(query: queries.SubmitQuery) -> flask.Response:
    """Hash every object that a row points at; report missing and damaged objects, and those that nothing points at."""
    has_body = flask.request.content_length or "Transfer-Encoding" in flask.request.headers
    params = flask.request.get_json() if has_body else {}
    return answers.submit("storage.verify", params, **query.to_options())


@blueprint.post("/prune", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def prune(body: PruneObjects, query: queries.SubmitQuery) -> flask.Response:
    """Retire old versions by a rule, and delete the objects that nothing points at; by default only a dry run."""
    return answers.submit("storage.prune", body.model_dump(mode="json"), **query.to_options())


@blueprint.post("/export", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def export(body: ExportArchive, query: queries.SubmitQuery) -> flask.Response:
    """Pack a dataset, a feature set, a model or the whole tenant into one archive."""
    return answers.submit("storage.export", body.model_dump(mode="json"), **query.to_options())


@blueprint.post(
    "/import",
    responses={200: documents.Job, 202: documents.Job},
    request_body={"required": True, "content": _TAR},
)
@auth.needs("write")
def import_archive(query: queries.SubmitQuery) -> flask.Response:
    """Import the versions in an archive, by a job for each type of resource; the first job links to the others."""
    if flask.request.mimetype != _CONTENT_TYPE:
        raise errors.UnsupportedMediaTypeError(
            f"Content-Type is {flask.request.mimetype or 'missing'!r}; send the archive as {_CONTENT_TYPE!r}."
        )
    encoding = flask.request.headers.get("Content-Encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise errors.UnsupportedMediaTypeError(
            f"Content-Encoding is {encoding[:40]!r}; send the archive as it is, without an encoding."
        )
    first, *others = _submit_import(query.to_options())
    for other in others:
        first.document["links"][other.document["kind"]] = other.document["links"]["self"]
    return answers.accepted_or_done(first)


def _submit_import(options: dict[str, Any]) -> list[Accepted]:
    """Store the archive in the request's body, and submit the jobs that import it."""
    current, client = context.current(), context.client()
    _upload, pin = uploads.receive(*importing.KIND_NAMES, content="archive")

    def submit() -> list[Accepted]:
        head = importing.read_head(
            current.databases, current.objects, pin, tenant_id=client.tenant_id, config=current.config
        )
        importing.reserve_names(current.databases, head, tenant_id=client.tenant_id)
        orders = [dataclasses.replace(order, **options) for order in importing.make_orders(head, pin)]
        return current.submitter.submit_all(orders, client=client, key=answers.idempotency_key())

    return list(submit_with_upload(current.objects, pin, submit, quota=current.quota, tenant_id=client.tenant_id))


@blueprint.get("/usage", responses={200: Usage})
@auth.needs("read")
def show_usage() -> flask.Response:
    """Show how much storage the tenant uses, by role and type of resource."""
    current = context.current()
    measured = usage.measure(current.databases, current.objects, context.client().tenant_id)
    return answers.json({**measured.document, "quota_bytes": current.config.max_bytes_per_tenant or None})


@blueprint.get("/archives", responses={200: ArchiveList})
@auth.needs("read")
def list_archives(query: documents.NamesQuery) -> flask.Response:
    """List archives, newest first."""
    return answers.json(archives.page(*context.databases_and_tenant(), limit=query.limit, cursor=query.cursor))


@blueprint.get("/archives/<archive_id>", responses={200: ArchiveDetail})
@auth.needs("read")
def show_archive(path: ArchivePath) -> flask.Response:
    """Show an archive."""
    return answers.json(archives.describe(archives.find(*context.databases_and_tenant(), path.archive_id)))


@blueprint.get("/archives/<archive_id>/content", responses={200: {"description": "The archive", "content": _TAR}})
@auth.needs("read")
def read_archive(path: ArchivePath) -> flask.Response:
    """Download an archive."""
    row = archives.find(*context.databases_and_tenant(), path.archive_id)
    return streams.send_object(
        row.key, name=f"{row.id}.tar", size=row.bytes, sha256=row.sha256, content_type=_CONTENT_TYPE
    )


@blueprint.delete("/archives/<archive_id>", responses={204: None})
@auth.needs("write")
def delete_archive(path: ArchivePath) -> flask.Response:
    """Delete an archive; its object is deleted when the store is pruned."""
    databases, tenant_id = context.databases_and_tenant()
    deletion.delete_archive(databases, archives.find(databases, tenant_id, path.archive_id))
    return flask.Response(status=204)
