"""Answers the most common request, a poll of a job, before it reaches Flask.

Only the plain case is answered here: an unconditional GET of an existing job with a key that may read. Flask answers
everything else, including every error; a test checks that both give the same answer. See docs/decisions/accepting.md,
"A plain poll is answered before Flask".
"""

import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import flask
import orjson

from api import answers, auth, context, rate_limits
from shared import database, errors, roles
from shared.jobs import views

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_PATH = re.compile(r"/v1/jobs/(([a-z]+)_[0-9A-HJKMNP-TV-Z]{26})")
_SECONDS = rate_limits.REQUEST_SECONDS.labels("GET", "/v1/jobs/<job_id>", 200)
_FOR_FLASK = ("HTTP_IF_NONE_MATCH", "HTTP_PREFER", "QUERY_STRING", "CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING")
"""Keys of the WSGI environment that, unless empty, leave a poll to Flask."""
_FOR_SERVICES = ("HTTP_MILLRACE_TENANT", "HTTP_MILLRACE_ON_BEHALF_OF")
"""Keys that leave it to Flask whatever they say."""


class PollMiddleware:
    """WSGI middleware that answers plain polls, and passes everything else on."""

    def __init__(self, app: flask.Flask, wsgi_app: "WSGIApplication") -> None:
        """Wrap the WSGI application of a Flask application."""
        self._context: context.Context = app.extensions["millrace"]
        self._wsgi_app = wsgi_app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a plain poll, or pass the request on."""
        started = time.perf_counter()
        answer = self._answer(environ) if environ["REQUEST_METHOD"] == "GET" else None
        if answer is None:
            return self._wsgi_app(environ, start_response)
        headers, body = answer
        _SECONDS.observe(time.perf_counter() - started)
        start_response("200 OK", headers)
        return [body]

    def _answer(self, environ: "WSGIEnvironment") -> tuple[list[tuple[str, str]], bytes] | None:
        path = _PATH.fullmatch(environ["PATH_INFO"])
        is_plain = all(environ.get(name, "") in {"", "0"} for name in _FOR_FLASK)
        is_plain = is_plain and not any(name in environ for name in _FOR_SERVICES)
        if path is None or not is_plain or self._context.config.rate_limit:
            return None
        try:
            row = self._read(*path.groups(), authorization=environ.get("HTTP_AUTHORIZATION", ""))
        except (errors.MillraceError, *database.FAULTS):
            return None
        return None if row is None else _headers_and_body(row)

    def _read(self, job_id: str, role: str, *, authorization: str) -> views.ShownJob | None:
        """Read a job; None when Flask has to answer why it can't be read."""
        token = auth.BEARER.match(authorization)
        if token is None or "," in authorization or role not in roles.ROLES:
            return None
        key = self._context.keys.check(token.group(1))
        if not key.allows("read"):
            return None
        return views.read(self._context.databases[role].reader, job_id, tenant_id=key.tenant_id)


def _headers_and_body(row: views.ShownJob) -> tuple[list[tuple[str, str]], bytes]:
    body = orjson.dumps(views.to_document(row))
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("X-Content-Type-Options", "nosniff"),
        *answers.headers_of(row).items(),
    ]
    return headers, body
