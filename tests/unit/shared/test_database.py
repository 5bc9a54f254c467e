"""The engines of a role's database."""

import pathlib
import sqlite3

import pytest
import sqlalchemy as sa
import sqlalchemy.exc

from shared import database, errors, settings
from tests.unit.rig import PAST, ROLE, TENANT, Rig, new_job


def ask(engine: sa.Engine, question: str) -> str:
    """Ask the database for a setting."""
    with engine.connect() as connection:
        return str(connection.exec_driver_sql(question).scalar_one())


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("postgresql://me@host/millrace", "postgresql+psycopg://me@host/millrace_training"),
        ("postgres://me@host/{role}_db", "postgresql+psycopg://me@host/training_db"),
        ("postgresql+psycopg://me@host/{role}", "postgresql+psycopg://me@host/training"),
    ],
)
def test_a_template_gives_each_role_a_database_of_its_own(given: str, url: str) -> None:
    config = settings.Settings(database_url=given, database_urls={})
    assert database.url_of("training", config=config) == sa.make_url(url)


def test_a_role_may_have_a_url_of_its_own() -> None:
    config = settings.Settings(database_url="postgresql://host/all", database_urls={"training": "postgresql://b/own"})
    assert str(database.url_of("training", config=config)) == "postgresql+psycopg://b/own"
    assert str(database.url_of("ingestion", config=config)) == "postgresql+psycopg://host/all_ingestion"


def test_without_a_url_each_role_has_a_file_under_home(tmp_path: pathlib.Path) -> None:
    url = database.url_of("training", config=settings.Settings(home=tmp_path, database_url="", database_urls={}))
    assert database.sqlite_path(url) == tmp_path / "databases" / "training.sqlite3"


def test_a_missing_sqlite_file_is_a_fault_and_not_a_new_empty_database(tmp_path: pathlib.Path) -> None:
    databases = database.Databases(settings.Settings(home=tmp_path, database_url="", database_urls={}))
    unavailable = pytest.raises(errors.UnavailableError, match="database of training")
    with unavailable as caught, database.available("training"):
        ask(databases["training"].statements, "SELECT 1")
    assert caught.value.retry_after_seconds == 5
    databases.dispose()


def test_a_store_that_there_is_not_has_no_database(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="'nobody' has no database; these have: ingestion"):
        database.Databases(settings.Settings(home=tmp_path))["nobody"]


def test_other_errors_are_not_taken_for_an_outage() -> None:
    with pytest.raises(ZeroDivisionError), database.available("training"):
        raise ZeroDivisionError


def test_an_accept_and_an_end_are_durable_and_only_claims_and_beats_are_relaxed(engines: database.Engines) -> None:
    sqlite = engines.transactions.dialect.name == "sqlite"
    question = "PRAGMA synchronous" if sqlite else "SHOW synchronous_commit"
    durable, relaxed = ("2", "1") if sqlite else ("on", "off")
    assert ask(engines.transactions, question) == durable
    assert ask(engines.statements, question) == durable
    assert ask(engines.relaxed, question) == relaxed


def test_sqlite_keeps_a_log_that_readers_and_a_writer_share(sqlite_engines: database.Engines) -> None:
    assert ask(sqlite_engines.transactions, "PRAGMA journal_mode") == "wal"
    assert int(ask(sqlite_engines.transactions, "PRAGMA busy_timeout")) == 10_000


def test_single_statements_commit_by_themselves(rig: Rig) -> None:
    job = new_job()
    with rig.engines.statements.connect() as connection:
        rig.ledger.accept(connection, [job], ring_again_seconds=30)
        assert rig.row(job.id).tenant_id == TENANT
    with rig.engines.relaxed.connect() as connection:
        rig.ledger.claim(connection, job.id, owner="a", lease_seconds=60, max_run_seconds=60)
        assert rig.row(job.id).attempt == 1


def test_a_sqlite_transaction_holds_writers_off_from_its_beginning(sqlite_engines: database.Engines) -> None:
    path = database.sqlite_path(sqlite_engines.transactions.url)
    with sqlite_engines.transactions.begin() as connection:
        connection.exec_driver_sql("SELECT 1")
        other = sqlite3.connect(str(path).partition("?")[0], timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("DELETE FROM jobs")
        other.close()


def test_postgresql_gives_up_on_a_lock_in_time(postgresql_engines: database.Engines) -> None:
    assert ask(postgresql_engines.transactions, "SHOW lock_timeout") == "10s"
    for engine, seconds in (
        (postgresql_engines.transactions, "10s"),
        (postgresql_engines.statements, "10s"),
        (postgresql_engines.relaxed, "5s"),
    ):
        assert ask(engine, "SHOW statement_timeout") == seconds
        assert ask(engine, "SHOW idle_in_transaction_session_timeout") == seconds


def test_postgresql_compiles_no_query_that_reads_a_whole_table(postgresql_engines: database.Engines) -> None:
    for engine in (postgresql_engines.transactions, postgresql_engines.statements, postgresql_engines.relaxed):
        with engine.connect() as connection:
            plan = connection.exec_driver_sql("EXPLAIN ANALYZE SELECT * FROM workers WHERE seen_at > 1").scalars().all()
        assert "Execution Time" in plan[-1]
        assert not [line for line in plan if "JIT" in line], plan


def test_documents_come_back_as_they_went_in(rig: Rig) -> None:
    params = {"text": "é\u2028𝄞", "float": 1e-300, "big": 2**53, "nested": [None, True, {"a": []}], "empty": {}}
    job_id = rig.put(params=params)
    assert rig.row(job_id).params == params
    assert rig.row(job_id).result is None


def test_a_database_of_one_role_knows_nothing_of_the_others(tmp_path: pathlib.Path) -> None:
    for name in (ROLE, "training"):
        sqlite3.connect(tmp_path / name).close()
    urls = {name: f"sqlite:///file:{tmp_path / name}?mode=rw&uri=true" for name in (ROLE, "training")}
    databases = database.Databases(settings.Settings(home=tmp_path, database_urls=urls))
    with databases[ROLE].transactions.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE mine AS SELECT {PAST} AS one")
    with pytest.raises(sqlalchemy.exc.ProgrammingError) as caught:
        ask(databases["training"].statements, "SELECT one FROM mine")
    assert "no such table" in f"{caught.value.orig}"
    assert databases[ROLE] is databases[ROLE]
    databases.dispose()
