"""Batches for shadows: one job at a time for a deployment, what is too much is lost, and what is left undone counts."""

import pathlib

import pytest
import sqlalchemy as sa

from shared import database
from shared.jobs import tables
from shared.objects import local
from shared.prediction import changes, shares
from shared.prediction.records.segments import ShadowBatch, ShadowShare
from shared.prediction.shadows import stored, waiting
from shared.prediction.shadows.stored import Shadow
from shared.prediction.tables import deployment_snapshots, shadow_batches
from sweeper.shadow_jobs import ShadowJobs
from tests.unit.prediction.tables import prediction_engines  # noqa: F401 - a fixture.

SHADOW = Shadow(4, "churn@next", 2)


def batch(number: int, rows: int, *, deployment: str = "risk") -> ShadowBatch:
    share = ShadowShare(SHADOW.id, SHADOW.model, SHADOW.version, 100.0, rows)
    return ShadowBatch("acme", deployment, f"{number:037}", rows, [share])


def read(connection: sa.Connection) -> dict[str, object]:
    found = stored.read(connection, tenant_id="acme", deployment="risk", shadows=[4])
    return found.get((SHADOW, ""), {})


def submit(connection: sa.Connection, deployment: waiting.Waiting) -> str | None:
    return waiting.submit(connection, deployment, pinned={}, submitted_by="key")


def test_a_job_takes_what_waits_and_no_other_is_submitted_meanwhile(
    prediction_engines: database.Engines,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "JOB_ROWS", 100)
    with prediction_engines.transactions.begin() as connection:
        for each in (batch(1, 60), batch(2, 40), batch(3, 1), batch(4, 7, deployment="other")):
            assert waiting.enqueue(connection, each)
        found = {each.deployment: each for each in waiting.list_waiting(connection)}
        assert {name: each.rows for name, each in found.items()} == {"risk": 101, "other": 7}
        job_id = submit(connection, found["risk"])
        assert job_id is not None
        assert submit(connection, found["risk"]) is None
        assert [each.deployment for each in waiting.list_waiting(connection)] == ["other"]
        assert waiting.list_jobs(connection) == [job_id]
        assert waiting.read_batches(connection, job_id) == [batch(1, 60), batch(2, 40)]
        job = connection.execute(sa.select(tables.jobs).where(tables.jobs.c.id == job_id)).one()
    assert (job.kind, job.priority, job.params) == ("prediction.shadow", -1, {"deployment": "risk"})


def test_what_is_too_much_is_lost_and_what_a_job_left_undone_has_failed(
    prediction_engines: database.Engines,  # noqa: F811
) -> None:
    with prediction_engines.transactions.begin() as connection:
        assert waiting.enqueue(connection, batch(1, waiting.MOST_ROWS - 5))
        assert not waiting.enqueue(connection, batch(2, 6))
        assert waiting.enqueue(connection, batch(3, 5))
        [deployment] = waiting.list_waiting(connection)
        job_id = submit(connection, deployment)
        assert job_id is not None
        assert waiting.end(connection, job_id, reason="it is dead", has_failed=True) == [batch(1, 1).name]
        assert waiting.lose_all(connection, deployment, reason="no shadow") == [batch(3, 5).name]
        assert read(connection) == {
            "failed": {"it is dead": waiting.MOST_ROWS - 5},
            "lost": {"more waits for the shadow's jobs than they can do": 6, "no shadow": 5},
        }


def test_sums_of_several_jobs_add_up(prediction_engines: database.Engines) -> None:  # noqa: F811
    keys = [stored.Key("acme", "risk", SHADOW, "", hour * stored.HOUR_MS) for hour in (1, 2)]
    with prediction_engines.transactions.begin() as connection:
        for _ in range(2):
            stored.add(connection, {key: {"failed": {"KeyError": 3}} for key in keys})
        assert read(connection) == {"failed": {"KeyError": 12}}


def put(engines: database.Engines, *, shadow: bool) -> None:
    """Change the deployment."""
    pin = {"name": "churn", "version": 1, "key": "k", "sha256": "a", "signature": {"columns": [{"name": "age"}]}}
    ranges = shares.allocate({"churn@1": 1.0}, previous={})["churn@1"]
    place = {"version": 1, "sha256": "a", "weight": 1.0, "ranges": ranges}
    state = {"routes": [{"model": "churn@1", **place}], "fallback": None, "sticky_key": None}
    shadows = [{"model": SHADOW.model, "version": SHADOW.version, "sha256": "b", "percent": 100.0, "id": SHADOW.id}]
    with engines.transactions.begin() as connection:
        head = changes.lock(connection, tenant_id="acme", name="risk")
        author = changes.Author(action="put", changed_by="key_7")
        pins = {"churn@1": pin, **({SHADOW.model: {**pin, "version": 2, "key": "l"}} if shadow else {})}
        changes.append(connection, head, {**state, **({"shadow": shadows} if shadow else {})}, pins=pins, author=author)


def test_the_chore_submits_counts_what_failed_and_drops_what_nobody_wants(
    prediction_engines: database.Engines,  # noqa: F811
    tmp_path: pathlib.Path,
) -> None:
    deployment_snapshots.create(prediction_engines.transactions, checkfirst=True)
    chore = ShadowJobs(prediction_engines, local.LocalStore(tmp_path / "objects"))

    def wait(number: int, rows: int) -> None:
        with prediction_engines.transactions.begin() as connection:
            assert waiting.enqueue(connection, batch(number, rows))
        chore.do()

    def find_job() -> sa.Row[tuple[str]] | None:
        with prediction_engines.statements.connect() as connection:
            jobs = sa.select(tables.jobs).join(shadow_batches, shadow_batches.c.job_id == tables.jobs.c.id)
            return connection.execute(jobs.limit(1)).one_or_none()

    put(prediction_engines, shadow=True)
    wait(1, 499)
    assert find_job() is None
    wait(2, 1)
    job = find_job()
    assert job is not None
    assert (job.pinned["deployment"], job.submitted_by, set(job.pinned["models"])) == (
        "risk@1",
        "key_7",
        {"churn@1", "churn@2"},
    )
    with prediction_engines.transactions.begin() as connection:
        dead = (
            sa.update(tables.jobs)
            .where(tables.jobs.c.id == job.id)
            .values(state="dead", attempt=3, error_message="Lost.")
        )
        connection.execute(dead)
    wait(3, 600)
    assert find_job() is None
    put(prediction_engines, shadow=False)
    chore._paused_until.clear()
    chore.do()
    with prediction_engines.transactions.begin() as connection:
        assert read(connection) == {
            "failed": {"its job is dead: Lost.": 500},
            "lost": {"the deployment had no shadow any more": 600},
        }
        assert waiting.list_waiting(connection) == []
