"""The object store: verify, prune, export, import, usage."""

import flask
import flask_openapi

from api import answers, auth, documents, door
from api.storage import archives, usage
from shared import errors
from shared.storage import contract as storage

store = flask_openapi.APIBlueprint("storage", __name__, url_prefix="/v1/storage", abp_tags=[{"name": "storage"}])
BLUEPRINTS = (store,)
_TAR = {archives.CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}}
_VERIFY = {"application/json": {"schema": storage.VerifyObjects.model_json_schema()}}


@store.post(
    "/verify",
    responses={200: documents.Job, 202: documents.Job},
    request_body={"required": False, "content": _VERIFY},
)
@auth.needs("write")
def verify() -> flask.Response:
    """Hash every object that a row points at; say what is missing, damaged or held by nobody."""
    has_body = flask.request.content_length or "Transfer-Encoding" in flask.request.headers
    asked = flask.request.get_json() if has_body else {}
    return answers.submit(answers.order("storage.verify", asked, where="#"))


@store.post("/prune", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def prune(body: storage.PruneObjects) -> flask.Response:
    """Retire old versions by a rule, and delete the objects that nothing points at; a dry run unless told otherwise."""
    return answers.submit(answers.order("storage.prune", body.model_dump(mode="json"), where="#"))


@store.post("/export", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def export(body: storage.ExportArchive) -> flask.Response:
    """Pack a dataset, a feature set, a model or the whole tenant into one archive."""
    return answers.submit(answers.order("storage.export", body.model_dump(mode="json"), where="#"))


@store.post(
    "/import",
    responses={200: documents.Job, 202: documents.Job},
    request_body={"required": True, "content": _TAR},
)
@auth.needs("write")
def import_archive() -> flask.Response:
    """Take in an archive's versions; one of several types is taken in by a job for each, linked from the first."""
    if flask.request.mimetype != archives.CONTENT_TYPE:
        raise errors.UnsupportedMediaTypeError(
            f"Content-Type is {flask.request.mimetype or 'missing'!r}; send the archive as {archives.CONTENT_TYPE!r}."
        )
    encoding = flask.request.headers.get("Content-Encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise errors.UnsupportedMediaTypeError(
            f"Content-Encoding is {encoding[:40]!r}; send the archive as it is, without an encoding."
        )
    first, *others = archives.take_in()
    for other in others:
        first.document["links"][other.document["kind"]] = other.document["links"]["self"]
    return answers.accepted_or_done(first)


@store.get("/usage", responses={200: usage.Usage})
@auth.needs("read")
def show_usage() -> flask.Response:
    """Say how much the tenant keeps, by role and kind."""
    return answers.json(usage.measure(door.client().tenant_id))


@store.get("/archives", responses={200: archives.ArchiveList})
@auth.needs("read")
def list_archives(query: documents.NamesQuery) -> flask.Response:
    """List archives, newest first."""
    return answers.json(archives.page(query))


@store.get("/archives/<archive_id>", responses={200: archives.ArchiveDetail})
@auth.needs("read")
def show_archive(path: archives.ArchivePath) -> flask.Response:
    """Show an archive."""
    return answers.json(archives.describe(archives.find(path.archive_id)))


@store.get("/archives/<archive_id>/content", responses={200: {"description": "The archive", "content": _TAR}})
@auth.needs("read")
def read_archive(path: archives.ArchivePath) -> flask.Response:
    """Read an archive's bytes."""
    return archives.content(archives.find(path.archive_id))


@store.delete("/archives/<archive_id>", responses={204: None})
@auth.needs("write")
def delete_archive(path: archives.ArchivePath) -> flask.Response:
    """Let go of an archive; its object goes when the store is pruned."""
    archives.delete(archives.find(path.archive_id))
    return flask.Response(status=204)
