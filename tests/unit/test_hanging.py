"""The threads without which a process would stand still: the process ends when one of them hangs."""

import os
import pathlib
import subprocess
import sys

import pytest

from shared import watchdog

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]


def live_through(scenario: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tests.unit.hang_scenarios", scenario],
        cwd=CHECKOUT,
        env={**os.environ, "MILLRACE_HANG_SECONDS": "2"},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )


@pytest.mark.parametrize(
    ("scenario", "thread"),
    [
        ("chore", "chores of training"),
        ("keeper_step", "keeper of training"),
        ("ringing", "ringer"),
        ("commit", "commits of training"),
    ],
)
def test_a_process_ends_when_a_thread_that_it_needs_hangs(scenario: str, thread: str) -> None:
    ended = live_through(scenario)
    said = ended.stdout + ended.stderr
    assert ended.returncode == watchdog.EXIT_STATUS, said
    assert "thread_hangs" in said
    assert thread in said
    assert " never" in said, "it says where"


@pytest.mark.parametrize("scenario", ["chores_at_work", "keeper_at_work"])
def test_a_process_whose_threads_are_only_slow_goes_on(scenario: str) -> None:
    ended = live_through(scenario)
    assert ended.returncode == 0, ended.stdout + ended.stderr
