"""Schedules fire once, whoever fires them, and each firing is a run or a row with its reason."""

from typing import Any

import pytest
import sqlalchemy as sa

from shared import clock, settings
from shared.jobs import tables as ledger_tables
from shared.jobs.states import State
from shared.orchestration import versions
from shared.orchestration.language.document import Pipeline
from shared.orchestration.schedules import firing, kept
from shared.orchestration.schedules.document import Schedule
from shared.orchestration.tables import schedule_firings, schedules
from sweeper.fire_schedules import FireSchedules
from tests.unit.orchestration.tables import orchestration_rig  # noqa: F401 - a fixture.
from tests.unit.rig import TENANT, Rig

OWNER = "key_owner"
MINUTE = 60_000


@pytest.fixture
def rig(orchestration_rig: Rig) -> Rig:  # noqa: F811
    """Return the rig of a database with a pipeline `nightly`."""
    pipeline = Pipeline.model_validate(
        {"params": {"region": {"default": "eu"}}, "steps": [{"name": "a", "kind": "ingestion.ping"}]}
    )
    orchestration_rig.run(versions.put, "nightly", pipeline, tenant_id=TENANT, created_by=OWNER)
    return orchestration_rig


def put(rig: Rig, **fields: Any) -> None:
    schedule = Schedule.model_validate({"pipeline": "nightly", "every_seconds": 60, **fields})
    rig.run(kept.put, "s", schedule, tenant_id=TENANT, created_by=OWNER)


def shift(rig: Rig, minutes: float) -> None:
    """Let time pass: what the schedule remembers is longer ago."""
    by = int(minutes * MINUTE)
    columns = ("created_at", "decided_until", "next_at")
    values = {name: schedules.c[name] - by for name in columns}
    rig.run(lambda connection: connection.execute(sa.update(schedules).values(values)))


def fire(rig: Rig) -> None:
    FireSchedules(rig.engines, config=settings.Settings()).do()


def list_firings(rig: Rig) -> list[Any]:
    query = sa.select(schedule_firings).order_by(schedule_firings.c.at)
    found: list[Any] = rig.run(lambda connection: connection.execute(query).all())
    return found


def list_runs(rig: Rig) -> list[Any]:
    jobs = ledger_tables.jobs
    query = sa.select(jobs).where(jobs.c.kind == "orchestration.run").order_by(jobs.c.id)
    found: list[Any] = rig.run(lambda connection: connection.execute(query).all())
    return found


def end_runs(rig: Rig) -> None:
    for run in list_runs(rig):
        rig.change(run.id, state=State.SUCCEEDED)


def test_a_firing_starts_a_run_of_its_owner_with_its_moment_and_fires_once(rig: Rig) -> None:
    put(rig, params={"region": "us"})
    fire(rig)
    assert list_runs(rig) == [], "not before its time"
    shift(rig, 1)
    fire(rig)
    fire(rig)
    [run] = list_runs(rig)
    assert (run.submitted_by, run.tenant_id, run.tags) == (OWNER, TENANT, ["schedule:s"])
    assert (run.params["pipeline"], run.params["params"]) == ("nightly", {"region": "us"})
    assert run.pinned == {"pipeline": {"name": "nightly", "version": 1, "steps": 1}}
    [row] = list_firings(rig)
    assert (row.outcome, row.run, row.count, row.reason) == ("started", run.id, 1, None)
    assert run.params["at"] is not None
    assert (clock.to_text(row.at) or "")[:19] == run.params["at"][:19]


def test_of_two_sweepers_at_once_one_fires(rig: Rig) -> None:
    put(rig)
    shift(rig, 1)
    first, second = rig.overlap(
        lambda connection: firing.fire_next(connection, max_queued=10),
        lambda connection: firing.fire_next(connection, max_queued=10),
    )
    assert (first, second) == (True, False)
    assert len(list_runs(rig)) == len(list_firings(rig)) == 1


def test_a_sweeper_that_dies_before_its_commit_has_fired_nothing_and_the_next_one_does(rig: Rig) -> None:
    put(rig)
    shift(rig, 1)
    with rig.engines.transactions.connect() as connection:
        assert firing.fire_next(connection, max_queued=10)
        connection.rollback()
    assert list_runs(rig) == list_firings(rig) == []
    fire(rig)
    assert len(list_runs(rig)) == 1


@pytest.mark.parametrize(
    ("missed", "outcomes"),
    [
        ("all", [("started", 1)] * 5),
        ("last", [("skipped", 4), ("started", 1)]),
        ("none", [("skipped", 4), ("started", 1)]),
    ],
)
def test_what_was_missed_is_made_up_for_or_is_a_row_with_its_reason(
    rig: Rig, missed: str, outcomes: list[tuple[str, int]]
) -> None:
    put(rig, missed=missed, overlap="allow")
    shift(rig, 5.1)
    fire(rig)
    rows = list_firings(rig)
    assert [(row.outcome, row.count) for row in rows] == outcomes
    assert all(row.reason.startswith("missed") for row in rows if row.outcome == "skipped")
    assert len(list_runs(rig)) == sum(outcome == "started" for outcome, _ in outcomes)


