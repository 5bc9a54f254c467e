"""A command ends with its supervisor, whatever ended that."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from deploy import lifeline


@pytest.fixture
def pipe() -> Iterator[list[int]]:
    ends = list(os.pipe())
    yield ends
    for end in ends:
        os.close(end)


def start(command: str, *, supervisor: int, grace_seconds: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        lifeline.wrap(command, supervisor=supervisor, grace_seconds=grace_seconds),
        shell=True,
        env={**os.environ, "PYTHON": sys.executable},
        pass_fds=(supervisor,),
        start_new_session=True,
        stdout=subprocess.PIPE,
    )


@pytest.mark.parametrize("command", ["echo on; exec sleep 600", "trap '' TERM; echo on; sleep 600; sleep 600"])
def test_a_command_and_its_children_end_with_the_supervisor_even_against_their_will(
    pipe: list[int], command: str
) -> None:
    with start(command, supervisor=pipe[0], grace_seconds=0.5) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"on\n"
        os.close(pipe.pop())
        # The end of the output is the end of everybody who could write to it.
        assert running.stdout.read() == b""
        assert running.wait(timeout=60) == -signal.SIGKILL


def test_a_command_that_ends_by_itself_gives_its_exit_status(pipe: list[int]) -> None:
    for command, status in (("exit 7", 7), ("kill -9 $$", 137)):
        with start(command, supervisor=pipe[0], grace_seconds=60) as running:
            assert running.wait(timeout=60) == status


def test_a_signal_is_passed_on(pipe: list[int]) -> None:
    with start("trap 'exit 5' TERM; echo on; while :; do sleep 0.1; done", supervisor=pipe[0], grace_seconds=60) as one:
        assert one.stdout is not None
        assert one.stdout.readline() == b"on\n"
        one.terminate()
        assert one.wait(timeout=60) == 5
