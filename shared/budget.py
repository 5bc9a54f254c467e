"""A budget of processor time for checks whose cost doesn't follow from the size of what they check.

All requests of a process share one interpreter, so what one check costs, everybody waits for.
"""

import contextlib
import contextvars
import time
from collections.abc import Iterator

_until: contextvars.ContextVar[float | None] = contextvars.ContextVar("until", default=None)


class Budget:
    """Seconds of processor time of one thread, whatever else the machine does, for several checks together."""

    def __init__(self, seconds: float) -> None:
        """Start with this many seconds."""
        self._seconds = seconds

    @contextlib.contextmanager
    def spend(self) -> Iterator[None]:
        """Let what is checked inside use what is left."""
        began = time.thread_time()
        token = _until.set(began + self._seconds)
        try:
            yield
        finally:
            _until.reset(token)
            self._seconds -= time.thread_time() - began


def is_used_up() -> bool:
    """Return whether the budget that is being spent is used up; never where none is, as in a worker."""
    until = _until.get()
    return until is not None and time.thread_time() > until
