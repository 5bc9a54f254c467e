"""Connections to PostgreSQL behind a hop that acknowledges everything and answers nothing."""

import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
import sqlalchemy as sa
import sqlalchemy.exc

from shared import bounded, database, errors, settings
from tests import servers_postgres
from tests.silent_proxy import Lost, SilentProxy
from tests.unit.rig import ROLE

pytestmark = pytest.mark.servers

STATEMENT_SECONDS = 1.0
LIMIT_SECONDS = 1.2
PATIENCE_SECONDS = 3 * LIMIT_SECONDS
"""For a machine that others use as well."""
_ONE = sa.select(sa.literal(1).label("one"))


@pytest.fixture(autouse=True)
def nothing_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no other test's silence count."""
    monkeypatch.setattr(bounded, "_silent_at", {})


@pytest.fixture
def proxy(postgres: servers_postgres.Postgres) -> Iterator[SilentProxy]:
    """Yield a proxy before PostgreSQL."""
    parameters = psycopg.conninfo.conninfo_to_dict(postgres.admin_url)
    with SilentProxy(str(parameters.get("host") or "127.0.0.1"), int(parameters.get("port") or 5432)) as proxy:
        yield proxy


@pytest.fixture
def databases(postgres: servers_postgres.Postgres, proxy: SilentProxy) -> Iterator[database.Databases]:
    """Yield databases behind the proxy."""
    url = sa.make_url(postgres.url("postgres")).set(host="127.0.0.1", port=proxy.port)
    config = settings.Settings(
        database_urls={ROLE: url.render_as_string(hide_password=False)}, statement_seconds=STATEMENT_SECONDS
    )
    databases = database.Databases(config)
    yield databases
    databases.dispose()


def engine_of(databases: database.Databases, name: str) -> sa.Engine:
    engine: sa.Engine = getattr(databases[ROLE], name)
    return engine


def ask(engine: sa.Engine, question: str = "SELECT 1") -> object:
    with engine.connect() as connection:
        return connection.exec_driver_sql(question).scalar_one()


def seconds_to_fail(act: Callable[[], object]) -> float:
    """Tell how long something took to fail as databases fail."""
    began = time.monotonic()
    with pytest.raises(database.FAULTS):
        act()
    return time.monotonic() - began


@pytest.mark.parametrize("name", ["transactions", "statements", "relaxed"])
@pytest.mark.parametrize("lost", ["all", "answers"])
def test_a_statement_that_nobody_answers_ends_and_the_next_one_is_answered(
    databases: database.Databases, proxy: SilentProxy, name: str, lost: Lost
) -> None:
    engine = engine_of(databases, name)
    assert ask(engine) == 1
    assert proxy.silence(lost) == 1
    limit = LIMIT_SECONDS / 2 if name == "relaxed" else LIMIT_SECONDS
    assert limit * 0.9 < seconds_to_fail(lambda: ask(engine)) < 3 * limit
    began = time.monotonic()
    assert ask(engine) == 1
    assert time.monotonic() - began < limit, "a new connection was used"


def test_a_commit_that_nobody_answers_ends(databases: database.Databases, proxy: SilentProxy) -> None:
    engine = databases[ROLE].transactions

    def commit() -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql("SELECT 1")
            proxy.silence()

    assert seconds_to_fail(commit) < PATIENCE_SECONDS
    assert ask(engine) == 1


def test_a_rollback_that_nobody_answers_ends(databases: database.Databases, proxy: SilentProxy) -> None:
    engine = databases[ROLE].transactions

    def break_off() -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql("SELECT 1")
            proxy.silence()
            raise ZeroDivisionError

    assert seconds_to_fail(break_off) < PATIENCE_SECONDS
    assert ask(engine) == 1


def test_a_large_statement_that_nobody_takes_ends(databases: database.Databases, proxy: SilentProxy) -> None:
    engine = databases[ROLE].statements
    assert ask(engine) == 1
    proxy.silence()
    assert seconds_to_fail(lambda: ask(engine, f"SELECT length('{'x' * 20_000_000}')")) < PATIENCE_SECONDS


