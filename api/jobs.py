"""Jobs of any role: submit, show, list, cancel, retry, logs, events."""

import contextlib
import urllib.parse
from typing import Literal

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, deferred, documents, list_queries, preferences, queries
from api.intake import cancelling, orders
from api.intake.orders import Accepted, Order
from api.reads import jobs
from shared import contract, errors, ids
from shared.jobs import views
from shared.jobs.states import State

blueprint = flask_openapi.APIBlueprint("jobs", __name__, url_prefix="/v1/jobs", abp_tags=[{"name": "jobs"}])
_VALIDATION_SECONDS = 5.0
"""Processor time for validating the parameters of all jobs of a batch."""
_STREAM = {"text/event-stream": {"schema": {"type": "string"}}}


class LogLine(documents.Document):
    """A line of a job."""

    at: str = pydantic.Field(description="When it was logged.")
    attempt: int = pydantic.Field(description="The attempt at the job in which it was logged.")
    level: Literal["info", "warning", "error", "critical"]
    message: str = pydantic.Field(
        description="The name of an event, such as `job_retry_scheduled`, or what a library has said."
    )
    fields: dict[str, str | int | float | bool | None] = pydantic.Field(description="What else is known of it.")


class JobLog(documents.Document):
    """Lines of a job, the oldest first."""

    lines: list[LogLine]
    next: str = pydantic.Field(description="Pass it as `after` to get the lines behind these, now or once there are.")
    complete: bool = pydantic.Field(description="Whether the job has ended and these are its last lines.")


class BatchJob(documents.JobRequest):
    """A job of a batch."""

    idempotency_key: str | None = pydantic.Field(
        default=None,
        pattern=r"^[\x20-\x7e]{1,255}$",
        description="An Idempotency-Key of its own, with which it may also be sent again alone or in another batch.",
    )


class BatchRequest(contract.Document):
    """Jobs that are accepted together: all of them or none."""

    jobs: list[BatchJob] = pydantic.Field(min_length=1, max_length=1000, description="The jobs.")


@blueprint.post("", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def submit(body: documents.JobRequest, query: queries.SubmitQuery) -> flask.Response:
    """Submit a job."""
    return answers.accepted_or_done(answers.accept(_make_order(body, query, pointer="#/params")))


@blueprint.post("/batch", responses={202: documents.Batch})
@auth.needs("write")
def submit_batch(body: BatchRequest, query: queries.SubmitQuery) -> flask.Response:
    """Submit up to 1,000 jobs, all or none."""
    jobs_in_turn = enumerate(orders.within(_VALIDATION_SECONDS, body.jobs))
    batch = [_make_order(job, query, pointer=f"#/jobs/{index}/params") for index, job in jobs_in_turn]
    accepted = context.current().submitter.submit_all(
        batch,
        client=context.client(),
        key=answers.idempotency_key(),
        own_keys=[job.idempotency_key for job in body.jobs],
    )
    return answers.json({"jobs": [job.document for job in accepted]}, status=202)


def _make_order(job: documents.JobRequest, query: queries.SubmitQuery, *, pointer: str) -> Order:
    return orders.make(job.kind, job.params, pointer=pointer, **query.to_options() | job.to_options())


@blueprint.get("", responses={200: documents.JobList})
@auth.needs("read")
def list_jobs(query: list_queries.JobQuery) -> flask.Response:
    """List jobs of all roles, newest first."""
    chosen = list_queries.parse_jobs(query)
    return answers.json(jobs.page(*context.databases_and_tenant(), chosen, limit=query.limit, cursor=query.cursor))


@blueprint.get("/<job_id>", responses={200: documents.Job, 304: None})
@auth.needs("read")
def show(path: documents.JobPath) -> flask.Response:
    """Show a job, or wait for its end first when the client prefers that."""
    preferred = preferences.read()
    row = jobs.find(*context.databases_and_tenant(), path.job_id)
    if row.is_terminal or preferred.wait_seconds <= 0:
        return _show(row, preferred)
    job = Accepted(views.to_document(row), version=row.version, is_new=False)

    def finish() -> flask.Response:
        return _show(jobs.find(*context.databases_and_tenant(), path.job_id), preferred)

    return answers.when_done(job, seconds=preferred.wait_seconds, finish=finish)


def _show(row: views.ShownJob, preferred: preferences.Preferences) -> flask.Response:
    """Answer a job, 304 when the client has it; raises UnsuccessfulError when the client prefers that."""
    answers.require_success(row, preferred)
    if flask.request.if_none_match.contains_weak(views.etag_of(row)):
        response = flask.Response(status=304)
    else:
        response = answers.json(views.to_document(row))
    response.headers.update(answers.headers_of(row))
    if row.is_terminal and preferred.wait_seconds > 0:
        response.headers["Preference-Applied"] = preferred.applied
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
def retry(path: documents.JobPath, query: queries.SubmitQuery) -> flask.Response:
    """Retry a failed, cancelled or dead job: submit it again, as a new job with the same pinned versions."""
    jobs.find(*context.databases_and_tenant(), path.job_id)
    accepted = context.current().submitter.retry(
        path.job_id, client=context.client(), key=answers.idempotency_key(), options=query.to_options()
    )
    if accepted is None:
        raise errors.NotFoundError(f"There is no job {path.job_id!r}.")
    return answers.accepted_job(accepted.document, version=accepted.version)


@blueprint.get("/<job_id>/logs", responses={200: JobLog})
@auth.needs("read")
def logs(path: documents.JobPath, query: list_queries.LogQuery) -> flask.Response:
    """Read what was logged while a job was worked on; `Accept: text/plain` makes it readable on a terminal.

    Lines of a running job are there within some seconds.
    """
    log = jobs.read_log(*context.databases_and_tenant(), path.job_id, **query.model_dump())
    if flask.request.accept_mimetypes.best_match(["application/json", "text/plain"]) == "text/plain":
        response = flask.Response(jobs.to_text(log["lines"]), content_type="text/plain; charset=utf-8")
    else:
        response = answers.json(log)
    following = {"after": log["next"], "limit": query.limit} | (
        {} if query.attempt is None else {"attempt": query.attempt}
    )
    response.headers["Link"] = f'<{flask.request.path}?{urllib.parse.urlencode(following)}>; rel="next"'
    response.headers["Vary"] = "Accept"
    return response


@blueprint.get(
    "/<job_id>/events",
    responses={200: {"description": "Events `state` and `progress`", "content": _STREAM}},
)
@auth.needs("read")
def events(path: documents.JobPath) -> flask.Response:
    """Follow a job's state and progress as server-sent events, until it ends."""
    current, key = context.current(), flask.g.key
    row = jobs.find(current.databases, key.tenant_id, path.job_id)
    reader = current.databases[ids.role_of(row.id) or ""].reader

    def read() -> views.ShownJob | None:
        # A stream does not outlive its key.
        is_valid = current.keys.is_valid(key.prefix)
        return views.read(reader, row.id, tenant_id=key.tenant_id) if is_valid else None

    with contextlib.ExitStack() as stack:
        stack.enter_context(current.watcher.slot(key.id))
        response = deferred.JobEvents(row, read=read)
        response.call_on_close(stack.pop_all().close)
    return response
