"""Engines: one set for each database (of a role or of the API), PostgreSQL or SQLite, chosen by URL."""

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

from shared import bounded, database_errors, errors, faults, reads, roles, settings, storable

_POOL_SECONDS = 3
_LOCK_SECONDS = 10
_RELAXED_SHARE = 0.5
"""Claims, beats and progress are small: of the time that a statement may take, they get this share."""
_ANSWER_SHARE = 1.2
"""How much longer we wait than the server works on a statement, so that one that is merely slow costs no connection."""


@dataclasses.dataclass(frozen=True)
class Engines:
    """The ways in which one database is used."""

    transactions: sa.Engine
    """For several statements that commit together, durably."""
    statements: sa.Engine
    """For single statements, each of which commits by itself, durably; and for reads."""
    relaxed: sa.Engine
    """For single statements whose loss in a crash of the database is harmless: claims, beats, progress."""
    reader: reads.Reader
    """For frequent reads of a single row."""

    def single_statement(self) -> sa.Engine:
        """Return the engine for what PostgreSQL does in one statement, which commits itself, and SQLite in several."""
        return self.transactions if self.transactions.dialect.name == "sqlite" else self.statements


def url_of(store: str, *, config: settings.Settings) -> sa.URL:
    """Build the URL of a role's database, or of the API's."""
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
    """Return the file of a SQLite URL; None for other databases."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    return pathlib.Path(url.database.removeprefix("file:"))


def _serialize(value: Any) -> str:
    try:
        text = orjson.dumps(value)
    except TypeError:
        # Half of a surrogate pair, or something that is no JSON, which raises again.
        return orjson.dumps(storable.to_document(value)).decode()
    return (orjson.dumps(storable.to_document(value)) if b"\\u0000" in text else text).decode()


def _create_postgresql(url: sa.URL, *, relaxed: bool, autocommit: bool, config: settings.Settings) -> sa.Engine:
    seconds = config.statement_seconds * (_RELAXED_SHARE if relaxed else 1)
    milliseconds = int(seconds * 1000)
    options = (
        f"-c statement_timeout={milliseconds} -c lock_timeout={_LOCK_SECONDS * 1000}"
        # What a client that fell silent has locked must be free again when its next attempt comes.
        f" -c idle_in_transaction_session_timeout={milliseconds} -c timezone=UTC"
        # Prepared plans are kept, and one made for a small table would still read all of it when it is large:
        # docs/decisions/statements.md, "PostgreSQL connections run with `enable_seqscan=off`".
        " -c enable_seqscan=off"
        # It would compile each query that reads a whole table, since such plans count as dear now, for 50 ms or more.
        " -c jit=off"
    )
    if autocommit:
        # The next job to claim is read in the order of an index. With statistics from a moment with an empty queue, the
        # plan would read and sort the whole queue for each claim.
        options += " -c enable_sort=off -c enable_bitmapscan=off"
    if relaxed:
        options += " -c synchronous_commit=off"
    engine = sa.create_engine(
        url,
        pool_size=4,
        max_overflow=28,
        pool_timeout=_POOL_SECONDS,
        hide_parameters=True,
        pool_use_lifo=True,
        json_serializer=_serialize,
        json_deserializer=orjson.loads,
        connect_args={
            **bounded.tcp_options(seconds=seconds * _ANSWER_SHARE),
            "options": options,
            "application_name": "millrace",
        },
        **({"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True} if autocommit else {}),
    )
    bounded.bind(engine, seconds=seconds * _ANSWER_SHARE)
    sa.event.listen(engine, "handle_error", faults.classify, retval=True)
    sa.event.listen(engine, "handle_error", database_errors.hide)
    return engine


def _create_sqlite(url: sa.URL, *, relaxed: bool, autocommit: bool, config: settings.Settings) -> sa.Engine:  # noqa: ARG001
    engine = sa.create_engine(
        url,
        pool_size=4,
        max_overflow=28,
        pool_timeout=_POOL_SECONDS,
        hide_parameters=True,
        json_serializer=_serialize,
        json_deserializer=orjson.loads,
        connect_args={"timeout": _LOCK_SECONDS, "check_same_thread": False},
    )

    sa.event.listen(engine, "handle_error", faults.classify, retval=True)
    sa.event.listen(engine, "handle_error", database_errors.hide)
    path = sqlite_path(url)

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, record: Any) -> None:
        record.info["file"] = _identify_file(path)
        # The driver must not begin transactions by itself: ours begin with IMMEDIATE, or there is none.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'NORMAL' if relaxed else 'FULL'}")
        connection.execute(f"PRAGMA busy_timeout={_LOCK_SECONDS * 1000}")
        connection.execute("PRAGMA foreign_keys=ON")

    @sa.event.listens_for(engine, "checkout")
    def _check(_connection: Any, record: Any, _proxy: Any) -> None:
        # What open connections write to a file that was moved or replaced is lost: docs/decisions/statements.md, "A
        # SQLite file is compared at each checkout with the one that the connection opened".
        if record.info["file"] != _identify_file(path):
            raise sqlalchemy.exc.DisconnectionError("the database's file is not where it was")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        if not autocommit:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _identify_file(path: pathlib.Path | None) -> tuple[int, int] | None:
    """Return the device and inode of the file at a path, which another file in its place doesn't have; None without."""
    try:
        status = path.stat() if path else None
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if status else None


