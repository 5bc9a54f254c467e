"""Answers that the routes of every role share: JSON, and a job that was accepted."""

import contextlib
import re
import time
from collections.abc import Callable
from typing import Any

import flask
import orjson

from api import context, deferred, preferences
from api.intake import orders
from api.intake.orders import Accepted, Order
from api.preferences import Preferences
from api.reads import jobs
from shared import database, errors, kinds
from shared.jobs import views
from shared.jobs.states import State

_MIN_RETRY_SECONDS = 1
_MAX_RETRY_SECONDS = 10
_MAX_KEY_LENGTH = 255
_MS_PER_SECOND = 1000
_QUOTED_KEY = re.compile(r'^"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$')
_PLAIN_KEY = re.compile(r"^[\x21\x23-\x7e]+$")


def json(document: Any, *, status: int = 200) -> flask.Response:
    """Answer a document as JSON."""
    return flask.Response(orjson.dumps(document), status=status, content_type="application/json")


def idempotency_key() -> str | None:
    """Read the request's Idempotency-Key, which should be quoted but needn't be; None when there is none."""
    header = flask.request.headers.get("Idempotency-Key")
    if header is None:
        return None
    quoted = _QUOTED_KEY.match(header)
    key = re.sub(r'\\(["\\])', r"\1", quoted.group(1)) if quoted else header
    if not key or len(key) > _MAX_KEY_LENGTH or not (quoted or _PLAIN_KEY.match(header)):
        raise errors.MalformedRequestError(
            f"Idempotency-Key is {header[:80]!r}; send a quoted string of 1 to {_MAX_KEY_LENGTH} ASCII characters."
        )
    return key


def submit(kind_name: str, params: dict[str, Any], *, pointer: str = "#", **options: Any) -> flask.Response:
    """Accept a job and answer 202, or wait for its end when the client prefers that.

    `pointer` is the JSON pointer of the parameters in the request's body; `options` are fields of `Order`.
    """
    return accepted_or_done(accept(orders.make(kind_name, params, pointer=pointer, **options)))


def accept(order: Order) -> Accepted:
    """Accept a job, or find the one that was accepted under the same Idempotency-Key."""
    return context.current().submitter.submit(order, client=context.client(), key=idempotency_key())


def accepted_or_done(accepted: Accepted) -> flask.Response:
    """Answer 202 with an accepted job, or wait for its end when the client prefers that."""
    preferred = preferences.read()
    if preferred.wait_seconds <= 0:
        return accepted_job(accepted.document, version=accepted.version)
    return when_done(accepted, seconds=preferred.wait_seconds, finish=lambda: _answer_done(accepted, preferred))


def when_done(accepted: Accepted, *, seconds: float, finish: Callable[[], flask.Response]) -> flask.Response:
    """Answer with what `finish` returns once a job has ended or the time is over; at once if too many wait already."""
    if State(accepted.document["state"]).is_terminal():
        return finish()
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(context.current().watcher.slot(context.client().key_id))
        except (errors.TooManyRequestsError, errors.UnavailableError):
            return finish()
        response = deferred.WhenDone(accepted.document["id"], seconds=seconds, finish=finish)
        response.call_on_close(stack.pop_all().close)
        return response


def _answer_done(accepted: Accepted, preferred: Preferences) -> flask.Response:
    try:
        row = jobs.find(*context.databases_and_tenant(), accepted.document["id"])
    except (errors.UnavailableError, *database.FAULTS):
        # The job is accepted even when waiting for it failed, and the client must learn that.
        return accepted_job(accepted.document, version=accepted.version)
    if not row.is_terminal:
        return accepted_job(views.to_document(row), version=row.version)
    require_success(row, preferred)
    response = json(views.to_document(row))
    response.headers["Preference-Applied"] = preferred.applied
    response.headers["ETag"] = f'"{row.version}"'
    response.headers["Location"] = f"/v1/jobs/{row.id}"
    return response


def require_success(row: views.ShownJob, preferred: Preferences) -> None:
    """Raise UnsuccessfulError, which holds the job, if it has ended without success and the client prefers an error."""
    if preferred.fails and row.is_terminal and (reason := _explain_lack_of_success(row)):
        raise errors.UnsuccessfulError(f"{row.id} {reason}", members={"job": views.to_document(row)})


def _explain_lack_of_success(row: views.ShownJob) -> str | None:
    """Explain why a job that has ended did not do what it was to do, or why its result is a refusal; else None."""
    if row.state != State.SUCCEEDED:
        return f"is {row.state}: {row.error_message}" if row.error_message else f"is {row.state}."
    kind = kinds.by_name().get(row.kind)
    refusal = kind.result.find_refusal(row.result or {}) if kind else None
    return f"has succeeded, but {refusal}" if refusal else None


def accepted_job(document: dict[str, Any], *, version: int) -> flask.Response:
    """Answer 202 with a job."""
    response = json(document, status=202)
    response.headers["Location"] = f"/v1/jobs/{document['id']}"
    response.headers["Retry-After"] = str(_MIN_RETRY_SECONDS)
    response.headers["ETag"] = f'"{version}"'
    return response


def retry_after_seconds(age_seconds: float) -> int:
    """Compute after how long to poll a job of some age again: a tenth of its age, at least 1 s and at most 10 s."""
    return int(min(_MAX_RETRY_SECONDS, max(_MIN_RETRY_SECONDS, age_seconds / 10)))


def headers_of(row: views.ShownJob) -> dict[str, str]:
    """Build the headers with which a job is shown: its ETag and, until it ends, Retry-After."""
    headers = {"ETag": f'"{views.etag_of(row)}"'}
    if not row.is_terminal:
        headers["Retry-After"] = str(retry_after_seconds(time.time() - row.created_at / _MS_PER_SECOND))
    return headers
