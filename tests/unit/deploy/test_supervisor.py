"""A supervisor starts again what dies, and ends everything."""

import signal
import sys
from collections.abc import Callable

import psutil
import pytest

from tests.unit.deploy.conftest import Supervised, are_gone

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="a fork has no title of its own on macOS")

Supervise = Callable[..., Supervised]


def test_what_dies_is_started_again_after_a_growing_pause(supervise: Supervise) -> None:
    supervised = supervise("quiet")
    for pause_seconds in (1, 2, 4):
        supervised.wait_for('"on"')
        supervised.find("quiet").kill()
        ended = supervised.event("process_ended")
        assert (ended["process"], ended["status"], ended["restart_seconds"]) == ("quiet", -9, pause_seconds)
        assert "quiet" in supervised.wait_for("pid")


def test_what_a_killed_process_leaves_behind_is_killed_before_its_successor_starts(supervise: Supervise) -> None:
    supervised = supervise("stubborn")
    for _ in range(2):
        supervised.wait_for('"on"')
    leader = supervised.find("stubborn")
    group = [leader, *leader.children()]
    assert len(group) == 2
    leader.kill()
    supervised.wait_for("pid")
    assert are_gone(group)


def test_what_is_to_run_once_is_not_started_again_and_its_status_is_told(supervise: Supervise) -> None:
    supervised = supervise("once")
    assert supervised.event("half a line") == {"process": "once", "line": "half a line"}
    supervised.wait_for("once ended with 7")
    supervised.process.terminate()
    assert "stopped" in supervised.wait_for("")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything_even_what_is_stubborn(supervise: Supervise, number: signal.Signals) -> None:
    supervised = supervise("quiet", "stubborn")
    for _ in range(3):
        supervised.wait_for('"on"')
    tree = supervised.tree()
    assert len(tree) == 4
    supervised.process.send_signal(number)
    supervised.wait_for("stopped")
    assert supervised.process.wait(timeout=60) == 0
    assert are_gone(tree)


def test_what_others_need_ends_last(supervise: Supervise) -> None:
    supervised = supervise("last", "stubborn")
    for _ in range(3):
        supervised.wait_for('"on"')
    stubborn, needed = supervised.find("stubborn"), supervised.find("last")
    supervised.process.terminate()
    # It still runs while the other takes its time.
    with pytest.raises(psutil.TimeoutExpired):
        needed.wait(timeout=1)
    stubborn.kill()
    supervised.wait_for("last of all")
    assert supervised.process.wait(timeout=60) == 0


def test_no_two_forks_draw_the_same_numbers(supervise: Supervise) -> None:
    supervised = supervise("drawing", "drawing")
    first, second = (supervised.event("drew")["line"].split()[1:] for _ in range(2))
    assert not set(first) & set(second)
