"""A job's lines: kept by who has the job, in order, as many as may be, and read by its tenant alone."""

from typing import Any

import pytest
import sqlalchemy as sa
import sqlalchemy.exc

from shared import database
from shared.jobs import log_lines, tables
from shared.jobs.states import State
from tests.unit.rig import TENANT, Rig, empty


def line(place: int, message: str = "told", *, age_ms: int = 0) -> log_lines.Line:
    return log_lines.Line(place, age_ms, "info", message, {"n": place})


def source(job_id: str, *, claim: int = 1, attempt: int = 1) -> log_lines.Source:
    return log_lines.Source(job_id, TENANT, claim, attempt)


def read(
    rig: Rig, job_id: str, *, after: int = 0, limit: int = 10_000, attempt: int | None = None
) -> list[sa.Row[Any]]:
    page = rig.run(log_lines.read, job_id, tenant_id=TENANT, after=after, limit=limit, attempt=attempt)
    assert page.job is not None
    return list(page.lines)


def said(rows: list[sa.Row[Any]]) -> list[tuple[int, str]]:
    return [(row.attempt, row.message) for row in rows]


def test_lines_are_read_in_their_order_behind_a_number_and_by_attempt(rig: Rig) -> None:
    job_id, other = rig.put_running(), rig.put_running()
    rig.run(log_lines.append, source(job_id, claim=11, attempt=2), [line(1, "c")])
    rig.run(log_lines.append, source(job_id, claim=2), [line(10, "b"), line(9, "a")])
    rig.run(log_lines.append, source(other), [line(1, "other")])
    rows = read(rig, job_id)
    assert said(rows) == [(1, "a"), (1, "b"), (2, "c")]
    assert [row.fields for row in rows] == [{"n": 9}, {"n": 10}, {"n": 1}]
    assert said(read(rig, job_id, after=rows[0].number)) == [(1, "b"), (2, "c")]
    assert said(read(rig, job_id, limit=1)) == [(1, "a")]
    assert said(read(rig, job_id, attempt=2)) == [(2, "c")]


def test_nobody_else_reads_them(rig: Rig) -> None:
    job_id = rig.put_running()
    rig.run(log_lines.append, source(job_id), [line(1)])
    page = rig.run(log_lines.read, job_id, tenant_id="another", after=0, limit=10, attempt=None)
    assert (page.job, page.lines) == (None, [])


def test_a_line_that_is_written_twice_is_there_once(rig: Rig) -> None:
    job_id = rig.put_running()
    for last in (1, 2):
        rig.run(log_lines.append_while_running, source(job_id), [line(place) for place in range(last + 1)])
    assert [row.fields["n"] for row in read(rig, job_id)] == [0, 1, 2]


def test_the_time_of_a_line_is_the_databases(rig: Rig) -> None:
    job_id = rig.put_running()
    rig.run(log_lines.append, source(job_id), [line(1, age_ms=50_000)])
    [row] = read(rig, job_id)
    assert 49_000 < rig.row(job_id).started_at - row.at <= 50_000


@pytest.mark.parametrize(
    "changes", [{"attempt": 2}, {"state": State.QUEUED}, {"state": State.FAILED}, {"tenant_id": "another"}], ids=str
)
def test_who_no_longer_has_the_job_adds_nothing_to_it(rig: Rig, changes: dict[str, object]) -> None:
    job_id = rig.put_running()
    rig.change(job_id, **changes)
    rig.run(log_lines.append_while_running, source(job_id), [line(1)])
    assert rig.run(lambda connection: connection.execute(sa.select(tables.job_logs)).all()) == []


def test_a_job_stays_its_workers_until_its_lines_are_there(postgresql_engines: database.Engines) -> None:
    empty(postgresql_engines)
    rig = Rig(postgresql_engines)
    job_id = rig.put_running()
    take = sa.text("SELECT 1 FROM jobs WHERE id = :id FOR UPDATE NOWAIT").bindparams(id=job_id)
    with rig.engines.transactions.begin() as connection:
        log_lines.append_while_running(connection, source(job_id), [line(1)])
        with pytest.raises(sqlalchemy.exc.OperationalError):
            rig.run(lambda other: other.execute(take))
    rig.run(lambda other: other.execute(take))


def test_a_lost_worker_is_noted_behind_what_it_had_written(rig: Rig) -> None:
    job_id = rig.put_running()
    rig.change(job_id, attempt=5, turns=3)
    rig.run(log_lines.append, source(job_id, claim=5, attempt=2), [line(1)])
    for _ in range(2):
        rig.run(log_lines.note_losses, [job_id])
    rig.run(log_lines.append, source(job_id, claim=6, attempt=3), [line(0, "job_started")])
    assert said(read(rig, job_id)) == [(2, "told"), (2, "job_worker_lost"), (3, "job_started")]


def test_the_oldest_lines_go_and_who_has_not_read_them_is_told_how_many(rig: Rig) -> None:
    job_id, other = rig.put_running(), rig.put_running()
    rig.run(log_lines.append, source(other), [line(1)])
    most = log_lines.KEPT_CLAIMS * log_lines.MAX_LINES
    rig.run(log_lines.append, source(job_id), [line(place) for place in range(1, most + 1)])
    rig.run(log_lines.trim, tenant_id=TENANT, job_id=job_id)
    assert len(read(rig, job_id)) == most
    for claim in (2, 3):
        rig.run(log_lines.append, source(job_id, claim=claim, attempt=claim), [line(place) for place in range(1, 11)])
        rig.run(log_lines.trim, tenant_id=TENANT, job_id=job_id)
    first, *rest = read(rig, job_id)
    assert (first.message, first.fields, len(rest)) == ("earlier_lines_dropped", {"dropped": 20}, most)
    assert rest[0].number == first.number + 1
    assert said(read(rig, other)) == [(1, "told")]


def test_long_lines_are_counted_by_their_bytes(rig: Rig) -> None:
    job_id = rig.put_running()
    rig.run(log_lines.append, source(job_id), [line(place, "x" * 1_000) for place in range(1, 401)])
    rig.run(log_lines.trim, tenant_id=TENANT, job_id=job_id)
    first, *rest = read(rig, job_id)
    assert 300_000 < sum(len(row.message) for row in rest) <= log_lines.KEPT_CLAIMS * log_lines.MAX_BYTES
    assert first.fields == {"dropped": 400 - len(rest)}
