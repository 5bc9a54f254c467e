"""Stray canaries: one whose job has ended without it is paused, with the reason, and no other."""

from typing import Any

import pytest
import sqlalchemy as sa

from shared import database, ids
from shared.jobs import ledger, tables
from shared.prediction import changes, shares
from shared.prediction.canaries import moves
from sweeper.stray_canaries import StrayCanaries
from tests.unit.prediction.tables import prediction_engines  # noqa: F401 - a fixture.

PLACE = {"model": "churn@2", "version": 2, "sha256": "b"}
PINS = {f"churn@{version}": {"name": "churn", "version": version} for version in (1, 2)}


def begin(engines: database.Engines, *, name: str = "risk") -> str:
    """Begin a canary with a job, and return the job's id."""
    route = {"model": "churn@1", "version": 1, "sha256": "a", "weight": 100.0}
    route["ranges"] = shares.allocate({"churn@1": 100.0}, previous={})["churn@1"]
    state = {"routes": [route], "fallback": None}
    job = ledger.NewJob(
        id=ids.new_job_id("prediction"),
        tenant_id="acme",
        kind="prediction.rollout",
        params={},
        pinned={},
        submitted_by="key_1",
        tries_left=3,
    )
    with engines.transactions.begin() as connection:
        head = changes.lock(connection, tenant_id="acme", name=name)
        begun = moves.begin(state, PLACE, {"steps": [5.0, 100.0], "gate": {}}, revision=1, at_ms=1000)
        ledger.accept(connection, [job], ring_again_seconds=30)
        author = changes.Author(action="put", changed_by="key_1")
        changes.append(connection, head, moves.with_job(begun, job.id), pins=PINS, author=author)
    return job.id


def show(engines: database.Engines, *, name: str = "risk") -> dict[str, Any]:
    with engines.statements.connect() as connection:
        row = changes.find(connection, tenant_id="acme", name=name)
    assert row is not None
    return {"revision": row.revision, **row.state["canary"]}


@pytest.mark.parametrize("state", ["cancelled", "failed", "dead", "gone"])
def test_a_canary_whose_job_has_ended_is_paused(prediction_engines: database.Engines, state: str) -> None:  # noqa: F811
    job_id = begin(prediction_engines)
    with prediction_engines.transactions.begin() as connection:
        this = tables.jobs.c.id == job_id
        change = sa.delete(tables.jobs) if state == "gone" else sa.update(tables.jobs).values(state=state)
        connection.execute(change.where(this))
    StrayCanaries(prediction_engines).do()
    shown = show(prediction_engines)
    assert (shown["status"], shown["job"], shown["revision"]) == ("paused", None, 2)
    assert f"{job_id} is {state}" in shown["reason"]
    StrayCanaries(prediction_engines).do()
    assert show(prediction_engines)["revision"] == 2


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_canary_whose_job_goes_on_is_left_alone(prediction_engines: database.Engines, state: str) -> None:  # noqa: F811
    begin(prediction_engines)
    with prediction_engines.transactions.begin() as connection:
        connection.execute(sa.update(tables.jobs).values(state=state))
    StrayCanaries(prediction_engines).do()
    assert (show(prediction_engines)["status"], show(prediction_engines)["revision"]) == ("running", 1)
