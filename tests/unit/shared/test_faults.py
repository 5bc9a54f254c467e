"""Which errors of real databases and file systems count as passing, and which don't."""

import contextlib
import errno
import os
import pathlib
import sqlite3
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
import sqlalchemy.exc

from shared import database, errors, faults, settings
from shared.objects import store
from tests import servers_postgres
from tests.unit.rig import ROLE

Act = Callable[[sa.Connection], object]


@pytest.fixture
def postgresql(postgres: servers_postgres.Postgres, tmp_path: pathlib.Path) -> Iterator[database.Engines]:
    """Yield the engines of a PostgreSQL database of our own, with a table."""
    url = postgres.create_database()
    yield from _opened(url, tmp_path)
    postgres.drop_database(sa.make_url(url).database or "")


@pytest.fixture
def sqlite(tmp_path: pathlib.Path) -> Iterator[database.Engines]:
    """Yield the engines of a SQLite file, with a table."""
    (tmp_path / "role.sqlite3").touch()
    yield from _opened(f"sqlite:///file:{tmp_path / 'role.sqlite3'}?mode=rw&uri=true", tmp_path)


def _opened(url: str, home: pathlib.Path) -> Iterator[database.Engines]:
    databases = database.Databases(settings.Settings(home=home, database_urls={ROLE: url}))
    with databases[ROLE].transactions.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT)")
        connection.exec_driver_sql("INSERT INTO things VALUES (1, 'a'), (2, 'b')")
    yield databases[ROLE]
    databases.dispose()


def fault_of(act: Callable[[], object]) -> faults.Fault:
    """Do something that fails in passing, as every `except database.FAULTS` must see; gives what is said of it."""
    with pytest.raises(database.FAULTS) as caught:
        act()
    fault = faults.find(caught.value)
    assert fault is not None
    with pytest.raises(errors.UnavailableError, match=rf"The database of training {fault.reason}") as answered:
        raise_available(caught.value)
    assert answered.value.retry_after_seconds
    return fault


def raise_available(error: BaseException) -> None:
    """Raise an error where a route uses a role's database."""
    with database.available("training"):
        raise error


def insert(engine: sa.Engine, count: int = 1) -> None:
    """Write rows."""
    with engine.begin() as connection:
        for _ in range(count):
            connection.exec_driver_sql(f"INSERT INTO things (id, name) SELECT max(id) + 1, '{'x' * 2000}' FROM things")


def execute(engine: sa.Engine, statement: str) -> None:
    """Run one statement."""
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)


