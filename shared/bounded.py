"""Connections to PostgreSQL on which no wait is endless.

A server behind a hop that acknowledges and never answers keeps a connection open for good: neither TCP's own time
limits nor the server's `statement_timeout` end the wait. docs/decisions/silence.md, "Every wait for PostgreSQL ends on
the client's side".
"""

import time
from typing import Any

import psycopg
import sqlalchemy as sa
import sqlalchemy.exc
import structlog

_log = structlog.get_logger()

CONNECT_SECONDS = 3
_IDLE_SECONDS = 5.0
"""A connection that was silent for this long is asked whether it still answers before it is used."""
_ANSWER_SECONDS = 2.0
_KEEPALIVES = {"keepalives": 1, "keepalives_idle": 5, "keepalives_interval": 3, "keepalives_count": 3}

_silent_at: dict[str, float] = {}
"""When a connection to a server was last given up (monotonic, seconds), by the server's address."""


class SilentError(psycopg.OperationalError):
    """The server has not answered within the limit, and the connection is closed."""


class Connection(psycopg.Connection[Any]):
    """A connection that is given up when the server does not answer in time, and with it all older ones to it."""

    limit_seconds: float | None = None
    """The longest wait for one answer; None while it is being opened, which has a limit of its own."""
    _address = ""
    _opened_at = 0.0
    _heard_at = 0.0

    def begin(self, *, limit_seconds: float) -> None:
        """Note that it is open, and limit each wait from now on."""
        self._address = f"{self.info.host}:{self.info.port}"
        self._opened_at = self._heard_at = time.monotonic()
        self.limit_seconds = limit_seconds

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for an answer as psycopg does, but no longer than the limit; raises SilentError."""
        try:
            answer = super().wait(gen, interval, self.limit_seconds if timeout is None else timeout)
        # psycopg has no public name for it; without it our tests of silence would fail.
        except psycopg.errors._WaitTimeout as error:
            if timeout is not None:
                raise
            self._give_up()
            raise SilentError(f"the server has not answered within {self.limit_seconds:g} s") from error
        self._heard_at = time.monotonic()
        return answer

    def is_usable(self) -> bool:
        """Return whether it may be used: not if another to its server was found silent since it was opened.

        One that has been idle is asked.
        """
        if self._opened_at <= _silent_at.get(self._address, 0.0):
            return False
        return time.monotonic() - self._heard_at < _IDLE_SECONDS or self._answers()

    def _answers(self) -> bool:
        limit, self.limit_seconds = self.limit_seconds, _ANSWER_SECONDS
        is_autocommit = self.autocommit
        try:
            self.autocommit = True
            self.execute("SELECT 1")
            self.autocommit = is_autocommit
        except psycopg.Error:
            return False
        finally:
            self.limit_seconds = limit
        return True

    def _give_up(self) -> None:
        # Closed by the thread that waits, so that no other one can have got the same descriptor meanwhile.
        self.close()
        _silent_at[self._address] = time.monotonic()
        _log.warning("database_silent", address=self._address, seconds=self.limit_seconds)


def tcp_options(*, seconds: float) -> dict[str, Any]:
    """Build the driver's options that bound connecting, and that end a connection to a host that is gone."""
    return {"connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": int(seconds * 1000), **_KEEPALIVES}


def bind(engine: sa.Engine, *, seconds: float) -> None:
    """Let an engine's connections wait at most `seconds` for an answer, and drop from its pool those that are silent.

    The server should end a statement by itself a little earlier, since that costs no connection.
    """

    @sa.event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, arguments: Any, parameters: Any) -> Connection:
        connection = Connection.connect(*arguments, **parameters)
        connection.begin(limit_seconds=seconds)
        return connection

    @sa.event.listens_for(engine, "checkout")
    def _check(connection: Connection, _record: Any, _proxy: Any) -> None:
        if not connection.is_usable():
            raise sqlalchemy.exc.DisconnectionError("the connection no longer answers")
