"""A worker's turn on a role's database: whatever goes wrong with one job, none that was taken is left behind."""

import os
import pathlib
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import structlog.testing

from shared import contract, database, ping, settings
from shared.jobs import offspring
from shared.jobs.states import State
from tests.unit.rig import FUTURE, ROLE, TENANT, Rig
from workers.attempt import Attempt
from workers.guard import Guard, Link, Unguarded
from workers.job import Body, Finish, Job, Rest, Spawn
from workers.turn import Turn

PING = ping.kind_for(ROLE)


@pytest.fixture(autouse=True)
def process(rig: Rig, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process's databases and home be the test's."""
    monkeypatch.setenv("MILLRACE_HOME", str(tmp_path))
    monkeypatch.setattr(database, "of_process", lambda: {ROLE: rig.engines})
    settings.load.cache_clear()
    with structlog.testing.capture_logs():
        yield
    settings.load.cache_clear()


@pytest.fixture
def guard() -> Iterator[Guard]:
    """Yield a guard that watches this process's jobs."""
    before = signal.getsignal(signal.SIGTERM)
    link = Link([ROLE])
    yield Guard(link, slot=0, fence_seconds=60, kill_after_seconds=60, turn_seconds=60)
    signal.signal(signal.SIGTERM, before)
    for end in link._sockets[ROLE]:
        end.close()


def put(rig: Rig, **changes: Any) -> str:
    """Accept a ping."""
    return rig.put(**{"kind": PING.name, "params": {}, **changes})


def take_turn(body: Body, job_id: str, *, guard: Guard | None = None) -> str | None:
    """Do a job and what else waits."""
    watch = guard or Unguarded(turn_seconds=60)
    return Turn(ROLE, {PING.name: (PING, body)}, owner="test", guard=watch).work(job_id)


def pong(job: Job, _command: contract.Command) -> Finish:
    """Answer."""
    return ping.Pong(attempt=job.attempt)


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
