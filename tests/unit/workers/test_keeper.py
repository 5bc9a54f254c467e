"""What a keeper does about a process that has died."""

import os
import subprocess
import sys
import time

import pytest

from shared import settings
from shared.jobs import workers
from shared.jobs.states import State
from tests.unit.rig import PAST, ROLE, Rig
from workers import guard, keeper


def bury(rig: Rig, job_id: str, *, stop_sent: float | None) -> None:
    """Let a keeper find that the process which worked on a job is dead."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    link = guard.Link([ROLE])
    mine = keeper.Keeper(
        link,
        role=ROLE,
        config=settings.Settings(),
        databases={ROLE: rig.engines},  # type: ignore[arg-type]
        worker=workers.Worker("a", "host", os.getpid(), 1, 1, "1"),
        send_to_flower=lambda _event: None,
    )
    now = time.monotonic()
    task = keeper.Task(job_id, 1, dead.pid, 0, now, now, now, now, stop_sent=stop_sent)
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
