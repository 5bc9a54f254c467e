"""Lets Flask answer a request, in a thread, as a WSGI server would: the body is in memory or in a file at the end."""

import contextlib
import dataclasses
import re
import tempfile
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import flask

from api import deferred, responses
from shared.objects import scratch

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_IN_MEMORY_BYTES = 1024 * 1024
_RANGE = re.compile(r"bytes (\d+)-(\d+)/\d+")
Headers = list[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Answer:
    """A complete answer: its body is in memory, or the bytes from `start` to `stop` of a file."""

    status: int
    headers: Headers
    body: bytes = b""
    path: str | None = None
    start: int = 0
    stop: int = 0
    is_temporary: bool = False


class Caller:
    """Calls a Flask application."""

    def __init__(self, app: flask.Flask, *, folder: scratch.ProcessScratch) -> None:
        """Keep large bodies in a folder of this process."""
        self._app = app
        self._folder = folder

    def call(self, environ: dict[str, Any]) -> Answer | deferred.WhenDone | deferred.JobEvents:
        """Answer a request, or say that the answer is made later; raises BodyWanted."""
        return self._run(self._app.wsgi_app, environ)

    def finish(self, answer: deferred.WhenDone) -> Answer | deferred.WhenDone | deferred.JobEvents:
        """Answer a request whose wait is over."""
        return self._run(answer.finish(), answer.environ)

    def _run(
        self, application: "WSGIApplication", environ: dict[str, Any]
    ) -> Answer | deferred.WhenDone | deferred.JobEvents:
        status = 0
        headers: Headers = []

        def start_response(status_line: str, response_headers: Headers, _error: Any = None) -> Callable[[bytes], None]:
            nonlocal status, headers
            status, headers = int(status_line.split(" ", 1)[0]), response_headers
            return _refuse_to_write

        later: list[deferred.WhenDone | deferred.JobEvents] = []
        environ[deferred.HAND_OVER] = later.append
        chunks: Any = application(environ, start_response)
        if later:
            return later[0]
        with contextlib.closing(chunks) if hasattr(chunks, "close") else contextlib.nullcontext():
            path = environ.pop(responses.PATH, None)
            if path is not None and status in {200, 206}:
                return _part_of_file(status, headers, path=path)
            if isinstance(chunks, list):
                return Answer(status, headers, b"".join(chunks))
            return self._keep(status, headers, chunks)

    def _keep(self, status: int, headers: Headers, chunks: Iterable[bytes]) -> Answer:
        """Keep a body in memory while it is small, else in a file: granian would buffer all of a stream in memory."""
        parts, size, iterator = [], 0, iter(chunks)
        for chunk in iterator:
            parts.append(chunk)
            size += len(chunk)
            if size > _IN_MEMORY_BYTES:
                break
        else:
            return Answer(status, headers, b"".join(parts))
        with tempfile.NamedTemporaryFile(dir=self._folder.path, delete=False) as file:
            file.writelines(parts)
            file.writelines(iterator)
            return Answer(status, headers, path=file.name, stop=file.tell(), is_temporary=True)


def _part_of_file(status: int, headers: Headers, *, path: str) -> Answer:
    fields = {name.lower(): value for name, value in headers}
    part = _RANGE.fullmatch(fields.get("content-range", ""))
    start = int(part.group(1)) if part else 0
    return Answer(status, headers, path=path, start=start, stop=start + int(fields["content-length"]))


def _refuse_to_write(_data: bytes) -> None:
    raise NotImplementedError("Flask answers with an iterable")
