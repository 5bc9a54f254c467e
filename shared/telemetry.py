"""Logs: one JSON line per event, with a constant name and fields; ids, never parameters or secrets."""

import contextlib
import logging
import os
import sys
import traceback
from typing import Any

import orjson
import structlog

NOISY_LOGGERS = (
    "httpx",
    "amqp",
    "kombu",
    "tornado.access",
    "celery.worker.strategy",
    "celery.app.trace",
    "celery.apps.worker",
)
"""Loggers that would repeat, for each job or request, what our own events report."""
_STANDARD_ERROR = 2
_processors: list[structlog.typing.Processor] = []
"""One list for good: loggers that were used before keep it, and so follow whoever configures anew."""


class _LineWriter:
    """Writes each line by one system call, without a lock that a forked process could inherit locked.

    See docs/decisions/workers.md, "Log lines are written by one system call, without a lock".
    """

    def msg(self, line: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(_STANDARD_ERROR, line + b"\n")

    debug = info = warning = error = critical = msg


def _render(event: Any, **_: Any) -> bytes:
    return orjson.dumps(event, default=str)


def _describe_exception(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Replace an exception that a library logs by its class and stack: its message may hold a user's data."""
    given = event.pop("exc_info", None)
    error = given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event.update(describe(error))
    return event


def _drop_below(level: int) -> structlog.typing.Processor:
    numbers = logging.getLevelNamesMapping()

    def drop(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        if numbers[event["level"].upper()] < level:
            raise structlog.DropEvent
        return event

    return drop


def configure(level: str = "INFO", *, take: structlog.typing.Processor | None = None) -> None:
    """Send our events, and the libraries' own logging, to standard error as JSON lines.

    `take` sees our events from INFO on, whether or not `level` lets them be logged; nor does `level` keep warnings of
    libraries from handlers that others add.
    """
    lowest = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    ours = shared if take is None else [*shared[:2], take, _drop_below(lowest), *shared[2:]]
    _processors[:] = [*ours, structlog.processors.JSONRenderer(serializer=_render)]
    structlog.configure(
        processors=_processors,
        logger_factory=lambda *_: _LineWriter(),
        wrapper_class=structlog.make_filtering_bound_logger(lowest if take is None else min(lowest, logging.INFO)),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _describe_exception,
            structlog.processors.JSONRenderer(),
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    handler.setLevel(lowest)
    root.setLevel(lowest if take is None else min(lowest, logging.WARNING))
    for name in NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)


def stack_of(error: BaseException) -> list[str]:
    """List an error's call stack as `file:line function`, without its message, which may contain a user's data."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-20:]]


def describe(error: BaseException) -> dict[str, Any]:
    """Convert an error to log fields: its class and its call stack."""
    return {"error": type(error).__name__, "stack": stack_of(error)}
