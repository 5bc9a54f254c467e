"""The database's clock, in epoch milliseconds: the only clock that the job's life is measured by."""

import datetime
from typing import Any

import sqlalchemy
from sqlalchemy.ext import compiler
from sqlalchemy.sql import expression


class now_ms(expression.FunctionElement[int]):  # noqa: N801 - it reads as the SQL function that it is.
    """SQL for the present in epoch milliseconds, by the database's own clock."""

    type = sqlalchemy.BigInteger()
    inherit_cache = True


@compiler.compiles(now_ms, "postgresql")
def _postgresql(_element: now_ms, _compiler: Any, **_options: Any) -> str:
    return "(extract(epoch from clock_timestamp())*1000)::bigint"


@compiler.compiles(now_ms, "sqlite")
def _sqlite(_element: now_ms, _compiler: Any, **_options: Any) -> str:
    return "CAST((julianday('now')-2440587.5)*86400000 AS INTEGER)"


def now_ms_once() -> sqlalchemy.ScalarSelect[int]:
    """Stand for one moment in a whole statement: only so can PostgreSQL look a time up in an index."""
    return sqlalchemy.select(now_ms()).scalar_subquery()


def to_text(milliseconds: int | None) -> str | None:
    """Give epoch milliseconds as RFC 3339 in UTC; None stays None."""
    if milliseconds is None:
        return None
    moment = datetime.datetime.fromtimestamp(milliseconds / 1000, tz=datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
