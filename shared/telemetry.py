"""Logs: one JSON line an event, with a constant name and fields; ids, never parameters or secrets."""

import contextlib
import logging
import os
import sys
import traceback
from typing import Any

import orjson
import structlog

QUIET = ("httpx", "amqp", "kombu", "tornado.access", "celery.worker.strategy", "celery.app.trace")
"""Loggers that would say again, for each job or request, what our own events say."""
_STANDARD_ERROR = 2


class _Lines:
    """Writes each line whole and without a lock, so that a fork can never leave one locked."""

    def msg(self, line: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(_STANDARD_ERROR, line + b"\n")

    debug = info = warning = error = critical = msg


def _render(event: Any, **_: Any) -> bytes:
    return orjson.dumps(event, default=str)


def configure(level: str = "INFO") -> None:
    """Send our events, and the libraries' own logging, to standard error as JSON lines."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(serializer=_render)],
        logger_factory=lambda *_: _Lines(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in QUIET:
        logging.getLogger(noisy).setLevel(logging.WARNING)


def where(error: BaseException) -> list[str]:
    """Give an error's call stack as `file:line function`, without its message, which may hold a user's data."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-20:]]


def describe(error: BaseException) -> dict[str, Any]:
    """Give an error as log fields: its class and where it came from."""
    return {"error": type(error).__name__, "stack": where(error)}
