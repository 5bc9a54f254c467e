"""Jobs of any role: submit, show, list, cancel, retry, events."""

import contextlib
import time
from collections.abc import Iterator

import flask
import flask_openapi
import orjson

from api import answers, auth, context, documents
from api.intake import cancelling, orders
from api.intake.orders import Order
from api.reads import jobs
from shared import database, errors, ids
from shared.jobs import views
from shared.jobs.states import State

blueprint = flask_openapi.APIBlueprint("jobs", __name__, url_prefix="/v1/jobs", abp_tags=[{"name": "jobs"}])
_KEEP_ALIVE_SECONDS = 10.0
_MAX_STREAM_SECONDS = 3600.0
_STREAM = {"text/event-stream": {"schema": {"type": "string"}}}


@blueprint.post("", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def submit(body: documents.JobRequest) -> flask.Response:
    """Submit a job."""
    return answers.accepted_or_done(answers.accept(_make_order(body, pointer="#/params")))


@blueprint.post("/batch", responses={202: documents.Batch})
@auth.needs("write")
def submit_batch(body: documents.BatchRequest) -> flask.Response:
    """Submit up to 1,000 jobs, all or none."""
    batch = [_make_order(job, pointer=f"#/jobs/{index}/params") for index, job in enumerate(body.jobs)]
    accepted = context.current().submitter.submit_all(batch, client=context.client(), key=answers.idempotency_key())
    return answers.json({"jobs": [job.document for job in accepted]}, status=202)


def _make_order(job: documents.JobRequest, *, pointer: str) -> Order:
    return orders.make(
        job.kind,
        job.params,
        pointer=pointer,
        priority=job.priority,
        deadline_seconds=job.deadline_seconds,
        tags=tuple(job.tags),
    )


@blueprint.get("", responses={200: documents.JobList})
@auth.needs("read")
def list_jobs(query: documents.JobQuery) -> flask.Response:
    """List jobs of all roles, newest first."""
    criteria = jobs.Filter(role=query.role, kind=query.kind, state=query.state, tag=query.tag)
    return answers.json(jobs.page(*context.databases_and_tenant(), criteria, limit=query.limit, cursor=query.cursor))


@blueprint.get("/<job_id>", responses={200: documents.Job, 304: None})
@auth.needs("read")
def show(path: documents.JobPath) -> flask.Response:
    """Show a job."""
    row = jobs.find(*context.databases_and_tenant(), path.job_id)
    if flask.request.if_none_match.contains_weak(views.etag_of(row)):
        response = flask.Response(status=304)
    else:
        response = answers.json(views.to_document(row))
    response.headers.update(answers.headers_of(row))
    return response


@blueprint.post("/<job_id>/cancel", responses={202: documents.Job})
@auth.needs("write")
def cancel(path: documents.JobPath) -> flask.Response:
    """Cancel a job: at once when it is queued, within seconds when it runs."""
    databases, tenant_id = context.databases_and_tenant()
    cancelled = cancelling.cancel(databases, path.job_id, tenant_id=tenant_id)
    row = jobs.find(databases, tenant_id, path.job_id)
    if cancelled is None and row.state != State.CANCELLED:
        raise errors.ConflictError(
            f"{path.job_id} is {row.state}, which is final; only a queued or running job can be cancelled."
        )
    return answers.accepted_job(views.to_document(row), version=row.version)


@blueprint.post("/<job_id>/retry", responses={202: documents.Job})
@auth.needs("write")
def retry(path: documents.JobPath) -> flask.Response:
    """Retry a failed, cancelled or dead job: submit it again, as a new job with the same pinned versions."""
    jobs.find(*context.databases_and_tenant(), path.job_id)
    accepted = context.current().submitter.retry(path.job_id, client=context.client(), key=answers.idempotency_key())
    if accepted is None:
        raise errors.NotFoundError(f"There is no job {path.job_id!r}.")
    return answers.accepted_job(accepted.document, version=accepted.version)


@blueprint.get(
    "/<job_id>/events",
    responses={200: {"description": "Events `state` and `progress`", "content": _STREAM}},
)
@auth.needs("read")
def events(path: documents.JobPath) -> flask.Response:
    """Follow a job's state and progress as server-sent events, until it ends."""
    current, tenant_id = context.current(), context.client().tenant_id
    row = jobs.find(current.databases, tenant_id, path.job_id)
    with contextlib.ExitStack() as stack:
        if not stack.enter_context(current.watcher.slot()):
            raise errors.UnavailableError("Too many clients follow jobs already; poll instead.", retry_after_seconds=5)
        response = flask.Response(_stream(current, tenant_id, row), content_type="text/event-stream; charset=utf-8")
        response.call_on_close(stack.pop_all().close)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _stream(current: context.Context, tenant_id: str, row: views.ShownJob) -> Iterator[bytes]:
    """Yield an event for each version of the row that is read, and comments as keep-alive while nothing changes."""
    role = ids.role_of(row.id) or ""
    deadline = time.monotonic() + _MAX_STREAM_SECONDS
    state = None
    while time.monotonic() < deadline:
        name = "progress" if row.state == state else "state"
        state = row.state
        yield b"id: %d\nevent: %s\ndata: %s\n\n" % (
            row.version,
            name.encode(),
            orjson.dumps(views.to_document(row)),
        )
        if row.is_terminal:
            return
        while not current.watcher.wait_for_change(row.id, known_version=row.version, seconds=_KEEP_ALIVE_SECONDS):
            yield b": still there\n\n"
        try:
            latest = views.read(current.databases[role].reader, row.id, tenant_id=tenant_id)
        except database.FAULTS:
            return
        if latest is None:
            return
        row = latest
