"""What a keeper does about a process that has died."""

import os
import subprocess
import sys
import time

import pytest

from shared import settings
from shared.jobs import ledger, workers
from shared.jobs.states import State
from tests.unit.rig import PAST, ROLE, Rig
from workers import guard, keeper, running

LIMIT_BYTES = 50 * 1024**2


def bury(
    rig: Rig,
    job_id: str,
    *others: str,
    stop_sent: float | None,
    seconds_since_beat: float = 0.0,
    data_bytes: int = 0,
    limit_bytes: int | None = None,
) -> None:
    """Let a keeper find that the process which worked on a job is dead; its memory was `data_bytes` when last seen."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    link = guard.Link([ROLE])
    mine = keeper.Keeper(
        link,
        role=ROLE,
        config=settings.Settings(worker_memory=limit_bytes),
        databases={ROLE: rig.engines},  # type: ignore[arg-type]
        worker=workers.Worker("a", "host", os.getpid(), 1, 1, "1"),
        send_to_flower=lambda _name, _fields: None,
    )
    now = time.monotonic()
    last_beat = now - seconds_since_beat
    held = [ledger.Held(each, 1) for each in (job_id, *others)]
    task = running.Task(held, dead.pid, 0, now, last_beat, now, now, stop_sent=stop_sent)
    task.data_bytes = data_bytes
    mine._check(task)
    for end in link._sockets[ROLE]:
        end.close()


@pytest.mark.parametrize("changes", [{"cancel_requested": 1}, {"stop_at": PAST}])
def test_the_end_of_a_child_that_had_to_be_killed_wakes_its_parent(rig: Rig, changes: dict[str, int]) -> None:
    parent = rig.put_running()
    child = rig.put_running(parent_id=parent)
    rig.run(rig.offspring.rest, parent, attempt=1, wakes=0, wait_seconds=600, interim=None)
    rig.change(child, **changes)
    bury(rig, child, stop_sent=time.monotonic())
    assert rig.state(child).is_terminal()
    assert rig.claim(parent)


def test_a_child_that_goes_back_into_the_queue_wakes_nobody(rig: Rig) -> None:
    parent = rig.put_running()
    child = rig.put_running(parent_id=parent)
    rig.run(rig.offspring.rest, parent, attempt=1, wakes=0, wait_seconds=600, interim=None)
    bury(rig, child, stop_sent=time.monotonic())
    assert rig.state(child) == State.QUEUED
    assert rig.claim(parent) is None


def test_a_process_that_dies_by_itself_is_a_loss_at_once(rig: Rig) -> None:
    job_id = rig.put_running()
    bury(rig, job_id, stop_sent=None)
    assert (rig.state(job_id), rig.row(job_id).lost) == (State.QUEUED, 1)
    assert rig.ring() == [job_id]


def test_the_loss_of_a_child_that_was_its_last_wakes_its_parent(rig: Rig) -> None:
    parent = rig.put_running()
    child = rig.put_running(parent_id=parent)
    rig.run(rig.offspring.rest, parent, attempt=1, wakes=0, wait_seconds=600, interim=None)
    rig.change(child, lost=2)
    bury(rig, child, stop_sent=None)
    assert rig.state(child) == State.DEAD
    assert rig.claim(parent)


def test_a_process_that_ended_itself_because_it_was_cut_off_is_no_loss(rig: Rig) -> None:
    job_id = rig.put_running()
    bury(rig, job_id, stop_sent=None, seconds_since_beat=settings.Settings().fence_seconds)
    assert (rig.state(job_id), rig.row(job_id).lost) == (State.QUEUED, 0)


def test_a_process_that_dies_at_its_limit_of_memory_fails_its_job_after_one_loss(rig: Rig) -> None:
    parent = rig.put_running()
    child = rig.put_running(parent_id=parent)
    rig.run(rig.offspring.rest, parent, attempt=1, wakes=0, wait_seconds=600, interim=None)
    bury(rig, child, stop_sent=None, data_bytes=95 * LIMIT_BYTES // 100, limit_bytes=LIMIT_BYTES)
    row = rig.row(child)
    assert (row.state, row.error_type) == (State.FAILED, "LimitExceededError")
    assert "which is 50 MiB (its process died, last seen with 47.5 MiB)" in row.error_message
    assert f"MILLRACE_WORKER_MEMORY_{ROLE.upper()}" in row.error_message
    assert rig.claim(parent)


@pytest.mark.parametrize(("data_bytes", "limit_bytes"), [(LIMIT_BYTES // 2, LIMIT_BYTES), (2**50, 0), (0, LIMIT_BYTES)])
def test_a_process_that_dies_with_memory_left_is_a_loss(rig: Rig, data_bytes: int, limit_bytes: int) -> None:
    job_id = rig.put_running()
    bury(rig, job_id, stop_sent=None, data_bytes=data_bytes, limit_bytes=limit_bytes)
    assert (rig.state(job_id), rig.row(job_id).lost) == (State.QUEUED, 1)


def test_a_process_that_is_killed_at_its_limit_because_it_was_to_stop_does_not_fail_its_job(rig: Rig) -> None:
    job_id = rig.put_running()
    bury(rig, job_id, stop_sent=time.monotonic(), data_bytes=LIMIT_BYTES, limit_bytes=LIMIT_BYTES)
    assert (rig.state(job_id), rig.row(job_id).lost) == (State.QUEUED, 0)


def test_of_jobs_that_were_done_together_none_fails_for_the_memory_of_all(rig: Rig) -> None:
    jobs = [rig.put_running() for _ in range(3)]
    bury(rig, *jobs, stop_sent=None, data_bytes=LIMIT_BYTES, limit_bytes=LIMIT_BYTES)
    assert [(rig.state(job_id), rig.row(job_id).lost) for job_id in jobs] == [(State.QUEUED, 1)] * 3


def test_jobs_that_were_done_together_go_back_when_one_of_them_was_cancelled(rig: Rig) -> None:
    jobs = [rig.put_running() for _ in range(3)]
    rig.change(jobs[1], cancel_requested=1)
    bury(rig, *jobs, stop_sent=time.monotonic())
    assert [rig.state(job_id) for job_id in jobs] == [State.QUEUED, State.CANCELLED, State.QUEUED]
    assert [rig.row(job_id).lost for job_id in jobs] == [0, 0, 0]
