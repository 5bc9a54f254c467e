"""Opens the operator's databases so that nothing can be written, and no query runs forever.

docs/decisions/ingestion.md, "SQL sources are read-only three times"
"""

import contextlib
import re
import sqlite3
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import psycopg.types.string
import sqlalchemy as sa

from shared import bounded, errors
from shared.ingestion import connections
from workers.ingestion.sources import exact_floats, reachability, server_sessions, unsupported_times

CONNECT_SECONDS = 10
# How much longer than a query may take we wait for PostgreSQL to say that it has ended it.
ANSWER_SECONDS = 5
# After how long a host that acknowledges nothing counts as gone.
UNACKNOWLEDGED_SECONDS = 30
DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
    "sqlite": "sqlite",
}
ONE_SELECT = "give one SELECT; sources are read-only."
UNSTREAMED = {"stream_results": False}
MYSQL = ("mysql", "mariadb")
# The driver's type codes of exact numbers (PostgreSQL: int8, numeric; MySQL: decimals, 64 bits), and of other numbers.
EXACT_NUMBERS = {"postgresql": {20, 1700}, "mysql": {0, 8, 246}, "mariadb": {0, 8, 246}}
OTHER_NUMBERS = {"postgresql": {21, 23, 700, 701}, "mysql": {1, 2, 3, 4, 5, 9}, "mariadb": {1, 2, 3, 4, 5, 9}}
# The codes of types that every database and Arrow order alike: numbers, dates and times.
ORDERED_TYPES = {
    "postgresql": {20, 21, 23, 700, 701, 1700, 1082, 1114, 1184},
    "mysql": {0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 246},
    "mariadb": {0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 246},
}
# PostgreSQL's types whose Python form would lose something: they are read as the text that the server writes.
TEXT_TYPES = ("json", "jsonb", "interval", "timetz", "time", "uuid", "inet", "cidr")
# What a SELECT may do within SQLite; everything else is refused before it runs.
SQLITE_ALLOWED_ACTIONS = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
SQLITE_STEPS_PER_CHECK = 10_000
SQLITE_VALUE_BYTES = 16 * 1024 * 1024
# On MySQL this is a guard, since its protocol runs any kind of statement, and its read-only transactions let files be
# written; for other databases it only decides which hint a failed query gets. The group is atomic, since a series of
# comments could otherwise match in exponentially many ways.
SELECT_START = re.compile(
    r"(?>\s|\(|#[^\n]*(?:\n|$)|--\s[^\n]*(?:\n|$)|/\*(?!M?!).*?\*/)*+(?:select|with|values|table)\b", re.I | re.S
)
# Roles that can read and write files of PostgreSQL's machine, and run programs there, in a read-only transaction too.
POSTGRESQL_POWERS = ("pg_read_server_files", "pg_write_server_files", "pg_execute_server_program")
# Membership is enough, since a query can assume a role by set_config.
POSTGRESQL_LOGIN = sa.text(
    "SELECT rolname FROM pg_roles WHERE rolname = current_user AND rolsuper "
    "UNION ALL SELECT rolname FROM pg_roles WHERE rolname = ANY(:powers) AND pg_has_role(current_user, oid, 'MEMBER')"
)
MYSQL_FILE_ACCESS = re.compile(r"outfile|dumpfile|load_file", re.I)


@contextlib.contextmanager
def open_connection(database: connections.Database, *, name: str, seconds: float) -> Iterator[sa.Connection]:
    """Open a database in a read-only transaction that ends after `seconds`; no message shows its login.

    When the block raises, what the server may still do for it is ended.
    """
    url = _parse_url(database, name=name)
    engine = ENGINE_FACTORIES[url.get_backend_name()](url, seconds)
    try:
        with _connect(engine, url=url, name=name) as connection:
            session = _check_session(connection, name=name)
            limit_next_statement(connection, seconds=seconds)
            try:
                yield connection
            except BaseException:
                if session is not None:
                    connection.invalidate()
                    server_sessions.end(session, url=url, name=name)
                raise
            finally:
                _limit_waits(connection, seconds=CONNECT_SECONDS)
    finally:
        engine.dispose()


