"""The rows of runs, on both databases: who is woken, and what is wound up by whom."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from shared import clock, database, ids
from shared.jobs import ledger, tables
from shared.jobs.states import State
from shared.orchestration import runs
from shared.orchestration.language.runs import Instance
from shared.orchestration.runs import Place
from shared.orchestration.tables import run_steps
from shared.orchestration.tables import runs as run_table

WIND_UP = "orchestration.wind_up"


@pytest.fixture
def role(engines: database.Engines) -> Iterator[database.Engines]:
    """Yield a database with the tables of runs, which are gone afterwards."""
    run_table.metadata.create_all(engines.transactions, tables=[run_table, run_steps])
    yield engines
    run_table.metadata.drop_all(engines.transactions, tables=[run_table, run_steps])


def begin(role: database.Engines, *, tenant_id: str = "a", story: str = "story") -> str:
    job = ledger.NewJob(
        id=ids.new_job_id("orchestration"), tenant_id=tenant_id, kind="orchestration.run", params={}, pinned={},
        submitted_by="key_1", tries_left=3,
    )  # fmt: skip
    with role.transactions.begin() as connection:
        ledger.accept(connection, [job], ring_again_seconds=0)
        runs.begin(
            connection, id=job.id, tenant_id=tenant_id, pipeline="p", version=1, document={}, params={},
            created_by="key_1", correlation_id=story, conducted_by=job.id,
        )  # fmt: skip
    return job.id


def change(role: database.Engines, job_id: str, **values: Any) -> None:
    with role.transactions.begin() as connection:
        connection.execute(sa.update(tables.jobs).where(tables.jobs.c.id == job_id).values(**values))


def read(role: database.Engines, job_id: str) -> Any:
    with role.statements.connect() as connection:
        return connection.execute(sa.select(tables.jobs).where(tables.jobs.c.id == job_id)).one()


def wind_up(role: database.Engines) -> list[str]:
    with role.transactions.begin() as connection:
        return runs.wind_up_abandoned(connection, kind=WIND_UP)


def test_the_runs_of_a_story_are_woken_and_no_others(role: database.Engines) -> None:
    mine, same, other, ended, failing = (begin(role, story=story) for story in ("s", "s", "t", "s", "s"))
    far = 10**15
    for job_id in (mine, same, other):
        change(role, job_id, run_after=far, ring_after=far)
    change(role, ended, state=State.SUCCEEDED)
    change(role, failing, run_after=far, error_type="RetryableError")
    with role.transactions.begin() as connection:
        assert runs.wake_runs(connection, [("a", "s"), ("a", "unknown"), ("b", "s")]) == 3
    found = {job_id: read(role, job_id) for job_id in (mine, same, other, ended, failing)}
    assert [found[each].wakes for each in (mine, same, other, ended, failing)] == [1, 1, 0, 0, 1]
    assert max(found[mine].run_after, found[mine].ring_after) < far
    assert (found[other].run_after, found[failing].run_after) == (far, far)


def test_a_run_is_wound_up_once_it_has_ended_before_its_steps(role: database.Engines) -> None:
    going, cancelled, finished = begin(role), begin(role, tenant_id="b"), begin(role)
    change(role, cancelled, state=State.CANCELLED, finished_at=0)
    change(role, finished, state=State.SUCCEEDED, finished_at=0)
    with role.transactions.begin() as connection:
        runs.update(connection, finished, tenant_id="a", ended_at=1)
        runs.update(connection, cancelled, tenant_id="a", ended_at=1)
    assert wind_up(role) == [cancelled]
    assert wind_up(role) == []
    with role.statements.connect() as connection:
        run = runs.find(connection, cancelled, tenant_id="b")
        assert run is not None
        assert runs.find(connection, cancelled, tenant_id="a") is None
    job = read(role, run.conducted_by)
    assert (job.kind, job.tenant_id, job.params, job.submitted_by) == (WIND_UP, "b", {"run": cancelled}, "key_1")
    with role.transactions.begin() as connection:
        assert runs.wake_runs(connection, [("a", "story"), ("b", "story")]) == 2
    assert read(role, run.conducted_by).wakes == read(role, going).wakes == 1
    # One that couldn't do it is followed by another after a while, and by no one before.
    with role.statements.connect() as connection:
        now = connection.execute(sa.select(clock.now_ms())).scalar_one()
    change(role, run.conducted_by, state=State.FAILED, finished_at=now)
    assert wind_up(role) == []
    change(role, run.conducted_by, finished_at=now - 120_000)
    assert wind_up(role) == [cancelled]
    # A conductor that was deleted as an old job is followed too.
    with role.transactions.begin() as connection:
        connection.execute(sa.delete(tables.jobs).where(tables.jobs.c.id == going))
    assert wind_up(role) == [going]


def test_places_are_read_as_they_were_written(role: database.Engines) -> None:
    run_id = begin(role)
    items: list[Any] = [1, 1.5, "1", "null", None, True, [1], {"a": None}, []]
    places = [Place(Instance(step="many", index=index, item=item)) for index, item in enumerate(items)]
    places.append(Place(Instance(step="one", state="running", attempt=2), submission={"kind": "x", "params": {}}))
    places.append(Place(Instance(step="empty", state="succeeded", result=[]), job_id="job"))
    with role.transactions.begin() as connection:
        runs.write_places(connection, run_id, places, tenant_id="a")
        runs.write_places(connection, run_id, places[:1], tenant_id="a")
    with role.statements.connect() as connection:
        found = runs.read_places(connection, run_id, tenant_id="a")
        assert runs.read_places(connection, run_id, tenant_id="b") == {}
    assert found == {place.instance.key: place for place in places}
    assert type(found["many", 0].instance.item) is int
    assert [found["many", index].instance.item for index in range(len(items))] == items


def test_ended_runs_are_forgotten_with_their_jobs_and_no_others(role: database.Engines) -> None:
    kept, going, deleted = (begin(role) for _ in range(3))
    with role.transactions.begin() as connection:
        for run_id in (kept, deleted):
            runs.update(connection, run_id, tenant_id="a", ended_at=1)
        for run_id in (kept, going, deleted):
            runs.write_places(connection, run_id, [Place(Instance(step="s"))], tenant_id="a")
        connection.execute(sa.delete(tables.jobs).where(tables.jobs.c.id.in_([going, deleted])))
        assert runs.forget_deleted(connection) == 1
        left = {run_id for run_id in (kept, going, deleted) if runs.find(connection, run_id, tenant_id="a")}
        assert left == {kept, going}
        assert {run_id for run_id in left if runs.read_places(connection, run_id, tenant_id="a")} == left
        assert connection.execute(sa.select(sa.func.count()).select_from(run_steps)).scalar_one() == 2