def test_one_silent_connection_makes_all_older_ones_suspect(databases: database.Databases, proxy: SilentProxy) -> None:
    engines = databases[ROLE]
    for engine in (engines.transactions, engines.statements, engines.relaxed):
        assert ask(engine) == 1
    assert engines.reader.one(_ONE, {}).one == 1
    assert proxy.silence() >= 3
    seconds_to_fail(lambda: ask(engines.relaxed))
    began = time.monotonic()
    for engine in (engines.transactions, engines.statements, engines.relaxed):
        assert ask(engine) == 1
    assert engines.reader.one(_ONE, {}).one == 1
    assert time.monotonic() - began < LIMIT_SECONDS / 2, "none of them waited for a silent connection"


def test_a_reader_answers_by_a_new_connection_when_its_own_is_silent(
    databases: database.Databases, proxy: SilentProxy
) -> None:
    reader = databases[ROLE].reader
    assert reader.one(_ONE, {}).one == 1
    proxy.silence()
    began = time.monotonic()
    assert reader.one(_ONE, {}).one == 1
    assert time.monotonic() - began < PATIENCE_SECONDS


@pytest.mark.parametrize("name", ["transactions", "statements"])
def test_a_connection_that_was_idle_is_asked_before_it_is_used(
    databases: database.Databases, proxy: SilentProxy, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "_IDLE_SECONDS", 0.1)
    monkeypatch.setattr(bounded, "_ANSWER_SECONDS", 0.3)
    engine = engine_of(databases, name)
    session = ask(engine, "SELECT pg_backend_pid()")
    time.sleep(0.2)
    assert ask(engine, "SELECT pg_backend_pid()") == session
    time.sleep(0.2)
    proxy.silence()
    assert ask(engine, "SELECT pg_backend_pid()") != session
    with engine.begin() as connection:
        # Being asked has left it as it was: what is not committed is not there.
        is_open = connection.exec_driver_sql("SELECT txid_current_if_assigned() IS NULL").scalar_one()
        assert is_open
        assert connection.connection.driver_connection.autocommit is (name == "statements")  # type: ignore[union-attr]


def test_a_server_that_accepts_connections_and_says_nothing_is_not_waited_for(
    databases: database.Databases, proxy: SilentProxy
) -> None:
    engine = databases[ROLE].statements
    assert ask(engine) == 1
    proxy.silence(new_too=True)
    seconds_to_fail(lambda: ask(engine))
    assert seconds_to_fail(lambda: ask(engine)) < 3 * bounded.CONNECT_SECONDS
    proxy.heal()
    assert ask(engine) == 1


def test_a_statement_that_is_merely_slow_is_ended_by_the_server_and_costs_no_connection(
    databases: database.Databases,
) -> None:
    engine = databases[ROLE].statements
    session = ask(engine, "SELECT pg_backend_pid()")
    with pytest.raises(sqlalchemy.exc.OperationalError) as ended:
        ask(engine, "SELECT pg_sleep(20)")
    assert "statement timeout" in f"{ended.value.orig}"
    assert ask(engine, "SELECT pg_backend_pid()") == session


def test_an_error_of_silence_shows_no_address(databases: database.Databases, proxy: SilentProxy) -> None:
    engine = databases[ROLE].relaxed
    assert ask(engine) == 1
    proxy.silence()
    with pytest.raises(sqlalchemy.exc.OperationalError) as caught:
        ask(engine)
    assert isinstance(caught.value.orig, bounded.SilentError)
    assert str(proxy.port) not in str(caught.value.orig)


def test_a_client_is_told_that_what_was_asked_may_be_done_after_all(
    databases: database.Databases, proxy: SilentProxy
) -> None:
    engine = databases[ROLE].statements
    assert ask(engine) == 1
    proxy.silence("answers")
    with pytest.raises(errors.UnavailableError, match="may or may not have done") as caught, database.available(ROLE):
        ask(engine)
    assert caught.value.retry_after_seconds