def _check_session(connection: sa.Connection, *, name: str) -> server_sessions.Session | None:
    """Return our session on the server; refuse a login of PostgreSQL that a read-only transaction can't restrict."""
    statement = POSTGRESQL_LOGIN.bindparams(powers=list(POSTGRESQL_POWERS))
    try:
        session = server_sessions.describe(connection)
        is_postgresql = connection.dialect.name == "postgresql"
        powerful = is_postgresql and connection.execute(statement, execution_options=UNSTREAMED).first()
    except sa.exc.DBAPIError as error:
        raise reachability.database_error(error.orig, url=connection.engine.url, name=name) from None
    if powerful:
        raise errors.PermanentError(
            f"The login of the database {name!r} is a superuser or a member of one of {', '.join(POSTGRESQL_POWERS)}: "
            "its queries could reach files of the database's machine. Give the connection a login that may only read."
        )
    return session


def is_one_select(query: str) -> bool:
    """Check whether a query looks like a single statement that reads."""
    return SELECT_START.match(query) is not None and ";" not in query.rstrip().rstrip(";")


def check_query(connection: sa.Connection, query: str) -> None:
    """Refuse a query that the database's own guards would let through."""
    if connection.dialect.name not in MYSQL:
        return
    if not SELECT_START.match(query):
        raise errors.PermanentError(f"The query does not begin with SELECT, WITH, VALUES or TABLE; {ONE_SELECT}")
    if match := MYSQL_FILE_ACCESS.search(query):
        raise errors.PermanentError(
            f"The query contains {match.group()!r}, with which MySQL reaches files of its machine; leave it out."
        )


@contextlib.contextmanager
def closing(result: sa.CursorResult[Any]) -> Iterator[None]:
    """Close a result, even one that was not read to its end."""
    try:
        yield
    except BaseException:
        if result.connection.dialect.name in MYSQL:
            _disconnect(result)
        raise
    finally:
        result.close()


def _disconnect(result: sa.CursorResult[Any]) -> None:
    """Close MySQL's connection at once: its driver would first read all remaining rows, even of a broken one."""
    connection = result.connection
    driver = None if connection.invalidated else connection.connection.driver_connection
    for holder in (driver, result.cursor):
        if (unread := getattr(holder, "_result", None)) is not None:
            unread.unbuffered_active = False
    connection.invalidate()


def limit_next_statement(connection: sa.Connection, *, seconds: float) -> None:
    """Set PostgreSQL's timeout for the next statement, since the query may have changed it (set_config)."""
    if connection.dialect.name == "postgresql":
        _limit_waits(connection, seconds=CONNECT_SECONDS)
        statement = f"SET LOCAL statement_timeout = {max(1, int(seconds * 1000))}"
        connection.exec_driver_sql(statement, execution_options=UNSTREAMED)
        _limit_waits(connection, seconds=seconds + ANSWER_SECONDS)


def limit_count(connection: sa.Connection, *, seconds: float) -> None:
    """Set the time limit of a last statement, which may end in an error without harm."""
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        driver.set_progress_handler(_create_deadline_handler(seconds), SQLITE_STEPS_PER_CHECK)
    elif connection.dialect.name in MYSQL:
        limit = _mysql_limit(driver, seconds)
        connection.exec_driver_sql(f"SET SESSION {limit}", execution_options=UNSTREAMED)
    else:
        limit_next_statement(connection, seconds=seconds)


def _mysql_limit(driver: Any, seconds: float) -> str:
    is_mariadb = "mariadb" in driver.get_server_info().lower()
    return f"max_statement_time = {seconds}" if is_mariadb else f"max_execution_time = {max(1, int(seconds * 1000))}"


def _limit_waits(connection: sa.Connection, *, seconds: float) -> None:
    """Set how long we wait for each of PostgreSQL's answers; everything but the query itself is answered at once."""
    if connection.dialect.name == "postgresql" and not connection.invalidated:
        driver: Any = connection.connection.driver_connection
        driver.limit_seconds = seconds


def _parse_url(database: connections.Database, *, name: str) -> sa.URL:
    try:
        url = sa.make_url(database.url.get_secret_value())
        return url.set(drivername=DRIVERS[url.drivername.partition("+")[0]])
    except (sa.exc.ArgumentError, ValueError, KeyError):
        # Their messages may show the URL, and so the password.
        raise errors.PermanentError(
            f"The connection {name!r} has a URL that can't be used; it must begin with one of: "
            f"{', '.join(f'{scheme}://' for scheme in DRIVERS)}."
        ) from None