class Databases:
    """The engines of all databases, created when they are first used."""

    def __init__(self, config: settings.Settings) -> None:
        """Keep the settings; no database is connected to yet."""
        self._config = config
        self._engines: dict[str, Engines] = {}
        self._lock = threading.Lock()

    def __getitem__(self, store: str) -> Engines:
        """Return the engines of a role's database, or of the API's."""
        engines = self._engines.get(store)
        if engines is None:
            with self._lock:
                engines = self._engines.get(store) or self._create(store)
                self._engines[store] = engines
        return engines

    def _create(self, store: str) -> Engines:
        if store not in roles.STORES:
            raise ValueError(f"{store!r} has no database; these have: {', '.join(roles.STORES)}")
        url = url_of(store, config=self._config)
        create_engine = functools.partial(
            _create_sqlite if url.get_backend_name() == "sqlite" else _create_postgresql, config=self._config
        )
        statements = create_engine(url, relaxed=False, autocommit=True)
        return Engines(
            transactions=create_engine(url, relaxed=False, autocommit=False),
            statements=statements,
            relaxed=create_engine(url, relaxed=True, autocommit=True),
            reader=reads.Reader(statements),
        )

    def dispose(self, *, close: bool = True) -> None:
        """Drop all connections; with `close=False`, after a fork, leave them to the parent process."""
        for engines in self._engines.values():
            engines.reader.dispose(close=close)
            for engine in (engines.transactions, engines.statements, engines.relaxed):
                engine.dispose(close=close)
        self._engines.clear()


@functools.cache
def of_process() -> Databases:
    """Return this process's databases."""
    return Databases(settings.load())


def insert_for(dialect: str, table: sa.Table) -> postgresql.Insert:
    """Begin an INSERT that may have ON CONFLICT, which is written the same for PostgreSQL and SQLite."""
    dialect_insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return cast(postgresql.Insert, dialect_insert(table))


def insert(connection: sa.Connection, table: sa.Table) -> postgresql.Insert:
    """Begin an INSERT that may have ON CONFLICT, for a connection's database."""
    return insert_for(connection.dialect.name, table)


FAULTS = (sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError, sqlalchemy.exc.TimeoutError)
"""What engines raise when a database has a passing fault, and only then: see `shared.faults`."""


@contextlib.contextmanager
def available(store: str) -> Iterator[None]:
    """Raise a database's faults as UnavailableError, which names the role and says when to try again."""
    try:
        yield
    except FAULTS as error:
        fault = faults.find(error)
        what = fault.reason if fault else "can't be reached"
        reason = f"{what}; nothing was accepted. Try again later."
        # What it did before it fell silent, nobody knows.
        if isinstance(getattr(error, "orig", None), bounded.SilentError):
            reason = "doesn't answer, and may or may not have done what was asked; retry, best with an Idempotency-Key."
        raise errors.UnavailableError(
            f"The database of {store} {reason}", retry_after_seconds=faults.RETRY_AFTER_SECONDS
        ) from error
