"""Logs: one JSON line an event, with a constant name and fields; ids, never parameters or secrets."""

import logging
import sys
import traceback
from typing import Any

import structlog


def configure(level: str = "INFO") -> None:
    """Send structlog and the libraries' own logging to standard error, as JSON lines."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        # The standard library's handlers re-make their locks after a fork; a pool of processes needs that.
        logger_factory=structlog.stdlib.LoggerFactory(),
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
    for noisy in ("httpx", "amqp", "kombu", "tornado.access", "celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def where(error: BaseException) -> list[str]:
    """Give an error's call stack as `file:line function`, without its message, which may hold a user's data."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-20:]]


def describe(error: BaseException) -> dict[str, Any]:
    """Give an error as log fields: its class and where it came from."""
    return {"error": type(error).__name__, "stack": where(error)}
