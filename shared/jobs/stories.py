"""The story on which this thread works: one id, which every job, event and log line of it carries.

It comes with a request (`Millrace-Correlation-Id`) or with a job, and what the thread submits or announces meanwhile
belongs to it. See docs/decisions/events.md, "A story is the context in which something is done".
"""

import contextlib
import contextvars
import re
from collections.abc import Iterator

import structlog

HEADER = "Millrace-Correlation-Id"
PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_current: contextvars.ContextVar[str | None] = contextvars.ContextVar("story", default=None)


def current() -> str | None:
    """Return the id of the story on which this thread works; None when it works on none."""
    return _current.get()


def begin(correlation_id: str | None) -> None:
    """Work on a story, or on none, until another one begins."""
    _current.set(correlation_id)
    if correlation_id is None:
        structlog.contextvars.unbind_contextvars("correlation_id")
    else:
        structlog.contextvars.bind_contextvars(correlation_id=correlation_id)


@contextlib.contextmanager
def within(correlation_id: str) -> Iterator[None]:
    """Work on a story for a while."""
    token = _current.set(correlation_id)
    try:
        with structlog.contextvars.bound_contextvars(correlation_id=correlation_id):
            yield
    finally:
        _current.reset(token)
