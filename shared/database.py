"""Engines: one set per role's database, PostgreSQL or SQLite, chosen by URL."""

import contextlib
import dataclasses
import functools
import pathlib
import threading
from collections.abc import Iterator
from typing import Any, cast

import orjson
import sqlalchemy as sa
import sqlalchemy.exc
from sqlalchemy.dialects import postgresql, sqlite

from shared import errors, reads, roles, settings

_CONNECT_SECONDS = 3
_STATEMENT_SECONDS = 30
_LOCK_SECONDS = 10


@dataclasses.dataclass(frozen=True)
class Engines:
    """The three ways in which a database is used."""

    transactions: sa.Engine
    """For several statements that commit together, durably."""
    statements: sa.Engine
    """For single statements, each of which commits by itself, durably; and for reads."""
    relaxed: sa.Engine
    """For single statements whose loss in a crash of the database is harmless: claims, beats, progress."""
    reader: reads.Reader
    """For reads of one row that are done all the time."""

    def single_statement(self) -> sa.Engine:
        """Give the engine for what PostgreSQL does in one statement, which commits by itself, and SQLite in several."""
        return self.transactions if self.transactions.dialect.name == "sqlite" else self.statements


def url_of(store: str, *, config: settings.Settings) -> sa.URL:
    """Give the URL of a role's database (or the API's)."""
    template = config.database_urls.get(store) or config.database_url
    if not template:
        path = (config.home.resolve() / "databases" / f"{store}.sqlite3").as_posix()
        return sa.make_url(f"sqlite:///file:{path}?mode=rw&uri=true")
    url = sa.make_url(template.replace("{role}", store))
    if url.drivername in {"postgresql", "postgres"}:
        url = url.set(drivername="postgresql+psycopg")
    if store not in config.database_urls and "{role}" not in template:
        url = url.set(database=f"{url.database}_{store}")
    return url


def sqlite_path(url: sa.URL) -> pathlib.Path | None:
    """Give the file of a SQLite URL; None for other databases."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    return pathlib.Path(url.database.removeprefix("file:"))


def _serialize(value: Any) -> str:
    return orjson.dumps(value).decode()


def _postgresql(url: sa.URL, *, relaxed: bool, autocommit: bool) -> sa.Engine:
    options = (
        f"-c statement_timeout={_STATEMENT_SECONDS * 1000} -c lock_timeout={_LOCK_SECONDS * 1000}"
        f" -c idle_in_transaction_session_timeout={_STATEMENT_SECONDS * 1000} -c timezone=UTC"
        # A prepared plan is kept: one made while a table is small reads all of it, and goes on to when it is large.
        " -c enable_seqscan=off"
    )
    if autocommit:
        # What is claimed next is read in the order of its index. Statistics from a moment with an empty queue would
        # make a plan that reads and sorts the whole queue for each claim.
        options += " -c enable_sort=off -c enable_bitmapscan=off"
    if relaxed:
        options += " -c synchronous_commit=off"
    return sa.create_engine(
        url,
        pool_size=4,
        max_overflow=28,
        pool_timeout=_CONNECT_SECONDS,
        pool_use_lifo=True,
        json_serializer=_serialize,
        json_deserializer=orjson.loads,
        connect_args={"connect_timeout": _CONNECT_SECONDS, "options": options, "application_name": "millrace"},
        **({"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True} if autocommit else {}),
    )


def _sqlite(url: sa.URL, *, relaxed: bool, autocommit: bool) -> sa.Engine:
    engine = sa.create_engine(
        url,
        pool_size=4,
        max_overflow=28,
        pool_timeout=_CONNECT_SECONDS,
        json_serializer=_serialize,
        json_deserializer=orjson.loads,
        connect_args={"timeout": _LOCK_SECONDS, "check_same_thread": False},
    )

    path = sqlite_path(url)

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, record: Any) -> None:
        record.info["file"] = _file_at(path)
        # The driver must not begin transactions by itself: ours begin IMMEDIATE, or not at all.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'NORMAL' if relaxed else 'FULL'}")
        connection.execute(f"PRAGMA busy_timeout={_LOCK_SECONDS * 1000}")
        connection.execute("PRAGMA foreign_keys=ON")

    @sa.event.listens_for(engine, "checkout")
    def _check(_connection: Any, record: Any, _proxy: Any) -> None:
        # A file that was moved or replaced takes what open connections write, and nobody ever sees it.
        if record.info["file"] != _file_at(path):
            raise sqlalchemy.exc.DisconnectionError("the database's file is not where it was")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        if not autocommit:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _file_at(path: pathlib.Path | None) -> tuple[int, int] | None:
    """Tell a file from another that takes its place; None when there is none."""
    try:
        status = path.stat() if path else None
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if status else None


class Databases:
    """The engines of all stores, made when they are first asked for."""

    def __init__(self, config: settings.Settings) -> None:
        """Remember where the databases are; connect to none yet."""
        self._config = config
        self._engines: dict[str, Engines] = {}
        self._lock = threading.Lock()

    def __getitem__(self, store: str) -> Engines:
        """Give a store's engines."""
        engines = self._engines.get(store)
        if engines is None:
            with self._lock:
                engines = self._engines.get(store) or self._make(store)
                self._engines[store] = engines
        return engines

    def _make(self, store: str) -> Engines:
        if store not in roles.STORES:
            raise ValueError(f"{store!r} has no database; these have: {', '.join(roles.STORES)}")
        url = url_of(store, config=self._config)
        make = _sqlite if url.get_backend_name() == "sqlite" else _postgresql
        statements = make(url, relaxed=False, autocommit=True)
        return Engines(
            transactions=make(url, relaxed=False, autocommit=False),
            statements=statements,
            relaxed=make(url, relaxed=True, autocommit=True),
            reader=reads.Reader(statements),
        )

    def dispose(self, *, close: bool = True) -> None:
        """Drop all connections; with `close=False` leave them to the parent process after a fork."""
        for engines in self._engines.values():
            engines.reader.dispose(close=close)
            for engine in (engines.transactions, engines.statements, engines.relaxed):
                engine.dispose(close=close)
        self._engines.clear()


@functools.cache
def of_process() -> Databases:
    """Give this process's databases."""
    return Databases(settings.load())


def insert_for(dialect: str, table: sa.Table) -> postgresql.Insert:
    """Begin an INSERT that may say ON CONFLICT; PostgreSQL and SQLite use the same words for it."""
    begin = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return cast(postgresql.Insert, begin(table))


def insert(connection: sa.Connection, table: sa.Table) -> postgresql.Insert:
    """Begin an INSERT that may say ON CONFLICT, for a connection."""
    return insert_for(connection.dialect.name, table)


FAULTS = (sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError, sqlalchemy.exc.TimeoutError)
"""What SQLAlchemy raises when a database is down, unreachable or overloaded."""


@contextlib.contextmanager
def available(store: str) -> Iterator[None]:
    """Turn a database's faults into UnavailableError, which names the store and says when to try again."""
    try:
        yield
    except FAULTS as fault:
        raise errors.UnavailableError(
            f"The database of {store} can't be reached; nothing was accepted. Try again later.",
            retry_after_seconds=5,
        ) from fault
