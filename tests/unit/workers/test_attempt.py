"""A worker's turn on a role's database: whatever goes wrong with one job, none that was taken is left behind."""

import contextlib
import errno
import os
import signal
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog.testing

from shared import contract, errors, ping
from shared.jobs import offspring
from shared.jobs.states import State
from tests.unit.rig import FUTURE, TENANT, Rig
from tests.unit.workers.turns import PING, pong, put, raising, take_turn
from workers import attempt as attempt_module
from workers.attempt import Attempt
from workers.guard import Guard
from workers.job import Finish, Job, Rest, Spawn
from workers.tabular import engine, query_results

pytestmark = pytest.mark.usefixtures("process")


class UnspeakableError(Exception):
    """An error that fails when it is shown."""

    retry_after_seconds = "soon"

    def __str__(self) -> str:
        """Fail."""
        raise RuntimeError("there are no words")


def test_a_folder_that_can_not_be_removed_costs_no_job_that_was_taken_with_the_end(rig: Rig) -> None:
    first, second = put(rig), put(rig)

    def body(job: Job, command: contract.Command) -> Finish:
        if job.id == first:
            lock = job.scratch.with_suffix(".lock")
            lock.unlink()
            lock.mkdir()
        return pong(job, command)

    assert take_turn(body, first) is None
    assert [rig.state(first), rig.state(second)] == [State.SUCCEEDED, State.SUCCEEDED]
    assert rig.row(second).attempt == 1


def test_an_error_that_can_not_be_shown_ends_its_job_all_the_same(rig: Rig) -> None:
    first, second = put(rig), put(rig)

    def body(job: Job, command: contract.Command) -> Finish:
        if job.id == first:
            raise UnspeakableError
        return pong(job, command)

    assert take_turn(body, first) == "UnspeakableError"
    assert [rig.state(first), rig.state(second)] == [State.FAILED, State.SUCCEEDED]
    assert rig.row(first).error_type == "UnspeakableError"


def test_a_stop_between_an_end_and_the_next_body_hands_the_next_job_back(
    rig: Rig, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = put(rig), put(rig)
    log_end = Attempt._log_end

    def stop_and_log(attempt: Attempt, state: State, **rest: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        log_end(attempt, state, **rest)

    monkeypatch.setattr(Attempt, "_log_end", stop_and_log)
    assert take_turn(pong, first, guard=guard) is None
    row = rig.row(second)
    assert [rig.state(first), row.state] == [State.SUCCEEDED, State.QUEUED]
    assert (row.attempt, row.lost, row.tries_left, row.lease_until) == (1, 0, 3, None)


def count_in_duckdb(scratch: Path) -> None:
    """Count for a very long time in two threads of duckdb, of which this one runs but one."""
    # A join would look for an interrupt only after a whole chunk of one side has met all rows of the other.
    rows = "FROM range(1000000000000) t(i) WHERE hash(i) = 1"
    with engine.open_database(scratch, threads=2) as connection:
        connection.execute(f"SELECT count(*) FROM ({rows} UNION ALL {rows})").fetchall()


def read_from_duckdb(scratch: Path) -> None:
    """Wait for a very long time for the first of rows that duckdb gives while other queries run."""
    rows = "FROM range(1000000000000) t(i) WHERE hash(i) = 1"
    with engine.open_database(scratch, threads=2) as connection:
        list(query_results.read(connection, f"{rows} UNION ALL {rows}"))


def count_in_sqlite(_scratch: Path) -> None:
    """Count for a very long time in SQLite, as a source is read that has a time limit."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.set_progress_handler(lambda: 0, 1000)
        connection.execute("WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n").fetchall()


@pytest.mark.parametrize("count", [count_in_duckdb, read_from_duckdb, count_in_sqlite])
def test_a_stop_that_a_database_in_the_process_turns_into_an_error_of_its_own_is_no_failure(
    rig: Rig, guard: Guard, count: Callable[[Path], None]
) -> None:
    job_id = put(rig)

    def body(job: Job, command: contract.Command) -> Finish:
        # Not by an alarm, which is what ends a test that hangs.
        stop = threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGTERM))
        stop.start()
        count(job.scratch)
        return pong(job, command)

    assert take_turn(body, job_id, guard=guard) == "Stopped"
    row = rig.row(job_id)
    assert (row.state, row.error_type, row.tries_left) == (State.QUEUED, None, 3)


def test_a_parent_that_waits_to_be_tried_again_keeps_its_wait_when_a_child_ends(rig: Rig) -> None:
    parent = put(rig)
    turns = []

    def body(job: Job, command: contract.Command) -> Finish:
        if job.id != parent:
            return pong(job, command)
        turns.append(len(job.children()))
        if len(turns) == 1:
            return Rest(spawn=[Spawn(PING, ping.Ping())], seconds=0)
        raise ConnectionError("the store is away")

    take_turn(body, parent)
    assert turns[:2] == [0, 1]
    row = rig.row(parent)
    rig.change(parent, run_after=FUTURE, ring_after=FUTURE)
    (child,) = rig.run(offspring.read_children, parent, tenant_id=TENANT)
    rig.run(offspring.wake_parents, [child.id])
    woken = rig.row(parent)
    assert row.error_type == "ConnectionError"
    assert (woken.run_after, woken.wakes) == (FUTURE, row.wakes + 1)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            errors.BadDataError("row 3, column 'a':\n 'x' is\tno number"),
            "BadDataError: row 3, column 'a': 'x' is no number",
        ),
        (errors.BadModelError("half \ud800 of a pair"), "BadModelError: half \N{REPLACEMENT CHARACTER} of a pair"),
        (
            errors.PermanentError("near 'hunter2'", message_for_log="The query fails."),
            "PermanentError: The query fails.",
        ),
        (errors.LimitExceededError("x" * 5000), "LimitExceededError: " + "x" * 480),
        (
            sqlite3.IntegrityError("hunter2"),
            "DatabaseError: The database failed at a statement (IntegrityError); the log tells where.",
        ),
        (OSError(errno.ENOSPC, "hunter2"), "UnavailableError: The disk has no room left."),
        (ValueError("hunter2"), "ValueError"),
    ],
)
def test_the_log_and_flower_tell_why_a_job_failed_in_our_own_words(
    rig: Rig, error: Exception, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One that has logged before keeps the configuration of that time, and is not captured.
    monkeypatch.setattr(attempt_module, "_log", structlog.get_logger())
    job_id = put(rig, tries_left=1)
    with structlog.testing.capture_logs() as lines:
        shown = take_turn(raising(error), job_id)
    assert shown == reason
    logged = [line["error"] for line in lines if line["event"] in {"job_failed", "job_retry_scheduled"}]
    assert logged == [reason]
    assert "hunter2" not in str(lines)
    assert rig.row(job_id).error_message
