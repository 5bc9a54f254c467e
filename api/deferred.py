"""Answers that are made later: once a job has ended, or event by event while it runs.

The front waits for them on its event loop, where a wait holds no thread. Under any other WSGI server, and in tests
without one, they wait in the thread of the request.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import flask
import orjson
import werkzeug.wsgi

from api import context, responses
from shared import database
from shared.jobs import views

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

HAND_OVER = "millrace.hand_over"
"""The key of the WSGI environment under which the front takes over an answer that is made later."""
KEEP_ALIVE_SECONDS = 10.0
KEEP_ALIVE = b": still there\n\n"
_MAX_STREAM_SECONDS = 3600.0


class Deferred(responses.Response):
    """An answer that is made later."""

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Hand over to the front if there is one; else wait here."""
        hand_over: Callable[[Deferred], None] | None = environ.get(HAND_OVER)
        if hand_over is None:
            return self.wait(environ, start_response)
        hand_over(self)
        return []

    def wait(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Wait in this thread, and answer."""
        raise NotImplementedError


class WhenDone(Deferred):
    """Answers when a job has ended or a time is over, with what `finish` returns in the context of the request."""

    is_final = False

    def __init__(self, job_id: str, *, seconds: float, finish: Callable[[], flask.Response]) -> None:
        """Answer the current request."""
        super().__init__()
        self.job_id = job_id
        self.deadline = time.monotonic() + seconds
        self.environ: WSGIEnvironment = flask.request.environ
        self.watcher = context.current().watcher
        self._finish = finish
        self._app: Any = flask.current_app._get_current_object()  # type: ignore[attr-defined]
        self._of_request = dict(vars(flask.g._get_current_object()))

    def wait(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Wait in this thread, and answer."""
        with contextlib.closing(self):
            self.watcher.wait_until_done(self.job_id, seconds=self.deadline - time.monotonic())
        return self.finish()(environ, start_response)

    def finish(self) -> flask.Response:
        """Make the answer."""
        with self._app.request_context(self.environ):
            vars(flask.g._get_current_object()).update(self._of_request)
            try:
                response = self._finish()
            except Exception as error:  # noqa: BLE001 - answered as the application answers it.
                response = self._app.make_response(self._app.handle_user_exception(error))
            return self._app.process_response(response)  # type: ignore[no-any-return]


class JobEvents(Deferred):
    """A job's states and progress as server-sent events, until it ends or an hour is over."""

    def __init__(self, job: views.ShownJob, *, read: Callable[[], views.ShownJob | None]) -> None:
        """Begin with the job as it was read; `read` reads it again."""
        super().__init__(content_type="text/event-stream; charset=utf-8")
        self.headers["Cache-Control"] = "no-store"
        self.headers["X-Accel-Buffering"] = "no"
        self.job = job
        self.deadline = time.monotonic() + _MAX_STREAM_SECONDS
        self.watcher = context.current().watcher
        self._read = read
        self._state: str | None = None

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a HEAD at once."""
        if environ["REQUEST_METHOD"] == "HEAD":
            return responses.Response.__call__(self, environ, start_response)
        return super().__call__(environ, start_response)

    def format(self) -> bytes:
        """Format an event for the job as it was read last; `state` when the state has changed, else `progress`."""
        name = "progress" if self.job.state == self._state else "state"
        self._state = self.job.state
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (
            self.job.version,
            name.encode(),
            orjson.dumps(views.to_document(self.job)),
        )

    @property
    def has_ended(self) -> bool:
        """Whether no further event will come."""
        return self.job.is_terminal or time.monotonic() > self.deadline

    def read_again(self) -> bool:
        """Read the job again; False when it can't be read any more."""
        try:
            job = self._read()
        except database.FAULTS:
            return False
        if job is None:
            return False
        self.job = job
        return True

    def wait(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer event by event from this thread."""
        start_response(self.status, self.get_wsgi_headers(environ).to_wsgi_list())
        return werkzeug.wsgi.ClosingIterator(self._iterate(), self.close)

    def _iterate(self) -> Iterator[bytes]:
        while True:
            yield self.format()
            if self.has_ended:
                return
            while not self.watcher.wait_for_change(
                self.job.id, known_version=self.job.version, seconds=KEEP_ALIVE_SECONDS
            ):
                yield KEEP_ALIVE
            if not self.read_again():
                return
