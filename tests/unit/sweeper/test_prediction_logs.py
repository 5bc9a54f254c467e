"""Logs in the database: one job at a time writes what waits, what is too much is lost, and old files are removed."""

import pathlib
from typing import Any

import pytest
import sqlalchemy as sa

from shared import clock, database, ids
from shared.jobs import tables
from shared.objects import local
from shared.prediction import changes, shares
from shared.prediction.logs import batches, files, waiting
from shared.prediction.logs.document import DAY_MS
from shared.prediction.records.segments import LogBatch, LogLoss
from shared.prediction.tables import prediction_log_batches, prediction_log_losses
from sweeper.prediction_logs import PredictionLogs
from tests.unit.prediction.tables import prediction_engines  # noqa: F401 - a fixture.

OF = {"tenant_id": "acme", "deployment": "risk"}
HOUR_MS = 3_600_000


def batch(number: int, *, size: int = 10, first_at: int = 0, deployment: str = "risk") -> LogBatch:
    return LogBatch("acme", deployment, f"{number:037}", 5, size, first_at, first_at + 10)


def put(engines: database.Engines, **fields: Any) -> None:
    """Change the deployment."""
    pin = {"name": "churn", "version": 1, "key": "k", "sha256": "a", "signature": {"columns": [{"name": "age"}]}}
    ranges = shares.allocate({"churn@1": 1.0}, previous={})["churn@1"]
    place = {"version": 1, "sha256": "a", "weight": 1.0, "ranges": ranges}
    state = {"routes": [{"model": "churn@1", **place}], "fallback": None, "sticky_key": None, **fields}
    with engines.transactions.begin() as connection:
        head = changes.lock(connection, tenant_id="acme", name="risk")
        author = changes.Author(action="put", changed_by="key_7")
        changes.append(connection, head, state, pins={"churn@1": pin}, author=author)


def keep(connection: sa.Connection, *, until_at: int, days: int = 30, deployment: str = "risk") -> str:
    """Keep a file; returns its key."""
    identity = ids.new_ulid()
    row = {
        "id": identity,
        "tenant_id": "acme",
        "deployment": deployment,
        "key": f"acme/prediction/{identity}",
        "from_at": until_at - 1000,
        "until_at": until_at,
        "rows": 5,
        "bytes": 3_000_000_000,
        "sha256": "a",
        "versions": ["churn@1"],
        "columns": [["a", "number"]],
        "first_revision": 1,
        "last_revision": 1,
        "retention_days": days,
        "created_at": until_at,
    }
    files.add(connection, [row])
    return f"{row['key']}"


def test_one_job_at_a_time_writes_what_waits_and_batches_stay_until_it_has(
    prediction_engines: database.Engines,  # noqa: F811
    tmp_path: pathlib.Path,
) -> None:
    put(prediction_engines)
    objects = local.LocalStore(tmp_path / "objects")
    chore = PredictionLogs(prediction_engines, objects)

    def jobs() -> list[sa.Row[Any]]:
        with prediction_engines.statements.connect() as connection:
            return list(connection.execute(sa.select(tables.jobs).where(tables.jobs.c.kind == "prediction.log")))

    with prediction_engines.transactions.begin() as connection:
        assert waiting.enqueue(connection, batch(1))
    chore.do()
    assert jobs() == []
    with prediction_engines.transactions.begin() as connection:
        assert waiting.enqueue(connection, batch(2, size=64 << 20))
    chore.do()
    [job] = jobs()
    assert (job.params, job.priority, job.submitted_by, job.tenant_id) == ({"deployment": "risk"}, -1, "key_7", "acme")
    chore._paused_until.clear()
    chore.do()
    assert len(jobs()) == 1
    with prediction_engines.transactions.begin() as connection:
        connection.execute(sa.update(tables.jobs).where(tables.jobs.c.id == job.id).values(state="failed"))
        assert [row.name for row in waiting.read_batches(connection, **OF)] == [batch(1).name, batch(2).name]
    chore.do()
    assert len(jobs()) == 2
    chore.do()
    assert len(jobs()) == 2


def test_a_job_takes_no_more_than_it_can_do_and_removes_what_it_has_written(
    prediction_engines: database.Engines,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "JOB_BYTES", 100)
    with prediction_engines.transactions.begin() as connection:
        for each in (batch(1, size=60, first_at=7), batch(2, size=41, first_at=5), batch(3, deployment="other")):
            assert waiting.enqueue(connection, each)
        assert [row.name for row in waiting.read_batches(connection, **OF)] == [batch(2).name]
        assert waiting.remove(connection, [batch(2).name]) == 1
        assert waiting.remove(connection, [batch(2).name, batch(1).name]) == 1
        assert waiting.read_batches(connection, **OF) == []
        assert waiting.list_names(connection) == {batch(3).name}


def test_what_is_too_much_is_lost_and_losses_add_up_by_the_hour(
    prediction_engines: database.Engines,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "MOST_BYTES", 100)
    with prediction_engines.transactions.begin() as connection:
        assert waiting.enqueue(connection, batch(1, size=60))
        assert not waiting.enqueue(connection, batch(2, size=41))
        assert waiting.enqueue(connection, batch(3, size=40))
        losses = [LogLoss("acme", "risk", at, "the copy's buffer was full", 3) for at in (1, 2, HOUR_MS)]
        waiting.lose(connection, *losses)
        waiting.lose(connection, losses[0])
        table = prediction_log_losses
        rows = connection.execute(sa.select(table.c.reason, table.c.started_at, table.c.rows)).all()
    assert sorted(tuple(row) for row in rows) == [
        (waiting.NO_ROOM, 0, 5),
        ("the copy's buffer was full", 0, 9),
        ("the copy's buffer was full", HOUR_MS, 3),
    ]


