"""Errors of databases in words that may be shown: never SQL, parameters or rows.

docs/decisions/statements.md, "No error of a database shows a statement". Nothing is imported here but the standard
library: exported models carry this file, and need no database.
"""

from typing import Any

TYPE = "DatabaseError"
"""The type by which clients know such an error."""
_PACKAGES = frozenset({"sqlalchemy", "psycopg", "psycopg_pool", "sqlite3", "pymysql", "duckdb", "_duckdb"})


def is_one(error: BaseException) -> bool:
    """Return whether an error was raised by a database, its driver or SQLAlchemy."""
    return any(known.__module__.partition(".")[0] in _PACKAGES for known in type(error).__mro__)


def describe(error: BaseException) -> str:
    """Describe an error of a database by its class alone."""
    original = getattr(error, "orig", None) or error
    return f"The database failed at a statement ({type(original).__name__}); the log tells where."


def hide(context: Any) -> None:
    """Take the statement, its parameters and the driver's text out of an engine's error; for `handle_error`.

    `context` is SQLAlchemy's `ExceptionContext`. The driver's own error stays in `orig`, for whoever needs its code.
    A listener that replaces the error must come before this one.
    """
    error = getattr(context, "chained_exception", None) or context.sqlalchemy_exception
    if error is not None:
        error.args = (describe(error),)
    elif isinstance(context.original_exception, OverflowError | TypeError | ValueError):
        # A driver raises these for a parameter that it can't send.
        context.original_exception.args = (describe(context.original_exception),)
    if hasattr(error, "statement"):
        error.statement = error.params = None
