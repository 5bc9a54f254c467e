"""Slots for bodies that are on their way, so that slow clients can't hold all threads."""

import collections
import contextlib
import threading
from collections.abc import Callable, Iterator

import flask

from shared import errors

_PATIENCE_SECONDS = 1.0


class Slots:
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
    def slot(self, key_id: str) -> Iterator[None]:
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
            held.enter_context(self.slot(key_id))
            response = make()
            response.call_on_close(held.pop_all().close)
        return response