def test_the_sources_of_a_time_are_files_and_what_waits(
    prediction_engines: database.Engines,  # noqa: F811
) -> None:
    day = DAY_MS
    with prediction_engines.transactions.begin() as connection:
        assert not files.has_any(connection, **OF)
        keys = [keep(connection, until_at=number * day) for number in (3, 1, 2)]
        keep(connection, until_at=day, deployment="other")
        for number in (5, 4):
            assert waiting.enqueue(connection, batch(number, first_at=number * day))

        def find(since: int | None, until: int) -> tuple[list[str], list[str]]:
            found = files.find_sources(connection, **OF, since=since, until=until)
            return [file["key"] for file in found.files], found.batches

        assert find(None, 10 * day) == ([keys[1], keys[2], keys[0]], [batch(4).name, batch(5).name])
        assert find(2 * day, 5 * day - 120_000) == ([keys[2], keys[0]], [batch(4).name])
        assert find(2 * day + 1, 2 * day + 2) == ([], [])
        found = files.find_sources(connection, **OF, since=None, until=day)
        assert (found.files[0]["columns"], found.files[0]["bytes"]) == ([["a", "number"]], 3_000_000_000)
        assert files.has_any(connection, **OF)


def test_files_go_when_they_are_old_but_not_while_a_dataset_is_made_of_them(
    prediction_engines: database.Engines,  # noqa: F811
) -> None:
    put(prediction_engines, log={"percent": 100, "columns": None, "exclude": None, "retention_days": 3000})
    now = 20_000 * DAY_MS
    with prediction_engines.transactions.begin() as connection:
        old = keep(connection, until_at=now - 3001 * DAY_MS)
        keep(connection, until_at=now - 2999 * DAY_MS, days=1)
        gone = keep(connection, until_at=now - 31 * DAY_MS, deployment="gone")
        keep(connection, until_at=now - 29 * DAY_MS, deployment="gone")
        job = {
            "id": "prediction_1",
            "tenant_id": "acme",
            "kind": "prediction.log_dataset",
            "state": "running",
            "version": 1,
            "priority": 0,
            "place": "",
            "params": {"deployment": "risk"},
            "pinned": {},
            "tags": [],
            "attempt": 1,
            "tries_left": 1,
            "lost": 0,
            "cancel_requested": 0,
            "run_after": 0,
            "ring_after": 0,
            "submitted_by": "key_7",
            "created_at": 0,
        }
        connection.execute(sa.insert(tables.jobs).values(**job))
        assert files.remove_old(connection, now=now) == [gone]
        connection.execute(sa.update(tables.jobs).values(state="succeeded"))
        assert files.remove_old(connection, now=now) == [old]
        assert files.remove_old(connection, now=now) == []


def test_objects_of_which_nobody_told_are_removed_after_a_day(
    prediction_engines: database.Engines,  # noqa: F811
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    objects = local.LocalStore(tmp_path / "objects")
    for number in (1, 2):
        with objects.write(batches.key_of(batch(number).name)) as file:
            file.write(b"{}")
    with prediction_engines.transactions.begin() as connection:
        assert waiting.enqueue(connection, batch(2))
        now = clock.read(connection)
        key = keep(connection, until_at=now - 31 * DAY_MS)
    with objects.write(key) as file:
        file.write(b"rows")

    def listed() -> list[str]:
        return sorted(each.key for each in objects.list())

    PredictionLogs(prediction_engines, objects).do()
    assert listed() == [batches.key_of(batch(number).name) for number in (1, 2)]
    monkeypatch.setattr("sweeper.prediction_logs._ORPHANED_MS", -60_000)
    PredictionLogs(prediction_engines, objects).do()
    assert listed() == [batches.key_of(batch(2).name)]


def test_the_first_of_a_deployment_is_written_soon_and_the_next_waits_to_become_a_file_worth_reading(
    prediction_engines: database.Engines,  # noqa: F811
    tmp_path: pathlib.Path,
) -> None:
    put(prediction_engines)
    chore = PredictionLogs(prediction_engines, local.LocalStore(tmp_path / "objects"))

    def wait(seconds: float) -> bool:
        """Let a batch have waited, and tell whether a job is submitted for it."""
        with prediction_engines.transactions.begin() as connection:
            queued_at = clock.read(connection) - int(seconds * 1000)
            connection.execute(sa.update(prediction_log_batches).values(queued_at=queued_at))
            before = waiting.has_live(connection, "acme", "risk", kind="prediction.log")
        chore.do()
        with prediction_engines.transactions.begin() as connection:
            after = waiting.has_live(connection, "acme", "risk", kind="prediction.log")
            connection.execute(sa.update(tables.jobs).values(state="succeeded"))
        chore._paused_until.clear()
        return after and not before

    with prediction_engines.transactions.begin() as connection:
        assert waiting.enqueue(connection, batch(1))
    assert (wait(5), wait(15)) == (False, True)
    with prediction_engines.transactions.begin() as connection:
        keep(connection, until_at=clock.read(connection))
    assert (wait(15), wait(550), wait(610)) == (False, False, True)
