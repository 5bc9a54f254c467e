"""Reads of one row: the same on both databases, and whatever becomes of a connection that is kept."""

import concurrent.futures
import dataclasses
import pathlib

import pytest
import sqlalchemy as sa
import sqlalchemy.exc

from shared import database, reads, settings
from shared.jobs import views
from tests.unit.rig import ROLE, Rig

_ONE = sa.select(sa.literal(1).label("one"), sa.bindparam("given", type_=sa.String).label("given"))
_SESSION = sa.select(sa.func.pg_backend_pid().label("pid"))
_TWO = sa.union_all(sa.select(sa.literal(1).label("one")), sa.select(sa.literal(2)))


@pytest.fixture
def rig(postgresql_engines: database.Engines) -> Rig:
    """Yield the ledger on PostgreSQL, whose driver is used directly."""
    return Rig(postgresql_engines)


def session_of(reader: reads.Reader) -> int:
    """Tell which session of PostgreSQL answers."""
    return int(reader.one(_SESSION, {}).pid)


def end(rig: Rig, session: int) -> None:
    """End a session of PostgreSQL, as its restart would."""
    rig.run(lambda connection: connection.execute(sa.select(sa.func.pg_terminate_backend(session))))


def test_a_row_is_read_as_sqlalchemy_reads_it(engines: database.Engines) -> None:
    rig = Rig(engines)
    job_id = rig.put(params={"name": "Zoë", "many": [1, 2.5, None]}, tags=["a"])
    with engines.statements.connect() as connection:
        row = connection.execute(views._select_job(), {"job_id": job_id, "tenant": "acme"}).one()
    assert dataclasses.asdict(rig.show(job_id)) == {**row._asdict(), "children": None}
    assert rig.show("ingestion_none") is None


def test_one_session_answers_reader_after_reader(rig: Rig) -> None:
    reader = reads.Reader(rig.engines.statements)
    assert len({session_of(reader) for _ in range(5)}) == 1
    reader.dispose(close=True)


def test_a_session_that_was_ended_is_let_go(rig: Rig) -> None:
    reader = reads.Reader(rig.engines.statements)
    ended = session_of(reader)
    end(rig, ended)
    assert reader.one(_ONE, {"given": "a"}) == (1, "a")
    assert session_of(reader) != ended
    reader.dispose(close=True)


def test_a_database_that_is_away_is_said_as_sqlalchemy_says_it(tmp_path: pathlib.Path) -> None:
    url = "postgresql+psycopg://nobody@127.0.0.1:1/none"
    databases = database.Databases(settings.Settings(home=tmp_path, database_urls={ROLE: url}))
    with pytest.raises(sqlalchemy.exc.OperationalError):
        databases[ROLE].reader.one(_ONE, {"given": "a"})


def test_many_rows_are_refused(engines: database.Engines) -> None:
    with pytest.raises(sqlalchemy.exc.MultipleResultsFound):
        engines.reader.one(sa.select(_TWO.subquery()), {})


def test_readers_at_once_keep_few_sessions(rig: Rig) -> None:
    reader = reads.Reader(rig.engines.statements)
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        given = [str(number) for number in range(400)]
        assert [row.given for row in threads.map(lambda each: reader.one(_ONE, {"given": each}), given)] == given
    assert 1 <= len(reader._idle) < 16
    kept = list(reader._idle)
    reader.dispose(close=True)
    assert all(connection.closed for connection in kept)


def test_a_forked_process_leaves_its_parents_sessions_open(rig: Rig) -> None:
    reader = reads.Reader(rig.engines.statements)
    session_of(reader)
    (kept,) = reader._idle
    reader.dispose(close=False)
    assert not reader._idle
    assert not kept.closed
    kept.close()
