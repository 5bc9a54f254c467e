"""Reads of a single row that are done all the time: by PostgreSQL's driver itself, without SQLAlchemy's share."""

import collections
import functools
from collections.abc import Callable
from typing import Any, cast

import psycopg
import sqlalchemy as sa
import sqlalchemy.exc
from sqlalchemy.dialects.postgresql import psycopg as psycopg_dialect

_MOST_IDLE = 4


class Reader:
    """Reads from one database on connections of its own, which are few and kept.

    SQLAlchemy's part was more than half of a poll, most of all in a process that has slept for a while: there each
    line of code is fetched from memory anew.
    """

    def __init__(self, engine: sa.Engine) -> None:
        """Read from the database of an engine that commits each statement by itself."""
        self._engine = engine
        self._idle: list[psycopg.Connection[Any]] = []

    def one(self, query: sa.Select[*tuple[Any, ...]], values: dict[str, Any]) -> Any:
        """Read the one row, or None, of a query that is a constant of the program.

        Raises MultipleResultsFound, and whatever SQLAlchemy raises when the database fails.
        """
        if self._engine.dialect.driver != "psycopg":
            return self._by_sqlalchemy(query, values)
        text, constants, make = _for_driver(query)
        try:
            rows = self._by_driver(text, {**constants, **values})
        except psycopg.Error:
            # SQLAlchemy says what is wrong; it may also have been a connection that was kept too long.
            return self._by_sqlalchemy(query, values)
        if len(rows) > 1:
            raise sqlalchemy.exc.MultipleResultsFound(text)
        return make(*rows[0]) if rows else None

    def dispose(self, *, close: bool) -> None:
        """Forget the connections, and close them unless they are another process's."""
        while self._idle:
            connection = self._idle.pop()
            if close:
                connection.close()

    def _by_driver(self, text: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect()
        try:
            rows = connection.execute(text, values, prepare=True).fetchall()
        except psycopg.Error:
            connection.close()
            raise
        if len(self._idle) < _MOST_IDLE:
            self._idle.append(connection)
        else:
            connection.close()
        return rows

    def _connect(self) -> psycopg.Connection[Any]:
        """Make a connection as the engine makes its own."""
        lent = self._engine.raw_connection()
        connection = cast("psycopg.Connection[Any]", lent.driver_connection)
        lent.detach()
        return connection

    def _by_sqlalchemy(self, query: sa.Select[*tuple[Any, ...]], values: dict[str, Any]) -> Any:
        with self._engine.connect() as connection:
            return connection.execute(query, values).one_or_none()


@functools.cache
def _for_driver(query: sa.Select[*tuple[Any, ...]]) -> tuple[str, dict[str, Any], Callable[..., Any]]:
    compiled = query.compile(dialect=psycopg_dialect.dialect())  # type: ignore[no-untyped-call]
    names = [column.name for column in query.selected_columns]
    return str(compiled), compiled.params, collections.namedtuple("Row", names)
