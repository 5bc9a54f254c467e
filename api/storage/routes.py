"""The object store: verify, prune, export, import, usage."""

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents, streams, uploads
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
    """An archive's path."""

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
    """What one kind of thing takes."""

    role: str = pydantic.Field(description="The role that keeps it.")
    kind: str = pydantic.Field(description="What it is: `dataset`, `features`, `model`, `archive`, …")
    objects: int = pydantic.Field(description="How many objects; one that several things share counts once.")
    bytes: int = pydantic.Field(description="Their bytes.")
    deleted_objects: int = pydantic.Field(description="How many more wait, deleted, for the store to be pruned.")
    deleted_bytes: int = pydantic.Field(description="Their bytes, while they wait.")


class Usage(documents.Document):
    """What a tenant's things take in the object store."""

    tenant: str
    objects: int = pydantic.Field(description="Objects that rows point at.")
    bytes: int = pydantic.Field(description="Their bytes.")
    uses: list[Use] = pydantic.Field(description="The same by role and kind.")
    uploads: int = pydantic.Field(description="Uploads that wait for their job, or for the store to be pruned.")
    upload_bytes: int = pydantic.Field(description="Their bytes.")
    unavailable: list[str] = pydantic.Field(description="Roles whose database can't be reached, and so are left out.")


@blueprint.post(
    "/verify",
    responses={200: documents.Job, 202: documents.Job},
    request_body={"required": False, "content": _VERIFY},
)
@auth.needs("write")
def verify() -> flask.Response:
    """Hash every object that a row points at; say what is missing, damaged or held by nobody."""
    has_body = flask.request.content_length or "Transfer-Encoding" in flask.request.headers
    asked = flask.request.get_json() if has_body else {}
    return answers.submit("storage.verify", asked)


@blueprint.post("/prune", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def prune(body: PruneObjects) -> flask.Response:
    """Retire old versions by a rule, and delete the objects that nothing points at; a dry run unless told otherwise."""
    return answers.submit("storage.prune", body.model_dump(mode="json"))


@blueprint.post("/export", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def export(body: ExportArchive) -> flask.Response:
    """Pack a dataset, a feature set, a model or the whole tenant into one archive."""
    return answers.submit("storage.export", body.model_dump(mode="json"))


@blueprint.post(
    "/import",
    responses={200: documents.Job, 202: documents.Job},
    request_body={"required": True, "content": _TAR},
)
@auth.needs("write")
def import_archive() -> flask.Response:
    """Take in an archive's versions; one of several types is taken in by a job for each, linked from the first."""
    if flask.request.mimetype != _CONTENT_TYPE:
        raise errors.UnsupportedMediaTypeError(
            f"Content-Type is {flask.request.mimetype or 'missing'!r}; send the archive as {_CONTENT_TYPE!r}."
        )
    encoding = flask.request.headers.get("Content-Encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise errors.UnsupportedMediaTypeError(
            f"Content-Encoding is {encoding[:40]!r}; send the archive as it is, without an encoding."
        )
    first, *others = _take_in()
    for other in others:
        first.document["links"][other.document["kind"]] = other.document["links"]["self"]
    return answers.accepted_or_done(first)


def _take_in() -> list[Accepted]:
    """Store the request's archive, and submit the jobs that take in what it holds."""
    here, client = context.current(), context.client()
    _upload, pin = uploads.receive(what="archive")

    def submit() -> list[Accepted]:
        head = importing.read_head(here.databases, here.objects, pin, tenant_id=client.tenant_id, config=here.config)
        importing.reserve_names(here.databases, head, tenant_id=client.tenant_id)
        asked = importing.orders_for(head, pin)
        return here.submitter.submit_all(asked, client=client, key=answers.idempotency_key())

    return list(submit_with_upload(here.objects, pin, submit))


@blueprint.get("/usage", responses={200: Usage})
@auth.needs("read")
def show_usage() -> flask.Response:
    """Say how much the tenant keeps, by role and kind."""
    here = context.current()
    return answers.json(usage.measure(here.databases, here.objects, context.client().tenant_id))


@blueprint.get("/archives", responses={200: ArchiveList})
@auth.needs("read")
def list_archives(query: documents.NamesQuery) -> flask.Response:
    """List archives, newest first."""
    return answers.json(archives.page(*context.reading(), limit=query.limit, cursor=query.cursor))


@blueprint.get("/archives/<archive_id>", responses={200: ArchiveDetail})
@auth.needs("read")
def show_archive(path: ArchivePath) -> flask.Response:
    """Show an archive."""
    return answers.json(archives.describe(archives.find(*context.reading(), path.archive_id)))


@blueprint.get("/archives/<archive_id>/content", responses={200: {"description": "The archive", "content": _TAR}})
@auth.needs("read")
def read_archive(path: ArchivePath) -> flask.Response:
    """Read an archive's bytes."""
    row = archives.find(*context.reading(), path.archive_id)
    return streams.send_object(
        row.key, name=f"{row.id}.tar", size=row.bytes, sha256=row.sha256, content_type=_CONTENT_TYPE
    )


@blueprint.delete("/archives/<archive_id>", responses={204: None})
@auth.needs("write")
def delete_archive(path: ArchivePath) -> flask.Response:
    """Let go of an archive; its object goes when the store is pruned."""
    databases, tenant_id = context.reading()
    deletion.delete_archive(databases, archives.find(databases, tenant_id, path.archive_id))
    return flask.Response(status=204)
