"""Takes what is logged while a job is worked on for the job's own lines: our events, libraries' warnings, Python's."""

import logging
import sys
import warnings
from typing import Any

import structlog

from workers import logbook

_SEVERE = ((logging.CRITICAL, "critical"), (logging.ERROR, "error"))
_LEVELS = frozenset({"info", "warning", "error", "critical"})
_OF_NO_JOB = frozenset({"jobs_parted"})
"""Events that tell of several jobs, and of how one of them failed."""
_NO_FIELDS = frozenset(
    {
        "event", "level", "timestamp", "exc_info", "stack_info", "exception", "stack",
        "job_id", "with_job", "role", "kind", "tenant", "attempt", "correlation_id",
    }
)  # fmt: skip
"""What a line tells by itself, or what its reader knows; where in our code something happened is for the operator."""

_shown: set[type[Warning]] = set()
"""The categories of which warnings were shown since they were let repeat."""


def install() -> None:
    """Take lines from Python's `logging`, from WARNING on."""
    logging.getLogger().addHandler(_Handler(logging.WARNING))


def log_warnings() -> None:
    """Log Python's warnings by their class and text, in a pool's process: Celery logs them with a line of the code."""
    warnings.showwarning = _log_warning


def take(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Take one of our events; a processor of structlog, which changes nothing."""
    if event["level"] in _LEVELS and isinstance(event["event"], str) and event["event"] not in _OF_NO_JOB:
        fields = {name: value for name, value in event.items() if name not in _NO_FIELDS}
        if event.get("exc_info"):
            fields |= _name_error(event["exc_info"])
        logbook.collect(event["event"], level=event["level"], job_id=event.get("job_id"), fields=fields)
    return event


def let_warnings_repeat() -> None:
    """Let Python show its warnings once more: it shows each once in a process's life, and a job wants its own."""
    if _shown:
        _shown.clear()
        # Any change of the filters makes it forget what it has shown; this one concerns no warning.
        warnings.simplefilter("default", category=_NoWarning)


class _NoWarning(Warning):
    """A warning that nobody gives."""


class _Handler(logging.Handler):
    """Takes records of Python's `logging`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - whoever logs with wrong arguments must not fail for it.
            message = f"{record.msg}"
        level = (
            "warning"
            if record.levelno < logging.ERROR
            else "error"
            if record.levelno < logging.CRITICAL
            else "critical"
        )
        fields = {"logger": record.name} | _name_error(record.exc_info)
        job_id = structlog.contextvars.get_contextvars().get("job_id")
        logbook.collect(message, level=level, job_id=job_id, fields=fields)

    def createLock(self) -> None:  # noqa: N802 - it is the name in `logging`.
        """Have no lock: a stop may be raised while a line is taken."""
        self.lock = None


def _name_error(given: Any) -> dict[str, str]:
    """Name the class of an exception that a line tells of: its message may hold anything."""
    info = sys.exc_info() if given is True else given
    error = info[1] if isinstance(info, tuple) else info
    return {"error": type(error).__name__} if isinstance(error, BaseException) else {}


def _log_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    """Log a warning of Python's; it takes the place of `warnings.showwarning`."""
    del filename, lineno, file, line
    _shown.add(category)
    logging.getLogger("py.warnings").warning("%s: %s", category.__name__, message)
