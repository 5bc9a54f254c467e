"""One `make up` at a time runs a home."""

import os
import pathlib
import subprocess
import sys

import pytest

from deploy import home_lock


def test_a_second_one_is_told_who_runs_the_home(tmp_path: pathlib.Path) -> None:
    lock = home_lock.hold(tmp_path / "home", wait_seconds=0)
    with pytest.raises(SystemExit, match=rf"still runs \(pid {os.getpid()}\).*another MILLRACE_HOME"):
        home_lock.hold(tmp_path / "home", wait_seconds=60)
    os.close(lock)


def test_it_waits_for_what_a_killed_one_has_left_behind(tmp_path: pathlib.Path) -> None:
    lock = home_lock.hold(tmp_path, wait_seconds=0)
    with subprocess.Popen(["sleep", "1"], pass_fds=(lock,)) as left_behind:
        dead = subprocess.Popen(["true"])
        dead.wait()
        os.pwrite(lock, str(dead.pid).ljust(20).encode(), 0)
        os.close(lock)
        os.close(home_lock.hold(tmp_path, wait_seconds=60))
        assert left_behind.wait(timeout=60) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_what_outlives_a_killed_one_is_named(tmp_path: pathlib.Path) -> None:
    lock = home_lock.hold(tmp_path, wait_seconds=0)
    with subprocess.Popen(["sleep", "60"], pass_fds=(lock,)) as left_behind:
        dead = subprocess.Popen(["true"])
        dead.wait()
        os.pwrite(lock, str(dead.pid).ljust(20).encode(), 0)
        os.close(lock)
        with pytest.raises(SystemExit, match=rf"was killed, but what it started \(pid {left_behind.pid}\) still runs"):
            home_lock.hold(tmp_path, wait_seconds=0)
        left_behind.kill()


def test_a_home_is_free_after_its_holder_has_ended(tmp_path: pathlib.Path) -> None:
    os.close(home_lock.hold(tmp_path, wait_seconds=0))
    os.close(home_lock.hold(tmp_path, wait_seconds=0))
