"""Slots for the handling of bodies, so that one key can't hold all threads."""

import collections
import contextlib
import threading
from collections.abc import Callable, Iterator

import flask

from shared import errors

_WAIT_SECONDS = 1.0


class Slots:
    """Limits how many bodies of one key may be read or made at once.

    A slow client holds no thread (api/front/), but parsing or storing a large body, or making a large answer, takes
    one for as long as it lasts. One client must not hold all of them.
    """

    def __init__(self, *, max_per_key: int) -> None:
        """Allow each key `max_per_key` transfers at once, and at least one."""
        self._max_per_key = max(1, max_per_key)
        self._counts: collections.Counter[str] = collections.Counter()
        self._freed = threading.Condition()

    @contextlib.contextmanager
    def slot(self, key_id: str) -> Iterator[None]:
        """Take one of a key's slots; raises TooManyRequestsError when none gets free within a second."""
        with self._freed:
            if not self._freed.wait_for(lambda: self._counts[key_id] < self._max_per_key, timeout=_WAIT_SECONDS):
                raise errors.TooManyRequestsError(
                    f"This key has {self._max_per_key} transfers in progress, which is its limit; finish one first.",
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

    def stream(self, key_id: str, make_response: Callable[[], flask.Response]) -> flask.Response:
        """Answer with a stream, which keeps one of a key's slots until it is sent or its client has disconnected."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.slot(key_id))
            response = make_response()
            response.call_on_close(stack.pop_all().close)
        return response
