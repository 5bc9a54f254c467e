"""Answers that every role's routes give: JSON, a job that was accepted, pages."""

import re
import time
from typing import Any

import flask
import orjson

from api import context
from api.intake import orders
from api.intake.orders import Accepted, Order
from api.reads import jobs
from shared import database, errors
from shared.jobs import views
from shared.jobs.states import State

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


def submit(kind_name: str, params: dict[str, Any], *, where: str = "#", **options: Any) -> flask.Response:
    """Accept a job and answer 202, or wait for its end when the client prefers that.

    `where` is where the parameters stand in the request's body; `options` are those of an order.
    """
    return accepted_or_done(accept(orders.make(kind_name, params, where=where, **options)))


def accept(asked: Order) -> Accepted:
    """Accept a job, or find the one that was accepted under the same Idempotency-Key."""
    return context.current().submitter.submit(asked, client=context.client(), key=idempotency_key())


def accepted_or_done(accepted: Accepted) -> flask.Response:
    """Answer 202 with an accepted job, or wait for its end when the client prefers that."""
    seconds = preferred_wait()
    if seconds > 0:
        return _after_waiting(accepted, seconds)
    return accepted_job(accepted.document, version=accepted.version)


def preferred_wait(*, default: float = 0.0) -> float:
    """Give how long the client prefers to wait (RFC 7240), at most 60 s; unknown preferences are ignored."""
    match = _WAIT.search(",".join(flask.request.headers.getlist("Prefer")))
    return min(_LONGEST_WAIT_SECONDS, float(match.group(1))) if match else default


def wait_for(accepted: Accepted, *, seconds: float) -> views.Row:
    """Wait for a job's end, where a place to wait is free, and read the job."""
    watcher = context.current().watcher
    job_id = accepted.document["id"]
    with watcher.place() as has_place:
        if has_place and not State(accepted.document["state"]).is_terminal():
            watcher.until_done(job_id, known=accepted.version, seconds=seconds)
    return jobs.find(*context.reading(), job_id)


def _after_waiting(accepted: Accepted, seconds: float) -> flask.Response:
    try:
        row = wait_for(accepted, seconds=seconds)
    except (errors.UnavailableError, *database.FAULTS):
        # The job is accepted whatever becomes of the waiting, and its client must learn so.
        return accepted_job(accepted.document, version=accepted.version)
    if not views.is_terminal(row):
        return accepted_job(views.to_document(row), version=row.version)
    response = json(views.to_document(row))
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


def retry_seconds(age_seconds: float) -> int:
    """Give when to ask again for a job of some age: after 1 s at first, later after up to 10 s."""
    return int(min(_LAST_RETRY_SECONDS, max(_FIRST_RETRY_SECONDS, age_seconds / 10)))


def headers_of(row: views.Row) -> dict[str, str]:
    """Give the headers with which a job is shown: its tag and, by its age, when to ask again."""
    headers = {"ETag": f'"{views.etag_of(row)}"'}
    if not views.is_terminal(row):
        headers["Retry-After"] = str(retry_seconds(time.time() - row.created_at / _MS))
    return headers