@contextlib.contextmanager
def _connect(engine: sa.Engine, *, url: sa.URL, name: str) -> Iterator[sa.Connection]:
    try:
        connection = engine.connect()
    except sa.exc.DBAPIError as error:
        raise reachability.database_error(error.orig, url=url, name=name) from None
    except (OSError, sqlite3.Error) as error:
        raise reachability.database_error(error, url=url, name=name) from None
    with connection:
        yield connection


def _create_postgresql_engine(url: sa.URL, _seconds: float) -> sa.Engine:
    engine = sa.create_engine(
        url,
        poolclass=sa.pool.NullPool,
        connect_args={**bounded.tcp_options(seconds=UNACKNOWLEDGED_SECONDS), "connect_timeout": CONNECT_SECONDS},
        isolation_level="REPEATABLE READ",
        execution_options={"postgresql_readonly": True, "stream_results": True},
    )
    bounded.bind(engine, seconds=CONNECT_SECONDS)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: psycopg.Connection[Any], _record: object) -> None:
        for type_name in TEXT_TYPES:
            connection.adapters.register_loader(type_name, psycopg.types.string.TextLoader)
        exact_floats.register_postgresql_loader(connection)
        unsupported_times.register_postgresql_loaders(connection)

    @sa.event.listens_for(engine, "begin")
    def prepare_transaction(connection: sa.Connection) -> None:
        connection.exec_driver_sql("SET LOCAL TimeZone = 'UTC'", execution_options=UNSTREAMED)
        # With fewer digits, floats that differ would look the same.
        connection.exec_driver_sql("SET LOCAL extra_float_digits = 3", execution_options=UNSTREAMED)

    return engine


def _create_mysql_engine(url: sa.URL, seconds: float) -> sa.Engine:
    # With `local_infile`, the server could request any file of this machine.
    options = {"charset": "utf8mb4", "local_infile": False, "connect_timeout": CONNECT_SECONDS}
    timeouts = {"read_timeout": int(seconds) + 1, "write_timeout": CONNECT_SECONDS}
    engine = sa.create_engine(
        url,
        poolclass=sa.pool.NullPool,
        connect_args={**options, **timeouts, "conv": unsupported_times.create_mysql_converters()},
        execution_options={"stream_results": True},
    )

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION READ ONLY")
            cursor.execute("SET SESSION time_zone = '+00:00'")
            cursor.execute(f"SET SESSION {_mysql_limit(connection, seconds)}")

    return engine


def _create_sqlite_engine(url: sa.URL, seconds: float) -> sa.Engine:
    engine = sa.create_engine("sqlite://", poolclass=sa.pool.NullPool, creator=lambda: _open_sqlite(url, seconds))

    @sa.event.listens_for(engine, "engine_connect")
    def guard(connection: sa.Connection) -> None:
        # Not earlier, because SQLAlchemy reads PRAGMAs on the first connection.
        driver: Any = connection.connection.driver_connection
        driver.set_authorizer(_authorize)

    return engine


def _open_sqlite(url: sa.URL, seconds: float) -> sqlite3.Connection:
    path = urllib.parse.quote(str(Path(url.database or "").resolve()))
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=CONNECT_SECONDS)
    connection.execute("PRAGMA query_only = ON")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, SQLITE_VALUE_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.set_progress_handler(_create_deadline_handler(seconds), SQLITE_STEPS_PER_CHECK)
    return connection


def _authorize(action: int, argument: str | None, other_argument: str | None, *_: str | None) -> int:
    if action == sqlite3.SQLITE_FUNCTION and "load_extension" in (argument, other_argument):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK if action in SQLITE_ALLOWED_ACTIONS else sqlite3.SQLITE_DENY


def _create_deadline_handler(seconds: float) -> Callable[[], int]:
    deadline = time.monotonic() + seconds
    return lambda: int(time.monotonic() > deadline)


ENGINE_FACTORIES: dict[str, Callable[[sa.URL, float], sa.Engine]] = {
    "postgresql": _create_postgresql_engine,
    "mysql": _create_mysql_engine,
    "mariadb": _create_mysql_engine,
    "sqlite": _create_sqlite_engine,
}
