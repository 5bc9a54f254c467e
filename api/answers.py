"""Answers that every role's routes give: JSON, a job that was accepted, pages."""

import base64
import re
import time
from typing import Any

import flask
import orjson
import pydantic

from api import door
from api import errors as problems
from shared import database, dispatch, errors, ids, job_views, kinds, roles
from shared.jobs import State

_FIRST_RETRY_SECONDS = 1
_MS = 1000
_LAST_RETRY_SECONDS = 10
_LONGEST_WAIT_SECONDS = 60.0
_LONGEST_KEY = 255
_WAIT = re.compile(r"(?:^|,)\s*wait\s*=\s*\"?(\d{1,6}(?:\.\d{1,3})?)\"?\s*(?=$|[,;])", re.IGNORECASE)
_QUOTED_KEY = re.compile(r'^"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$')
_PLAIN_KEY = re.compile(r"^[\x21\x23-\x7e]+$")


def json(document: Any, *, status: int = 200) -> flask.Response:
    """Answer a document as JSON."""
    return flask.Response(orjson.dumps(document), status=status, content_type="application/json")


def idempotency_key() -> str | None:
    """Give the request's Idempotency-Key: a quoted string, or for kindness a plain one; None when there is none."""
    given = flask.request.headers.get("Idempotency-Key")
    if given is None:
        return None
    quoted = _QUOTED_KEY.match(given)
    key = re.sub(r'\\(["\\])', r"\1", quoted.group(1)) if quoted else given
    if not key or len(key) > _LONGEST_KEY or not (quoted or _PLAIN_KEY.match(given)):
        raise errors.MalformedRequestError(
            f"Idempotency-Key is {given[:80]!r}; give a quoted string of 1 to {_LONGEST_KEY} ASCII characters."
        )
    return key


def order(kind_name: str, params: dict[str, Any], *, where: str = "#/params", **options: Any) -> dispatch.Order:
    """Check parameters against their kind's contract, and make the order; `where` is where they stand in the body."""
    kind = kinds.public().get(kind_name)
    if kind is None:
        known = ", ".join(kinds.public())
        pointer = f"{where.removesuffix('/params')}/kind"
        problem = errors.Problem(f"{kind_name!r} is no kind of job; these are: {known}", pointer)
        raise errors.InvalidRequestError(f"There is no kind of job {kind_name!r}.", problems=[problem])
    try:
        command = kind.command.model_validate(params)
    except pydantic.ValidationError as invalid:
        raise problems.from_validation(invalid, prefix=where, document=params, model=kind.command) from invalid
    return dispatch.Order(kind=kind, command=command, where=where, **options)


def submit(asked: dispatch.Order) -> flask.Response:
    """Accept a job and answer 202, or wait for its end when the client prefers that."""
    return accepted_or_done(accept(asked))


def accept(asked: dispatch.Order) -> dispatch.Accepted:
    """Accept a job, or find the one that was accepted under the same Idempotency-Key."""
    return door.current().dispatcher.submit(asked, client=door.client(), key=idempotency_key())


def accepted_or_done(accepted: dispatch.Accepted) -> flask.Response:
    """Answer 202 with an accepted job, or wait for its end when the client prefers that."""
    seconds = preferred_wait()
    if seconds > 0:
        return _after_waiting(accepted, seconds)
    return accepted_job(accepted.document, version=accepted.version)


def preferred_wait(*, default: float = 0.0) -> float:
    """Give how long the client prefers to wait (RFC 7240), at most 60 s; unknown preferences are ignored."""
    match = _WAIT.search(",".join(flask.request.headers.getlist("Prefer")))
    return min(_LONGEST_WAIT_SECONDS, float(match.group(1))) if match else default


def wait_for(accepted: dispatch.Accepted, *, seconds: float) -> job_views.Row:
    """Wait for a job's end, where a place to wait is free, and read the job."""
    here = door.current()
    job_id = accepted.document["id"]
    with here.watcher.place() as has_place:
        if has_place and not State(accepted.document["state"]).is_terminal():
            here.watcher.until_done(job_id, known=accepted.version, seconds=seconds)
    return read_job(job_id)


def _after_waiting(accepted: dispatch.Accepted, seconds: float) -> flask.Response:
    try:
        row = wait_for(accepted, seconds=seconds)
    except (errors.UnavailableError, *database.FAULTS):
        # The job is accepted whatever becomes of the waiting, and its client must learn so.
        return accepted_job(accepted.document, version=accepted.version)
    if not job_views.is_terminal(row):
        return accepted_job(job_views.document(row), version=row.version)
    response = json(job_views.document(row))
    response.headers["Preference-Applied"] = f"wait={seconds:g}"
    response.headers["ETag"] = f'"{row.version}"'
    response.headers["Location"] = f"/v1/jobs/{row.id}"
    return response


def accepted_job(document: dict[str, Any], *, version: int) -> flask.Response:
    """Answer 202 with a job."""
    response = json(document, status=202)
    response.headers["Location"] = f"/v1/jobs/{document['id']}"
    response.headers["Retry-After"] = str(_FIRST_RETRY_SECONDS)
    response.headers["ETag"] = f'"{version}"'
    return response


def read_job(job_id: str) -> job_views.Row:
    """Read a job of the client's; raises NotFoundError, also for somebody else's."""
    role = ids.role_of(job_id)
    if role not in roles.ROLES:
        raise errors.NotFoundError(f"There is no job {job_id[:80]!r}; a job's id looks like `training_01J…`.")
    here = door.current()
    with database.available(role):
        row = job_views.show(here.databases[role].reader, job_id, tenant_id=door.client().tenant_id)
    if row is None:
        raise errors.NotFoundError(f"There is no job {job_id[:80]!r}.")
    return row


def retry_seconds(age_seconds: float) -> int:
    """Give when to ask again for a job of some age: after 1 s at first, later after up to 10 s."""
    return int(min(_LAST_RETRY_SECONDS, max(_FIRST_RETRY_SECONDS, age_seconds / 10)))


def headers_of(row: job_views.Row) -> dict[str, str]:
    """Give the headers with which a job is shown: its tag and, by its age, when to ask again."""
    headers = {"ETag": f'"{job_views.tag(row)}"'}
    if not job_views.is_terminal(row):
        headers["Retry-After"] = str(retry_seconds(time.time() - row.created_at / _MS))
    return headers


def cursor_for(text: str) -> str:
    """Pack where a page ended, so that clients don't take it apart."""
    return base64.urlsafe_b64encode(f"1:{text}".encode()).decode().rstrip("=")


def read_cursor(cursor: str | None, *, pattern: str) -> str | None:
    """Unpack a cursor that we gave; raises MalformedRequestError for anything else."""
    if cursor is None:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except ValueError:
        text = ""
    if not re.fullmatch(f"1:{pattern}", text):
        raise errors.MalformedRequestError(f"cursor is {cursor[:80]!r}; give the `next_cursor` of the page before.")
    return text.removeprefix("1:")
