"""What a query leaves running on its server when nobody waits for it any more."""

import contextlib
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from shared import errors, settings
from shared.ingestion import sources
from tests import servers_mariadb, servers_postgres
from tests.conftest import open_or_skip
from tests.unit.ingestion.sources import named
from tests.unit.ingestion.sources.logins import login
from workers.guard import Stop
from workers.ingestion.limits import Limits
from workers.ingestion.sources import server_sessions, sql

pytestmark = [
    pytest.mark.slow,
    pytest.mark.servers,
    # A cursor is dropped with its connection, which is gone, when a query is stopped.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

PATIENCE_SECONDS = 20.0
MARK = f"endless_{secrets.token_hex(6)}"
"""What tells the tests' queries from all others of the server."""

ListQueries = Callable[[], list[Any]]


class Server:
    """A database in which the tests' queries run: its URL, how to see them, and a query that takes very long."""

    def __init__(self, url: str, *, endless: str, list_queries: ListQueries) -> None:
        """Keep them."""
        self.url, self.endless, self._list_queries = url, endless, list_queries

    def is_running(self) -> bool:
        """Tell whether the server still works on a query of ours."""
        return bool(self._list_queries())

    def await_running(self, expected: bool) -> bool:
        """Wait until the server works, or no longer works, on a query of ours; return whether it came to that."""
        until = time.monotonic() + PATIENCE_SECONDS
        while self.is_running() != expected and time.monotonic() < until:
            time.sleep(0.05)
        return self.is_running() == expected


@pytest.fixture
def postgresql(postgres: servers_postgres.Postgres) -> Iterator[Server]:
    """Find PostgreSQL, with a login that may only read."""
    url = postgres.create_database().replace("+psycopg", "")
    # By the login, since rows are fetched by statements that don't say what the query was.
    look = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND usename = %s"
    endless = f"SELECT count(*) AS {MARK} FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b"
    with login(url) as reader:

        def list_queries() -> list[Any]:
            with psycopg.connect(url, autocommit=True) as connection:
                return connection.execute(look, [sa.make_url(reader).username]).fetchall()

        yield Server(reader, endless=endless, list_queries=list_queries)


@pytest.fixture
def mariadb() -> Iterator[Server]:
    """Find MariaDB, with a login that may read one database and nothing else."""
    look = f"SELECT 1 FROM information_schema.processlist WHERE id <> connection_id() AND info LIKE '%{MARK}%'"
    columns = ", ".join(f"information_schema.columns c{number}" for number in range(4))
    with open_or_skip(servers_mariadb.find) as server:
        word = secrets.token_hex(8)
        server.run(f"CREATE USER {MARK}@'%' IDENTIFIED BY '{word}'", f"GRANT SELECT ON {server.name}.* TO {MARK}@'%'")
        url = sa.make_url(server.url).set(username=MARK, password=word)
        yield Server(
            url.render_as_string(hide_password=False),
            endless=f"SELECT count(*) AS {MARK} FROM {columns}",
            list_queries=lambda: server.run(look),
        )
        server.run(f"DROP USER {MARK}@'%'")


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> Server:
    """Yield a server."""
    found: Server = request.getfixturevalue(request.param)
    return found


def fetch(config: settings.Settings, query: str, scratch: Path, **options: Any) -> int:
    source = sources.SqlSource(type="sql", connection="warehouse", query=query)
    options = {"limits": Limits(), **options}
    return sql.fetch(source, tenant_id="default", scratch=scratch, config=config, **options).rows or 0


@contextlib.contextmanager
def stopped_once(server: Server) -> Iterator[None]:
    """Raise Stop in this thread, as a worker's guard does, once the server works on the query.

    Python drops what is raised in a finalizer, so it is raised anew where the query goes on.
    """
    is_over = threading.Event()

    def stop(_number: int, _frame: object) -> None:
        raise Stop

    def watch() -> None:
        while not is_over.is_set() and server.await_running(expected=True):
            os.kill(os.getpid(), signal.SIGUSR1)
            is_over.wait(PATIENCE_SECONDS)

    before = signal.signal(signal.SIGUSR1, stop)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        is_over.set()
        watcher.join()
        signal.signal(signal.SIGUSR1, before)


def test_a_stopped_query_ends_on_its_server(server: Server, tmp_path: Path, scratch: Path) -> None:
    config = named.database(tmp_path, server.url, ingestion_source_seconds=600)
    with pytest.raises(Stop), stopped_once(server):
        fetch(config, server.endless, scratch)
    assert server.await_running(expected=False)


def test_rows_beyond_a_limit_end_the_query_on_its_server(server: Server, tmp_path: Path, scratch: Path) -> None:
    config = named.database(tmp_path, server.url, ingestion_source_seconds=600)
    rows = server.endless.replace("count(*) AS", "1 AS")
    with pytest.raises(errors.LimitExceededError, match="rows"):
        fetch(config, rows, scratch, limits=Limits(rows=15_000))
    assert server.await_running(expected=False)


def test_a_server_that_is_gone_is_not_waited_for_and_no_secret_is_logged(
    server: Server, tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = server_sessions.end

    def end_elsewhere(session: server_sessions.Session, *, url: sa.URL, name: str) -> None:
        end(session, url=url.set(port=1), name=name)

    monkeypatch.setattr(server_sessions, "end", end_elsewhere)
    config = named.database(tmp_path, server.url, ingestion_source_seconds=600)
    logged: list[dict[str, Any]] = []
    monkeypatch.setattr(
        server_sessions._log, "warning", lambda event, **fields: logged.append({"event": event, **fields})
    )
    with pytest.raises(errors.PermanentError):
        fetch(config, "SELECT nothing FROM nowhere", scratch)
    [line] = logged
    assert line.keys() == {"event", "connection", "error"}
    assert line["event"] == "query_not_ended"
    secret = sa.make_url(server.url)
    assert not any(word and word in str(line) for word in (secret.username, secret.password))


def test_the_session_of_another_server_is_left_alone(server: Server) -> None:
    url = sa.make_url(server.url)
    engine = sa.create_engine(
        url.set(drivername="mysql+pymysql" if url.drivername == "mysql" else "postgresql+psycopg")
    )
    try:
        with engine.connect() as connection:
            session = server_sessions.describe(connection)
            assert session is not None
            other = server_sessions.Session(session.number, "another server")
            server_sessions.end(other, url=engine.url, name="warehouse")
            assert connection.execute(sa.text("SELECT 1")).scalar() == 1
            server_sessions.end(session, url=engine.url, name="warehouse")
            with pytest.raises(sa.exc.DBAPIError):
                connection.execute(sa.text("SELECT 1"))
            connection.invalidate()
    finally:
        engine.dispose()