@pytest.mark.parametrize("way", ["transactions", "statements", "relaxed"])
def test_a_database_that_became_read_only_is_found_again_when_it_no_longer_is(
    postgresql: database.Engines, way: str
) -> None:
    engine: sa.Engine = getattr(postgresql, way)
    insert(engine)
    name = engine.url.database
    server = sa.create_engine(engine.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with server.connect() as operator:
        operator.exec_driver_sql(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        engine.dispose()
        assert fault_of(lambda: insert(engine)).reason == "is read-only at the moment"
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM things").scalar_one() == 3
        operator.exec_driver_sql("SET default_transaction_read_only = off")
        operator.exec_driver_sql(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    with contextlib.suppress(*database.FAULTS):
        # The pool's connection was read-only when it was opened, and is so for as long as it lives.
        insert(engine)
    insert(engine)


def test_a_transaction_that_is_read_only_is_a_passing_fault(postgresql: database.Engines) -> None:
    def write() -> None:
        with postgresql.transactions.begin() as connection:
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            connection.exec_driver_sql("DELETE FROM things")

    assert fault_of(write).reason == "is read-only at the moment"


def test_a_server_without_room_for_another_connection_is_a_passing_fault(
    postgresql: database.Engines, tmp_path: pathlib.Path
) -> None:
    url = postgresql.statements.url
    role = f"{url.database}_few"
    execute(postgresql.statements, f"CREATE ROLE \"{role}\" LOGIN PASSWORD 'few' CONNECTION LIMIT 1")
    try:
        few = url.set(username=role, password="few").render_as_string(hide_password=False)
        databases = database.Databases(settings.Settings(home=tmp_path, database_urls={ROLE: few}))
        with databases[ROLE].statements.connect() as first:
            first.exec_driver_sql("SELECT 1")
            fault_of(lambda: execute(databases[ROLE].relaxed, "SELECT 1"))
            fault_of(lambda: databases[ROLE].reader.one(sa.select(sa.literal(1).label("n")), {}))
        databases.dispose()
    finally:
        execute(postgresql.statements, f'DROP ROLE "{role}"')


def test_a_connection_that_the_server_ends_is_a_passing_fault(postgresql: database.Engines) -> None:
    def be_ended() -> None:
        with postgresql.transactions.begin() as connection:
            pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            execute(postgresql.statements, f"SELECT pg_terminate_backend({pid})")
            connection.exec_driver_sql("SELECT 1")

    assert fault_of(be_ended).reason == "can't be reached"


def test_transactions_that_cannot_be_serialized_are_a_passing_fault(postgresql: database.Engines) -> None:
    def collide() -> None:
        serializable = postgresql.transactions.execution_options(isolation_level="SERIALIZABLE")
        with serializable.begin() as first, serializable.begin() as second:
            for connection in (first, second):
                connection.exec_driver_sql("SELECT sum(id) FROM things")
            first.exec_driver_sql("UPDATE things SET id = 11 WHERE id = 1")
            first.commit()
            second.exec_driver_sql("UPDATE things SET id = 12 WHERE id = 1")

    assert fault_of(collide).reason == "is overloaded"


@pytest.mark.parametrize("settle", ["SET LOCAL lock_timeout = 50", "SET LOCAL statement_timeout = 50"])
def test_a_lock_that_is_not_given_in_time_is_a_passing_fault(postgresql: database.Engines, settle: str) -> None:
    def wait() -> None:
        with postgresql.transactions.begin() as holder, postgresql.transactions.begin() as waiter:
            holder.exec_driver_sql("UPDATE things SET name = 'c'")
            waiter.exec_driver_sql(settle)
            waiter.exec_driver_sql("UPDATE things SET name = 'd'")

    assert fault_of(wait).reason == "is overloaded"


def test_a_sqlite_file_that_may_not_grow_is_full(sqlite: database.Engines) -> None:
    @sa.event.listens_for(sqlite.transactions, "checkout")
    def limit(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute("PRAGMA max_page_count = 4")

    assert fault_of(lambda: insert(sqlite.transactions, 20)).reason == "has no room left"
    sa.event.remove(sqlite.transactions, "checkout", limit)
    with sqlite.transactions.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 100000")
    insert(sqlite.transactions, 20)


def test_a_sqlite_file_that_may_not_be_written_is_read_only(sqlite: database.Engines) -> None:
    @sa.event.listens_for(sqlite.statements, "checkout")
    def close(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute("PRAGMA query_only = ON")

    assert fault_of(lambda: insert(sqlite.statements)).reason == "is read-only at the moment"
    sa.event.remove(sqlite.statements, "checkout", close)
    insert(sqlite.statements)


def test_a_sqlite_file_that_another_writes_for_too_long_is_busy(sqlite: database.Engines) -> None:
    def wait() -> None:
        with sqlite.transactions.begin(), sqlite.statements.connect() as other:
            other.exec_driver_sql("PRAGMA busy_timeout = 10")
            other.exec_driver_sql("DELETE FROM things")

    assert fault_of(wait).reason == "is overloaded"


def test_a_sqlite_file_that_is_gone_cannot_be_reached(sqlite: database.Engines) -> None:
    path = database.sqlite_path(sqlite.statements.url)
    assert path is not None
    for file in path.parent.glob("role.sqlite3*"):
        file.unlink()
    assert fault_of(lambda: insert(sqlite.statements)).reason == "can't be reached"


def test_a_pool_without_a_free_connection_is_busy(tmp_path: pathlib.Path) -> None:
    engine = sa.create_engine(
        f"sqlite:///{tmp_path / 'small'}", poolclass=sa.QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.1
    )
    with engine.connect():
        assert fault_of(engine.connect).reason == "is overloaded"
    engine.dispose()


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM nothing",
        "SELECT nothing FROM things",
        "SELEC 1",
        "INSERT INTO things VALUES (1, 'again')",
        "UPDATE things SET id = NULL",
    ],
)
def test_a_mistake_of_ours_is_no_passing_fault(dialect: str, statement: str, request: pytest.FixtureRequest) -> None:
    engines: database.Engines = request.getfixturevalue(dialect)
    for engine in (engines.transactions, engines.statements, engines.relaxed):
        with pytest.raises(sqlalchemy.exc.DBAPIError) as caught:
            execute(engine, statement)
        assert not isinstance(caught.value, database.FAULTS)
        assert faults.find(caught.value) is None


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("25006", "is read-only at the moment"),
        ("53100", "has no room left"),
        ("53200", "is overloaded"),
        ("53300", "is overloaded"),
        ("57P01", "can't be reached"),
        ("57P03", "can't be reached"),
        ("40001", "is overloaded"),
        ("40P01", "is overloaded"),
        ("08006", "can't be reached"),
        (1040, "is overloaded"),
        (1021, "has no room left"),
        (1203, "is overloaded"),
        (2013, "can't be reached"),
        ("57000", None),
        ("23505", None),
        ("42P01", None),
        ("25001", None),
        ("54000", None),
        ("22021", None),
        (1064, None),
        (1290, None),
        (1045, None),
        ("", None),
        (None, None),
    ],
)
def test_codes_are_those_of_the_databases_manuals(code: str | int | None, reason: str | None) -> None:
    assert faults.of_code(code) == reason


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ESTALE])
def test_a_disk_that_is_full_read_only_or_failing_is_a_passing_fault(number: int) -> None:
    fault = faults.find(OSError(number, os.strerror(number), "/secret/path"))
    assert fault is not None
    assert fault.subject == "The disk"
    assert "secret" not in faults.to_error(fault).message


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "none"),
        PermissionError(errno.EACCES, "not yours"),
        OSError("without a number"),
        OSError(errno.EFBIG, "too large"),
        # What a user's source does says nothing of our own disks and databases.
        ConnectionResetError(errno.ECONNRESET, "gone"),
        TimeoutError("slow"),
        errors.RetryableError("not now"),
        ValueError("No space left on device"),
    ],
)
def test_other_errors_are_no_passing_faults(error: Exception) -> None:
    assert faults.find(error) is None


def raised(error: Exception, *, because: Exception, how: str) -> Exception:
    """Raise an error because of another, and catch it."""
    try:
        try:
            raise because
        except Exception as reason:
            if how == "from":
                raise error from reason
            if how == "from none":
                raise error from None
            raise error  # noqa: B904 - the case without `from`.
    except Exception as caught:  # noqa: BLE001 - it is what is to be tested.
        return caught


@pytest.mark.parametrize("how", ["from", "while"])
@pytest.mark.parametrize(
    "because", [OSError(errno.ENOSPC, "full"), store.StoreDownError(), sqlalchemy.exc.TimeoutError()], ids=repr
)
def test_the_fault_behind_an_error_is_found(because: Exception, how: str) -> None:
    wrapped = raised(errors.BadDataError("this can't be read as Parquet"), because=because, how=how)
    twice = raised(RuntimeError("the job failed"), because=wrapped, how=how)
    assert faults.find(twice) == faults.find(because) is not None


def test_an_error_that_stands_for_itself_hides_what_was_before() -> None:
    assert faults.find(raised(ValueError("no"), because=OSError(errno.ENOSPC, "full"), how="from none")) is None


def test_a_circle_of_causes_has_an_end() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert faults.find(first) is None
