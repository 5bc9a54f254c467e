"""The front of the API: receives requests on an event loop (RSGI), and lets Flask answer them in threads.

Slow, idle, waiting and streaming clients hold no thread. docs/decisions/accepting.md, "Requests are received on an
event loop, and answered by Flask in threads".
"""

import asyncio
import collections
import pathlib
from typing import TYPE_CHECKING, Any

import flask
import structlog

from api import context, deferred, errors
from api.front import bodies, draining, environ, following, sockets
from api.front.calling import Answer, Caller
from api.front.threads import Threads

if TYPE_CHECKING:
    from granian._granian import RSGIHTTPProtocol as HTTPProtocol
    from granian.rsgi import Scope

_log = structlog.get_logger()
_HEALTHY = Answer(
    200, [("Content-Type", "application/json"), ("X-Content-Type-Options", "nosniff")], b'{"status":"ok"}'
)
_FILE_THREADS = 4
_SILENT_SECONDS = 60
"""How long a client may accept nothing of its answer."""
_MAX_WAITING = 2000
"""Requests that may wait for a thread."""
_MAX_TRANSFERS = 64
"""Large bodies that one key may be sending at once."""
_FILE_SECONDS = 5.0
"""How long a temporary file stays for the server to open it."""


class Front:
    """An RSGI application in front of a Flask application."""

    def __init__(self, app: flask.Flask) -> None:
        """Serve a Flask application."""
        current: context.Context = app.extensions["millrace"]
        self._request_threads = current.config.api_threads
        self._folder = current.scratch
        self._caller = Caller(app, folder=self._folder)
        self._transfers: collections.Counter[str] = collections.Counter()
        self._drain = draining.Drain()
        self._threads: Threads
        self._file_threads: Threads

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Get ready in the process that serves."""
        self._threads = Threads(loop, count=self._request_threads, name="request")
        self._file_threads = Threads(loop, count=_FILE_THREADS, name="file")
        self._drain.on_term(loop)
        sockets.limit_silence(seconds=_SILENT_SECONDS)

    async def __rsgi__(self, scope: "Scope", protocol: "HTTPProtocol") -> None:
        """Answer a request."""
        self._drain.note_request()
        if scope.path == "/healthz" and scope.method == "GET" and not scope.query_string:
            self._send(_HEALTHY, protocol, is_received=True)
            return
        request = environ.make(scope)
        receiver = bodies.Receiver(protocol, request)
        try:
            answer = await self._answer(request, receiver, protocol)
        except bodies.TooSlowError:
            answer = _problem(408, "The body did not arrive in time.")
        except Exception as error:  # noqa: BLE001 - granian would log it as text, and answer without a reason.
            _log.error("request_failed", error=type(error).__name__, path=scope.path[:200])
            answer = _problem(500, "An unexpected error occurred.")
        if answer is not None:
            self._send(answer, protocol, is_received=await receiver.drain())

    async def _answer(
        self, request: dict[str, Any], receiver: bodies.Receiver, protocol: "HTTPProtocol"
    ) -> Answer | None:
        """Answer a request; None when it was answered by a stream, or its client is gone."""
        if self._threads.waiting >= _MAX_WAITING:
            return _problem(503, "Too many requests wait for an answer; try again in a second.", retry_after_seconds=1)
        await receiver.receive_small()
        try:
            answer = await self._threads.run(self._caller.call, request)
        except bodies.BodyWanted as wanted:
            answer = await self._answer_with_body(request, receiver, wanted=wanted)
        while not isinstance(answer, Answer):
            if isinstance(answer, deferred.JobEvents):
                await following.send_events(answer, protocol, threads=self._threads, drain=self._drain)
                return None
            if not await following.wait_until_done(answer, protocol, drain=self._drain):
                return None
            answer = await self._threads.run(self._caller.finish, answer)
        return answer

    async def _answer_with_body(
        self, request: dict[str, Any], receiver: bodies.Receiver, *, wanted: bodies.BodyWanted
    ) -> Answer | deferred.WhenDone | deferred.JobEvents:
        if self._transfers[wanted.key_id] >= _MAX_TRANSFERS:
            return _problem(
                429, f"This key is sending {_MAX_TRANSFERS} large bodies; finish one first.", retry_after_seconds=1
            )
        self._transfers[wanted.key_id] += 1
        try:
            with await receiver.receive_large(
                max_bytes=wanted.max_bytes, folder=self._folder.path, threads=self._file_threads
            ) as file:
                request["wsgi.input"] = file
                return await self._threads.run(self._caller.call, request)
        finally:
            self._transfers[wanted.key_id] -= 1
            self._transfers += collections.Counter()

    def _send(self, answer: Answer, protocol: "HTTPProtocol", *, is_received: bool) -> None:
        is_last = self._drain.has_begun or not is_received
        headers = [*answer.headers, ("Connection", "close")] if is_last else answer.headers
        if answer.path is None:
            protocol.response_bytes(answer.status, headers, answer.body)
        elif answer.start == answer.stop:
            protocol.response_empty(answer.status, headers)
        else:
            protocol.response_file_range(answer.status, headers, answer.path, answer.start, answer.stop)
        if answer.is_temporary and answer.path is not None:
            path = pathlib.Path(answer.path)
            asyncio.get_running_loop().call_later(_FILE_SECONDS, lambda: path.unlink(missing_ok=True))


def _problem(status: int, detail: str, *, retry_after_seconds: int | None = None) -> Answer:
    response = errors.problem(status, detail)
    if retry_after_seconds is not None:
        response.headers["Retry-After"] = str(retry_after_seconds)
    return Answer(status, list(response.headers), response.get_data())
