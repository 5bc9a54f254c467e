"""Old jobs are deleted once nothing names them: oldest first, some at a time."""

import functools
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from shared import settings
from shared.ingestion import tables as ingestion_tables
from shared.jobs import expiry, log_lines, outbox, tables
from shared.jobs.states import State
from sweeper import expire
from tests.unit.rig import FUTURE, PAST, ROLE, TENANT, Rig

DAY = 86_400.0


def put_old(rig: Rig, *, state: State = State.SUCCEEDED, **values: object) -> str:
    """Put a job that ended long ago and that nothing names; returns its id."""
    job_id = rig.put(tags=["old"])
    rig.change(job_id, **{"state": state, "created_at": PAST, "finished_at": PAST, "announce_after": None} | values)
    return job_id


def delete(rig: Rig, *, after: str = "", limit: int = 100) -> expiry.Batch:
    """Delete a batch of what ended more than a day ago."""
    with rig.engines.statements.connect() as connection:
        naming = expiry.naming_columns(connection)
    batch: expiry.Batch = rig.run(expiry.delete_batch, after=after, retention_seconds=DAY, naming=naming, limit=limit)
    return batch


def test_the_tables_that_name_jobs_are_found(rig: Rig) -> None:
    with rig.engines.statements.connect() as connection:
        naming = expiry.naming_columns(connection)
    names = {str(column.table) for column in naming if isinstance(column, sa.ColumnClause)}
    assert names >= {"dataset_versions", "dataset_locks", "lineage_edges"}
    assert not names & {"job_tags", "job_logs"}


def test_the_lines_of_a_deleted_job_go_with_it_and_others_stay(rig: Rig) -> None:
    old, new = put_old(rig), rig.put()
    for job_id, tenant in ((old, TENANT), (new, TENANT), (old, "another")):
        line = log_lines.Line(1, 0, "info", "told", {})
        rig.run(log_lines.append, log_lines.Source(job_id, tenant, 1, 1), [line])
    assert delete(rig).deleted_ids == [old]
    logs = tables.job_logs.c
    with rig.engines.statements.connect() as connection:
        kept = connection.execute(sa.select(logs.job_id, logs.tenant_id)).all()
    assert {tuple(row) for row in kept} == {(new, TENANT), (old, "another")}


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED, State.DEAD])
def test_an_old_job_that_nothing_names_is_deleted_with_its_tags(rig: Rig, state: State) -> None:
    job_id, new = put_old(rig, state=state), rig.put(tags=["old"])
    assert delete(rig).deleted_ids == [job_id]
    with rig.engines.statements.connect() as connection:
        assert list(connection.execute(sa.select(tables.jobs.c.id)).scalars()) == [new]
        assert list(connection.execute(sa.select(tables.job_tags.c.job_id)).scalars()) == [new]


def name_by_retry(rig: Rig, job_id: str) -> None:
    """Retry it."""
    rig.put(retry_of=job_id)


def name_by_version(rig: Rig, job_id: str) -> None:
    """Let it have made a version."""
    attempt = rig.row(job_id).attempt
    rig.change(job_id, state=State.RUNNING, lease_until=FUTURE)
    assert rig.finish(job_id, attempt=attempt)
    rig.change(job_id, finished_at=PAST, announce_after=None)


def name_by_lock(rig: Rig, job_id: str) -> None:
    """Let it hold a dataset's lock."""
    lock = {"tenant_id": TENANT, "name": "d", "job_id": job_id}
    rig.run(lambda connection: connection.execute(sa.insert(ingestion_tables.locks), lock))


def name_by_event(rig: Rig, job_id: str) -> None:
    """Let an event that is not published yet be about it."""
    rig.run(outbox.put, [outbox.Event("job.noted", job_id, TENANT, {})])


def name_by_live_child(rig: Rig, job_id: str) -> None:
    """Let it have a child that has not ended."""
    rig.put(parent_id=job_id)


def change(rig: Rig, job_id: str, **values: object) -> None:
    """Change its row."""
    rig.change(job_id, **values)


@pytest.mark.parametrize(
    "act",
    [
        name_by_retry,
        name_by_version,
        name_by_lock,
        name_by_event,
        name_by_live_child,
        functools.partial(change, idempotency_key="k"),
        functools.partial(change, announce_after=PAST),
        functools.partial(change, finished_at=FUTURE),
        functools.partial(change, state=State.RUNNING),
        functools.partial(change, state=State.QUEUED, finished_at=PAST),
    ],
)
def test_a_job_that_is_needed_is_kept(rig: Rig, act: Callable[[Rig, str], None]) -> None:
    needed, other = put_old(rig), put_old(rig)
    act(rig, needed)
    assert delete(rig).deleted_ids == [other]


@pytest.mark.parametrize("parent_state", [State.QUEUED, State.RUNNING, State.SUCCEEDED])
def test_a_child_is_kept_as_long_as_its_parent(rig: Rig, parent_state: State) -> None:
    parent = put_old(rig, state=parent_state)
    child = put_old(rig, parent_id=parent)
    name_by_event(rig, parent)
    assert delete(rig).deleted_ids == []
    rig.change(parent, state=State.SUCCEEDED)
    rig.run(lambda connection: connection.execute(sa.delete(tables.outbox)))
    assert delete(rig).deleted_ids == [parent]
    assert delete(rig).deleted_ids == [child]
    assert delete(rig).deleted_ids == []


def test_the_oldest_go_first_and_a_batch_goes_on_behind_what_is_kept(rig: Rig) -> None:
    jobs = [put_old(rig) for _ in range(6)]
    for kept in jobs[:2]:
        name_by_retry(rig, kept)
    first = delete(rig, limit=3)
    assert (first.last_id, first.deleted_ids) == (jobs[2], [jobs[2]])
    second = delete(rig, after=jobs[2], limit=3)
    assert (second.last_id, second.deleted_ids) == (jobs[5], jobs[3:])
    assert delete(rig, after=jobs[5], limit=3) == expiry.Batch(None, [])


@pytest.mark.parametrize(("days", "left"), [(1.0, 0), (0.0, 3)])
def test_the_chore_deletes_all_in_the_end_and_nothing_by_default(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, days: float, left: int
) -> None:
    monkeypatch.setattr(expire, "_BATCH_SIZE", 2)
    assert settings.Settings().job_retention_days == 0
    for _ in range(3):
        put_old(rig)
    chore = expire.Expire(ROLE, rig.engines, config=settings.Settings(job_retention_days=days))
    for _ in range(4):
        chore.do()
    with rig.engines.statements.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(tables.jobs)).scalar_one() == left
