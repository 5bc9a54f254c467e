"""Passing faults of what Millrace runs on: a full disk, a database that is read-only, down or overloaded.

They pass without anybody changing the job or the request. So the API answers them with 503, and a worker tries again
without using up a job's tries. docs/decisions/faults.md, "One list says which errors are passing faults".
"""

import contextlib
import dataclasses
import errno
import pathlib
import sqlite3
import sys
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
import sqlalchemy.exc

from shared import errors

RETRY_AFTER_SECONDS = 5


@dataclasses.dataclass(frozen=True)
class Fault:
    """What has a passing fault, and what is wrong with it, in words for a client."""

    subject: str
    reason: str

    @property
    def sentence(self) -> str:
        """The whole as a sentence."""
        return f"{self.subject} {self.reason}."


_READ_ONLY = "is read-only at the moment"
_FULL = "has no room left"
_BUSY = "is overloaded"
_AWAY = "can't be reached"
_FAILING = "can't be read or written at the moment"

_SQLSTATES = {
    "08": _AWAY,
    "25006": _READ_ONLY,
    "25P03": _AWAY,
    "40": _BUSY,
    "53": _BUSY,
    "53100": _FULL,
    "55P03": _BUSY,
    "57014": _BUSY,
    "57P": _AWAY,
    "58030": _FAILING,
}
"""PostgreSQL's codes, or how they begin; the longest that fits counts."""
_SQLITE_CODES = {
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_NOMEM: _BUSY,
    sqlite3.SQLITE_PROTOCOL: _BUSY,
    sqlite3.SQLITE_INTERRUPT: _BUSY,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_IOERR: _FAILING,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_CANTOPEN: _AWAY,
}
"""SQLite's primary codes: the lowest eight bits of its codes."""
_MYSQL_NUMBERS = {
    **dict.fromkeys((1037, 1038, 1040, 1041, 1203, 1205, 1213, 1226), _BUSY),
    **dict.fromkeys((1053, 1927, 2002, 2003, 2006, 2013), _AWAY),
    1021: _FULL,
}
"""MySQL's and MariaDB's numbers, which only sources that users name give."""
_ERRNOS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: _READ_ONLY,
    **dict.fromkeys((errno.EIO, errno.ESTALE), _FAILING),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS), _BUSY),
}
"""The kernel's codes; those of the network say nothing of what Millrace itself runs on."""
_UNREACHABLE = (sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError)


def find(error: BaseException | None) -> Fault | None:
    """Find the passing fault that an error is, or that it was raised because of; None when there is none."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if (fault := _recognize(error)) is not None:
            return fault
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


def is_read_only(error: BaseException) -> bool:
    """Return whether an error says that what it is about can only be read."""
    fault = find(error)
    return fault is not None and fault.reason == _READ_ONLY


def of_code(code: str | int | None) -> str | None:
    """Look up what is wrong for the moment by a database's own code, PostgreSQL's text or MySQL's number; or None."""
    if isinstance(code, int):
        return _MYSQL_NUMBERS.get(code)
    beginnings = [code[:length] for length in (5, 3, 2)] if code else []
    return next((_SQLSTATES[beginning] for beginning in beginnings if beginning in _SQLSTATES), None)


def to_error(fault: Fault) -> errors.UnavailableError:
    """Build the error that tells a client of a fault, and when to try again."""
    return errors.UnavailableError(f"{fault.sentence} Try again later.", retry_after_seconds=RETRY_AFTER_SECONDS)


@contextlib.contextmanager
def told_in_a_sentence(home: pathlib.Path, *, about: str = "") -> Iterator[None]:
    """Exit with a sentence and status 1 when a fault keeps a program from starting, instead of with a traceback."""
    try:
        yield
    except Exception as error:
        fault = find(error)
        if fault is None:
            raise
        sys.exit(f"{about}{fault.sentence} MILLRACE_HOME is {home.resolve()}.")


def _recognize(error: BaseException) -> Fault | None:
    if isinstance(error, errors.DownError):
        return Fault("The object store", _AWAY)
    if isinstance(error, sqlalchemy.exc.TimeoutError):
        return Fault("The database", _BUSY)
    if isinstance(error, sqlalchemy.exc.DBAPIError):
        reason = _reason_of_driver(error.orig)
        # A connection that could not be made has no code.
        is_unreachable = isinstance(error, _UNREACHABLE) and not _has_code(error.orig)
        reason = reason or (_AWAY if is_unreachable or error.connection_invalidated else None)
        return Fault("The database", reason) if reason else None
    if reason := _reason_of_driver(error):
        return Fault("The database", reason)
    if isinstance(error, OSError) and error.errno in _ERRNOS:
        return Fault("The disk", _ERRNOS[error.errno])
    return None


def _reason_of_driver(error: BaseException | None) -> str | None:
    """Look up what is wrong for the moment by an error of psycopg or sqlite3."""
    if isinstance(error, sqlite3.Error):
        return _SQLITE_CODES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    return of_code(getattr(error, "sqlstate", None))


def _has_code(error: BaseException | None) -> bool:
    return bool(getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorcode", None))


def classify(context: sa.ExceptionContext) -> BaseException | None:
    """Have an engine raise its passing faults, and no other errors, as OperationalError; for SQLAlchemy's handle_error.

    So `database.FAULTS` are classes, which `except` takes: PostgreSQL's driver has a read-only transaction as an
    internal error, and SQLite's has a missing table as an operational one.
    """
    error: Any = context.sqlalchemy_exception
    if not isinstance(error, sqlalchemy.exc.DBAPIError) or error.connection_invalidated:
        return None
    reason = _reason_of_driver(context.original_exception)
    if reason == _READ_ONLY:
        # After a failover this connection is one to a server that stays read-only; the next may find the new one.
        context.is_disconnect = context.invalidate_pool_on_disconnect = True
    is_operational = isinstance(error, _UNREACHABLE)
    if reason and not is_operational:
        return _as(sqlalchemy.exc.OperationalError, error)
    if is_operational and not reason and _has_code(context.original_exception):
        return _as(sqlalchemy.exc.ProgrammingError, error)
    return None


def _as(error_class: type[sqlalchemy.exc.DBAPIError], error: sqlalchemy.exc.DBAPIError) -> sqlalchemy.exc.DBAPIError:
    return error_class(error.statement, error.params, error.orig or error, hide_parameters=error.hide_parameters)
