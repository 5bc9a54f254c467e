"""A pool process's guard, each time in a process of its own."""

import json
import pathlib
import signal
import subprocess
import sys
from typing import Any

import pytest

from shared import watchdog
from workers import guard

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]


def live_through(scenario: str) -> tuple[list[Any], int]:
    """Run a scenario; gives what it saw, and the signal that it died of (0: none)."""
    command = [sys.executable, "-m", "tests.unit.workers.guard_scenarios", scenario]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode <= 0 or ended.returncode == watchdog.EXIT_STATUS, ended.stderr
    # The watchdog logs to the same place as the scenario says what it saw.
    said = [line for line in ended.stdout.splitlines() if "thread_hangs" not in line]
    return [json.loads(line) for line in said], -ended.returncode


def test_a_task_is_stopped_past_its_own_excepts_and_its_end_is_left_alone() -> None:
    assert live_through("term_during_work") == (["stopped", "finished", True], 0)


def test_a_stop_while_finishing_is_only_noted_and_forgotten_with_the_next_job() -> None:
    saw = ["worked", "finished", True, "stopped", "next job", False]
    assert live_through("term_while_finishing") == (saw, 0)


def test_an_idle_process_dies_of_the_signal() -> None:
    assert live_through("term_in_idleness") == (["worked"], signal.SIGTERM)


def test_a_stop_during_a_claim_loses_no_claim_and_begins_no_work() -> None:
    assert live_through("term_during_a_claim") == (["claimed", "stopped"], 0)


def test_a_stop_in_the_moment_of_leaving_does_not_open_the_end_to_a_second_one() -> None:
    assert live_through("term_as_the_body_ends") == (["stopped", "finished"], 0)


def test_a_task_without_good_beats_stops_itself_or_is_killed() -> None:
    assert live_through("silence") == (["stopped"], signal.SIGKILL)


def test_a_task_with_good_beats_goes_on() -> None:
    assert live_through("good_beats") == ([False], 0)


def test_the_fence_leaves_an_end_alone_that_takes_long() -> None:
    assert live_through("slow_finish") == ([False], 0)


@pytest.mark.parametrize(
    ("scenario", "saw"), [("hung_claim", ["claims"]), ("hung_finish", ["worked"]), ("hung_next_claim", ["worked"])]
)
def test_a_process_that_hangs_in_a_claim_or_in_its_last_write_ends_itself(scenario: str, saw: list[str]) -> None:
    assert live_through(scenario) == (saw, -watchdog.EXIT_STATUS)


def test_an_idle_process_does_not_hang() -> None:
    assert live_through("idle") == (["still here"], 0)


def test_the_keeper_hears_of_a_start_and_of_an_end_whatever_happens() -> None:
    start = {"start": [["training_1", 2]], "slot": 3, "kind": "training.fit", "has_message": True, "errors": {}}
    end: dict[str, object] = {"errors": {}}
    assert live_through("news") == ([start, end, True], 0)


def test_each_slot_of_a_link_has_a_beat_of_its_own() -> None:
    link = guard.Link([])
    link.note_beat(0, 1.5)
    link.note_beat(guard.SLOTS - 1, 2.5)
    assert [link.last_beat(slot) for slot in (0, 1, guard.SLOTS - 1)] == [1.5, 0.0, 2.5]
