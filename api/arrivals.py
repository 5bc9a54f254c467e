"""Taking in a request: its address, and its bytes; and seeing that slow clients can't keep all of us waiting."""

import collections
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import IO

import flask

from shared import errors

_PATIENCE_SECONDS = 1.0


class Places:
    """Counts the bodies that are on their way, and lets one key have so many at once.

    The server has no time limit for bodies and waits for them without end, so a client that stops sending, or
    stops receiving, holds a thread until it goes away. It shall not hold them all.
    """

    def __init__(self, *, most: int) -> None:
        """Let one key have at most so many."""
        self._most = max(1, most)
        self._counts: collections.Counter[str] = collections.Counter()
        self._freed = threading.Condition()

    @contextlib.contextmanager
    def place(self, key_id: str) -> Iterator[None]:
        """Take one of a key's places; raises TooManyRequestsError when none gets free within a second."""
        with self._freed:
            if not self._freed.wait_for(lambda: self._counts[key_id] < self._most, timeout=_PATIENCE_SECONDS):
                raise errors.TooManyRequestsError(
                    f"This key has {self._most} bodies on their way already, the most that it may; finish one first.",
                    retry_after_seconds=1,
                )
            self._counts[key_id] += 1
        try:
            yield
        finally:
            with self._freed:
                self._counts[key_id] -= 1
                if not self._counts[key_id]:
                    del self._counts[key_id]
                self._freed.notify_all()

    def streamed(self, key_id: str, make: Callable[[], flask.Response]) -> flask.Response:
        """Answer with a stream, which keeps one of a key's places until it is sent or its client is gone."""
        with contextlib.ExitStack() as held:
            held.enter_context(self.place(key_id))
            response = make()
            response.call_on_close(held.pop_all().close)
        return response


def check_address() -> None:
    """Refuse a path or query that holds what no text here may, or that says a thing twice."""
    query = flask.request.args
    if "\0" in flask.request.path or any("\0" in name or "\0" in value for name, value in query.items(multi=True)):
        raise errors.MalformedRequestError("The address holds a NUL character (%00), which no text here may.")
    for name, values in query.lists():
        if len(values) > 1:
            raise errors.MalformedRequestError(f"The query has {name[:100]!r} {len(values)} times; give it once.")


def chunks(stream: IO[bytes], *, bytes_each: int) -> Iterator[bytes]:
    """Give the bytes as they come, and see at the end that they are as many as the request says."""
    size = 0
    while chunk := stream.read(bytes_each):
        size += len(chunk)
        yield chunk
    declared = flask.request.content_length
    if declared is not None and declared != size:
        raise errors.MalformedRequestError(f"Content-Length says {declared} bytes, but {size} came.")
