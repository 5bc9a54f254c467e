"""The database's clock, in epoch milliseconds: all times in a job's life are taken from it."""

import datetime
from typing import Any

import sqlalchemy
from sqlalchemy.ext import compiler
from sqlalchemy.sql import expression


class now_ms(expression.FunctionElement[int]):  # noqa: N801 - it is an SQL function, and is named like one.
    """SQL for the current time in epoch milliseconds, by the database's own clock."""

    type = sqlalchemy.BigInteger()
    inherit_cache = True


@compiler.compiles(now_ms, "postgresql")
def _postgresql(_element: now_ms, _compiler: Any, **_options: Any) -> str:
    return "(extract(epoch from clock_timestamp())*1000)::bigint"


@compiler.compiles(now_ms, "sqlite")
def _sqlite(_element: now_ms, _compiler: Any, **_options: Any) -> str:
    return "CAST((julianday('now')-2440587.5)*86400000 AS INTEGER)"


def now_ms_once() -> sqlalchemy.ScalarSelect[int]:
    """Build SQL for the current time, taken once per statement, so that PostgreSQL can look it up in an index.

    It can't look up what a volatile function returns: docs/decisions/statements.md, "Times that are looked up in an
    index come from `now_ms_once()`, and states of partial indexes are literals".
    """
    return sqlalchemy.select(now_ms()).scalar_subquery()


def read(connection: sqlalchemy.Connection) -> int:
    """Read the current time in epoch milliseconds."""
    return int(connection.execute(sqlalchemy.select(now_ms())).scalar_one())


def to_text(milliseconds: int | None) -> str | None:
    """Format epoch milliseconds as RFC 3339 in UTC; None stays None."""
    if milliseconds is None:
        return None
    moment = datetime.datetime.fromtimestamp(milliseconds / 1000, tz=datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
