"""The commonest request, a poll of a job, is answered before Flask.

Only the plain case is: a GET without conditions, of a job that is there, with a key that may read. Whatever else it may
be, Flask answers it, and so says alone what is wrong; a test holds both answers to be the same.
"""

import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import flask
import orjson

from api import answers, auth, context, limits
from shared import database, errors, roles
from shared.jobs import views

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_PATH = re.compile(r"/v1/jobs/(([a-z]+)_[0-9A-HJKMNP-TV-Z]{26})")
_SECONDS = limits.SECONDS.labels("GET", "/v1/jobs/<job_id>", 200)
_UNUSUAL = ("HTTP_IF_NONE_MATCH", "QUERY_STRING", "CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING")
"""What makes a poll a matter for Flask when it is there and not empty."""


class Polls:
    """Answers polls, and hands everything else on."""

    def __init__(self, app: flask.Flask, onward: "WSGIApplication") -> None:
        """Stand before an application."""
        self._context: context.Context = app.extensions["millrace"]
        self._onward = onward

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer."""
        began = time.perf_counter()
        answer = self._answer(environ) if environ["REQUEST_METHOD"] == "GET" else None
        if answer is None:
            return self._onward(environ, start_response)
        headers, body = answer
        _SECONDS.observe(time.perf_counter() - began)
        start_response("200 OK", headers)
        return [body]

    def _answer(self, environ: "WSGIEnvironment") -> tuple[list[tuple[str, str]], bytes] | None:
        path = _PATH.fullmatch(environ["PATH_INFO"])
        is_unusual = any(environ.get(name, "") not in {"", "0"} for name in _UNUSUAL)
        if path is None or is_unusual or self._context.config.rate_limit:
            return None
        try:
            row = self._read(*path.groups(), presented=environ.get("HTTP_AUTHORIZATION", ""))
        except (errors.MillraceError, *database.FAULTS):
            return None
        return None if row is None else _headers_and_body(row)

    def _read(self, job_id: str, role: str, *, presented: str) -> views.Row | None:
        """Read a job; None when somebody else has to say why not."""
        token = auth.BEARER.match(presented)
        if token is None or "," in presented or role not in roles.ROLES:
            return None
        key = self._context.keys.check(token.group(1))
        if not key.allows("read"):
            return None
        return views.read(self._context.databases[role].reader, job_id, tenant_id=key.tenant_id)


def _headers_and_body(row: views.Row) -> tuple[list[tuple[str, str]], bytes]:
    body = orjson.dumps(views.to_document(row))
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("X-Content-Type-Options", "nosniff"),
        *answers.headers_of(row).items(),
    ]
    return headers, body
