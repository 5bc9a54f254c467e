"""Everything ends with its supervisor, whatever ended that."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from deploy import lifeline
from tests.unit.deploy.conftest import Supervised, are_gone

Supervise = Callable[..., Supervised]
titled = pytest.mark.skipif(sys.platform == "darwin", reason="a fork has no title of its own on macOS")


def test_nothing_outlives_a_killed_supervisor_neither_stubborn_nor_stopped(supervise: Supervise) -> None:
    supervised = supervise("quiet", "stubborn", "quiet")
    for _ in range(4):
        supervised.wait_for('"on"')
    tree = supervised.tree()
    tree[1].suspend()
    supervised.process.kill()
    assert are_gone(tree)


@titled
def test_a_killed_watcher_is_replaced(supervise: Supervise) -> None:
    supervised = supervise("quiet")
    supervised.wait_for('"on"')
    watcher = supervised.find("lifeline")
    watcher.kill()
    watcher.wait(timeout=30)
    assert supervised.find("lifeline").pid != watcher.pid
    tree = supervised.tree()
    supervised.process.kill()
    assert are_gone(tree)


def test_a_leader_is_asked_and_what_it_leaves_behind_is_killed() -> None:
    script = "trap 'echo asked; exit 0' TERM; sleep 600 & echo on; while :; do sleep 0.1; done"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True, text=True) as leader:
        assert leader.stdout is not None
        assert leader.stdout.readline() == "on\n"
        # As when the supervisor is gone, somebody else collects its exit status.
        os.set_blocking(leader.stdout.fileno(), True)
        signal.signal(signal.SIGCHLD, lambda *_: leader.poll())
        try:
            began = time.monotonic()
            lifeline.end({leader.pid}, grace_seconds=60)
        finally:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        assert time.monotonic() - began < 30
        # The end of the output is the end of everybody who could write to it.
        assert leader.stdout.read() == "asked\n"


def test_a_group_that_is_gone_is_left_alone() -> None:
    with subprocess.Popen(["true"], start_new_session=True) as leader:
        leader.wait()
    assert not lifeline.is_alive(leader.pid)
    lifeline.kill(leader.pid)
    lifeline.end({leader.pid}, grace_seconds=60)
