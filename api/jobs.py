"""Jobs of any role: submit, show, list, cancel, retry, events."""

import time
from collections.abc import Iterator

import flask
import flask_openapi
import orjson

from api import answers, auth, documents, door
from shared import database, dispatch, errors, ids, job_views, roles

jobs = flask_openapi.APIBlueprint("jobs", __name__, url_prefix="/v1/jobs", abp_tags=[{"name": "jobs"}])
_ULID = r"[0-7][0-9A-HJKMNP-TV-Z]{25}"
_KEEPALIVE_SECONDS = 10.0
_LONGEST_STREAM_SECONDS = 3600.0
_STREAM = {"text/event-stream": {"schema": {"type": "string"}}}


@jobs.post("", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def submit(body: documents.JobRequest) -> flask.Response:
    """Submit a job."""
    return answers.submit(_order(body))


@jobs.post("/batch", responses={202: documents.Batch})
@auth.needs("write")
def submit_batch(body: documents.BatchRequest) -> flask.Response:
    """Submit up to 1,000 jobs, all or none."""
    orders = [_order(job, where=f"#/jobs/{index}/params") for index, job in enumerate(body.jobs)]
    accepted = door.current().dispatcher.submit_all(orders, client=door.client(), key=answers.idempotency_key())
    return answers.json({"jobs": [one.document for one in accepted]}, status=202)


def _order(job: documents.JobRequest, *, where: str = "#/params") -> dispatch.Order:
    return answers.order(
        job.kind,
        job.params,
        where=where,
        priority=job.priority,
        deadline_seconds=job.deadline_seconds,
        tags=tuple(job.tags),
    )


@jobs.get("", responses={200: documents.JobList})
@auth.needs("read")
def list_jobs(query: documents.JobQuery) -> flask.Response:
    """List jobs of all roles, newest first."""
    chosen = _roles(query)
    wanted = job_views.Filter(
        tenant_id=door.client().tenant_id,
        kind=query.kind,
        state=query.state,
        tag=query.tag,
        before=answers.read_cursor(query.cursor, pattern=_ULID),
    )
    rows, unavailable = _pages(chosen, wanted, limit=query.limit + 1)
    shown = sorted(rows, key=lambda row: ids.ulid_of(row.id), reverse=True)[: query.limit + 1]
    more = len(shown) > query.limit
    shown = shown[: query.limit]
    return answers.json(
        {
            "jobs": [job_views.document(row) for row in shown],
            "next_cursor": answers.cursor_for(ids.ulid_of(shown[-1].id)) if more else None,
            "unavailable": unavailable,
        }
    )


def _roles(query: documents.JobQuery) -> list[str]:
    known = list(roles.ROLES)
    if query.role is not None and query.role not in known:
        problem = errors.Problem(f"{query.role!r} is no role; these are: {', '.join(known)}", "#/role")
        raise errors.InvalidRequestError(f"There is no role {query.role!r}.", problems=[problem])
    by_kind = query.kind.partition(".")[0] if query.kind else None
    return [role for role in known if query.role in {None, role} and by_kind in {None, role}]


def _pages(chosen: list[str], wanted: job_views.Filter, *, limit: int) -> tuple[list[job_views.Row], list[str]]:
    """Read a page of each role; a role whose database is down is left out and named."""
    rows: list[job_views.Row] = []
    unavailable = []
    for role in chosen:
        try:
            with door.current().databases[role].statements.connect() as connection:
                rows += job_views.page(connection, wanted, role=role, limit=limit)
        except database.FAULTS:
            unavailable.append(role)
    if chosen and len(unavailable) == len(chosen):
        raise errors.UnavailableError(
            f"No database of these roles can be reached: {', '.join(unavailable)}.", retry_after_seconds=5
        )
    return rows, unavailable


@jobs.get("/<job_id>", responses={200: documents.Job, 304: None})
@auth.needs("read")
def show(path: documents.JobPath) -> flask.Response:
    """Show a job."""
    row = answers.read_job(path.job_id)
    if flask.request.if_none_match.contains_weak(job_views.tag(row)):
        response = flask.Response(status=304)
    else:
        response = answers.json(job_views.document(row))
    response.headers.update(answers.headers_of(row))
    return response


@jobs.post("/<job_id>/cancel", responses={202: documents.Job})
@auth.needs("write")
def cancel(path: documents.JobPath) -> flask.Response:
    """Cancel a job: at once when it is queued, within seconds when it runs."""
    row = answers.read_job(path.job_id)
    moved = door.current().dispatcher.cancel(path.job_id, client=door.client())
    if moved is None and row.state != "cancelled":
        row = answers.read_job(path.job_id)
    if moved is None and row.state != "cancelled":
        raise errors.ConflictError(
            f"{path.job_id} is {row.state}, which is final; only a job that waits or runs can be."
        )
    row = answers.read_job(path.job_id)
    return answers.accepted_job(job_views.document(row), version=row.version)


@jobs.post("/<job_id>/retry", responses={202: documents.Job})
@auth.needs("write")
def retry(path: documents.JobPath) -> flask.Response:
    """Submit a job that failed, was cancelled or is dead once more, as a new job with the same pins."""
    answers.read_job(path.job_id)
    accepted = door.current().dispatcher.retry(path.job_id, client=door.client(), key=answers.idempotency_key())
    if accepted is None:
        raise errors.NotFoundError(f"There is no job {path.job_id!r}.")
    return answers.accepted_job(accepted.document, version=accepted.version)


@jobs.get(
    "/<job_id>/events",
    responses={200: {"description": "Events `state` and `progress`", "content": _STREAM}},
)
@auth.needs("read")
def events(path: documents.JobPath) -> flask.Response:
    """Follow a job's state and progress as server-sent events, until it ends."""
    row = answers.read_job(path.job_id)
    here, client = door.current(), door.client()
    place = here.watcher.place()
    if not place.__enter__():
        raise errors.UnavailableError("Too many clients follow jobs already; poll instead.", retry_after_seconds=5)
    response = flask.Response(_stream(here, client, row), content_type="text/event-stream; charset=utf-8")
    response.call_on_close(lambda: place.__exit__(None, None, None))
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _stream(here: door.Door, client: dispatch.Client, row: job_views.Row) -> Iterator[bytes]:
    """Give an event for each version of the row that is seen; a comment when nothing moves for a while."""
    role = ids.role_of(row.id) or ""
    limit = time.monotonic() + _LONGEST_STREAM_SECONDS
    state = None
    while time.monotonic() < limit:
        name = "progress" if row.state == state else "state"
        state = row.state
        yield b"id: %d\nevent: %s\ndata: %s\n\n" % (
            row.version,
            name.encode(),
            orjson.dumps(job_views.document(row)),
        )
        if job_views.is_terminal(row):
            return
        while not here.watcher.until_moved(row.id, known=row.version, seconds=_KEEPALIVE_SECONDS):
            yield b": still there\n\n"
        try:
            seen = job_views.show(here.databases[role].reader, row.id, tenant_id=client.tenant_id)
        except database.FAULTS:
            return
        if seen is None:
            return
        row = seen
