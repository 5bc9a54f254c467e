"""Frequent reads of a single row: by PostgreSQL's driver itself, without the cost of SQLAlchemy."""

import collections
import functools
from collections.abc import Callable
from typing import Any, cast

import psycopg
import sqlalchemy as sa
import sqlalchemy.exc
from sqlalchemy.dialects.postgresql import psycopg as psycopg_dialect

from shared import bounded

_MAX_IDLE = 4
_SHARE = 0.5
"""One row by its key: of the time that the engine waits for an answer, it gets this share."""


class Reader:
    """Reads from one database, on a few connections of its own that are kept open.

    More than half of the time of a poll was spent in SQLAlchemy, most of all in a process that has been idle, because
    its code must be read from memory again. See docs/decisions/accepting.md, "A plain poll is answered before Flask".
    """

    def __init__(self, engine: sa.Engine) -> None:
        """Read from the database of an engine in autocommit mode."""
        self._engine = engine
        self._idle: list[bounded.Connection] = []

    def one(self, query: sa.Select[*tuple[Any, ...]], values: dict[str, Any]) -> Any:
        """Read the only row, or None, of a query; queries are cached, so there must be only a few different ones.

        Raises MultipleResultsFound, and whatever SQLAlchemy raises when the database fails.
        """
        if self._engine.dialect.driver != "psycopg":
            return self._by_sqlalchemy(query, values)
        text, constants, row_type = _compile(query)
        try:
            rows = self._by_driver(text, {**constants, **values})
        except psycopg.Error:
            # Perhaps the connection was kept too long; otherwise SQLAlchemy raises its own error.
            return self._by_sqlalchemy(query, values)
        if len(rows) > 1:
            raise sqlalchemy.exc.MultipleResultsFound(text)
        return row_type(*rows[0]) if rows else None

    def dispose(self, *, close: bool) -> None:
        """Drop the connections, and close them unless they belong to another process."""
        while self._idle:
            connection = self._idle.pop()
            if close:
                connection.close()

    def _by_driver(self, text: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        connection = self._take_idle() or self._connect()
        try:
            rows = connection.execute(text, values, prepare=True).fetchall()
        except psycopg.Error:
            connection.close()
            raise
        if len(self._idle) < _MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.close()
        return rows

    def _take_idle(self) -> bounded.Connection | None:
        """Take an idle connection that still answers, if there is one; close those that don't."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.is_usable():
                return connection
            connection.close()

    def _connect(self) -> bounded.Connection:
        """Open a connection in the same way as the engine."""
        pooled = self._engine.raw_connection()
        connection = cast(bounded.Connection, pooled.driver_connection)
        pooled.detach()
        if connection.limit_seconds is not None:
            connection.limit_seconds *= _SHARE
        return connection

    def _by_sqlalchemy(self, query: sa.Select[*tuple[Any, ...]], values: dict[str, Any]) -> Any:
        with self._engine.connect() as connection:
            return connection.execute(query, values).one_or_none()


@functools.cache
def _compile(query: sa.Select[*tuple[Any, ...]]) -> tuple[str, dict[str, Any], Callable[..., Any]]:
    """Compile a query to the driver's text, its constant parameters and a type for its rows."""
    compiled = query.compile(dialect=psycopg_dialect.dialect())  # type: ignore[no-untyped-call]
    names = [column.name for column in query.selected_columns]
    return str(compiled), compiled.params, collections.namedtuple("Row", names)