@pytest.mark.parametrize(
    ("overlap", "states", "outcomes"),
    [
        ("skip", ["queued"], ["started", "skipped"]),
        ("allow", ["queued", "queued"], ["started", "started"]),
        ("cancel_running", ["cancelled", "queued"], ["started", "started"]),
    ],
)
def test_a_firing_that_comes_while_the_last_run_goes_on(
    rig: Rig, overlap: str, states: list[str], outcomes: list[str]
) -> None:
    put(rig, overlap=overlap)
    for _ in range(2):
        shift(rig, 1)
        fire(rig)
    runs = list_runs(rig)
    assert [run.state for run in runs] == states
    rows = list_firings(rig)
    assert [row.outcome for row in rows] == outcomes
    if overlap == "skip":
        assert rows[1].reason == f"overlap: {runs[0].id} has not ended"
        end_runs(rig)
        shift(rig, 1)
        fire(rig)
        assert len(list_runs(rig)) == 2


def test_a_firing_of_a_retired_pipeline_or_with_parameters_that_no_longer_fit_is_skipped_with_the_reason(
    rig: Rig,
) -> None:
    put(rig, params={"region": "us"})
    pipeline = Pipeline.model_validate({"steps": [{"name": "a", "kind": "ingestion.ping"}]})
    rig.run(versions.put, "nightly", pipeline, tenant_id=TENANT, created_by=OWNER)
    shift(rig, 1)
    fire(rig)
    rig.run(versions.retire, "nightly", tenant_id=TENANT)
    shift(rig, 1)
    fire(rig)
    first, second = list_firings(rig)
    assert "region" in first.reason
    assert "no pipeline 'nightly'" in second.reason
    assert list_runs(rig) == []


def test_a_disabled_schedule_fires_not_and_makes_up_for_it_as_it_says_once_it_is_enabled(rig: Rig) -> None:
    put(rig, missed="last")
    put(rig, missed="last", enabled=False)
    shift(rig, 3.1)
    fire(rig)
    assert list_firings(rig) == []
    put(rig, missed="last", enabled=True)
    fire(rig)
    assert [(row.outcome, row.count) for row in list_firings(rig)] == [("skipped", 2), ("started", 1)]


def test_a_schedule_that_says_something_else_begins_anew(rig: Rig) -> None:
    put(rig, missed="all")
    shift(rig, 30)
    put(rig, missed="all", every_seconds=120)
    fire(rig)
    assert list_firings(rig) == []


def test_a_schedule_whose_time_is_over_is_looked_at_no_more(rig: Rig) -> None:
    put(rig, ends_at="2020-01-01T00:00:00Z")
    row = rig.run(kept.find, "s", tenant_id=TENANT)
    assert row.next_at is None
    assert rig.run(kept.delete, "s", tenant_id=TENANT)
    assert not rig.run(kept.delete, "s", tenant_id=TENANT)


def test_a_schedule_that_can_not_be_read_holds_up_no_other_and_says_so(rig: Rig) -> None:
    put(rig)
    good = Schedule.model_validate({"pipeline": "nightly", "every_seconds": 60})
    rig.run(kept.put, "good", good, tenant_id=TENANT, created_by=OWNER)
    shift(rig, 1.5)
    broken = {**good.model_dump(mode="json"), "timezone": "Nowhere/Else"}
    rig.run(
        lambda connection: connection.execute(
            sa.update(schedules).where(schedules.c.name == "s").values(document=broken, next_at=1)
        )
    )
    fire(rig)
    rows = {row.schedule: row for row in list_firings(rig)}
    assert (rows["s"].outcome, rows["good"].outcome) == ("skipped", "started")
    assert rows["s"].reason.startswith("broken: ValidationError")
    fire(rig)
    assert len(list_firings(rig)) == 2, "it is looked at no more"
    put(rig)
    assert rig.run(kept.find, "s", tenant_id=TENANT).next_at is not None


def test_a_tenant_with_too_many_queued_runs_starts_no_more(rig: Rig) -> None:
    put(rig, missed="all", overlap="allow")
    shift(rig, 5.1)
    FireSchedules(rig.engines, config=settings.Settings(max_queued_per_tenant=3)).do()
    outcomes = [(row.outcome, (row.reason or "")[:7]) for row in list_firings(rig)]
    assert outcomes == [("started", "")] * 3 + [("skipped", "refused")] * 2


def test_one_schedule_with_very_many_missed_firings_leaves_the_others_their_turn(rig: Rig) -> None:
    put(rig, missed="all", overlap="allow")
    other = Schedule.model_validate({"pipeline": "nightly", "every_seconds": 60, "missed": "none"})
    shift(rig, 200)
    rig.run(kept.put, "other", other, tenant_id=TENANT, created_by=OWNER)
    by = {name: schedules.c[name] - MINUTE for name in ("created_at", "decided_until", "next_at")}
    rig.run(lambda connection: connection.execute(sa.update(schedules).where(schedules.c.name == "other").values(by)))
    for _ in range(2):
        assert rig.run(firing.fire_next, max_queued=1000)
    assert {row.schedule for row in list_firings(rig)} == {"s", "other"}
    fire(rig)
    assert len([row for row in list_firings(rig) if row.schedule == "s"]) == 200


def test_what_became_of_firings_is_forgotten_after_a_while(rig: Rig) -> None:
    put(rig)
    old = {"schedule": "s", "id": "0" * 26, "at": 1, "until": 1, "count": 1, "outcome": "skipped", "decided_at": 1}
    rig.run(lambda connection: connection.execute(sa.insert(schedule_firings).values(tenant_id=TENANT, **old)))
    shift(rig, 1)
    fire(rig)
    assert [row.outcome for row in list_firings(rig)] == ["started"]
