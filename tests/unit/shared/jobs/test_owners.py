"""What proves that the holder of a lease is dead, and what does not; with real processes."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import cast

import psutil
import pytest
import sqlalchemy as sa

from shared.jobs import owners, tables

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="death is proved on Linux only")
_COLUMN_LENGTH = cast(sa.String, tables.jobs.c.lease_owner.type).length or 0
_POOL = """
import os, signal, sys, time
sys.path.insert(0, os.getcwd())
from shared.jobs import owners
child = os.fork()
if not child:
    print(owners.name_process("training.1@host"), flush=True)
time.sleep(600)
"""
"""A worker: a parent, and a pool process that writes how it owns leases."""


@contextlib.contextmanager
def worker() -> Iterator[tuple[subprocess.Popen[str], psutil.Process, str]]:
    """Start a worker; yields its parent, its pool process, and the latter's name as an owner."""
    parent = subprocess.Popen([sys.executable, "-c", _POOL], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    owner = parent.stdout.readline().strip()
    child = psutil.Process(int(owner.rpartition("/")[2]))
    try:
        yield parent, child, owner
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
            child.wait(10)


def changed(owner: str, part: int, text: str) -> str:
    """Change a part of an owner: 1 is its place, 2 its parent, 3 its start, 4 its process id."""
    parts = owner.split("/")
    parts[part] = text
    return "/".join(parts)


def end(process: psutil.Process) -> None:
    """Kill a process, and wait until it is gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGKILL)
    limit = time.monotonic() + 10
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_an_owner_is_dead_when_its_process_and_its_parent_are() -> None:
    with worker() as (parent, child, owner):
        assert not owners.is_dead(owner)
        end(child)
        # The parent's keeper knows whether it has stopped its child, and so whether that is a loss.
        assert not owners.is_dead(owner)
        parent.kill()
        parent.wait()
        assert owners.is_dead(owner)


def test_an_orphan_that_still_works_is_alive() -> None:
    with worker() as (parent, child, owner):
        parent.kill()
        parent.wait()
        assert child.is_running()
        assert not owners.is_dead(owner)
        child.suspend()
        assert not owners.is_dead(owner)
        child.resume()
        end(child)
        assert owners.is_dead(owner)


def test_a_zombie_is_dead() -> None:
    with worker() as (parent, child, owner):
        parent.send_signal(signal.SIGSTOP)
        end(child)
        assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
        parent.send_signal(signal.SIGKILL)
        # The parent stays a zombie until this process waits for it.
        end(psutil.Process(parent.pid))
        assert owners.is_dead(owner)


def test_a_process_id_that_is_used_again_is_told_by_its_start() -> None:
    mine = owners.name_process("training.1@host")
    assert not owners.is_dead(mine)
    start = mine.split("/")[3]
    assert not owners.is_dead(changed(mine, 3, f"{int(start) + 1}")), "the parent lives"
    parent, _, parent_start = mine.split("/")[2].partition(".")
    other_parent = changed(mine, 2, f"{parent}.{int(parent_start) + 1}")
    assert not owners.is_dead(other_parent), "the process lives"
    assert owners.is_dead(changed(other_parent, 3, f"{int(start) + 1}"))


def test_numbers_of_another_boot_or_namespace_prove_nothing() -> None:
    with worker() as (parent, child, owner):
        parent.kill()
        parent.wait()
        end(child)
        boot, pids, times = owner.split("/")[1].split("-")
        for place in (f"{'0' * len(boot)}-{pids}-{times}", f"{boot}-1-{times}", f"{boot}-{pids}-1", ""):
            assert not owners.is_dead(changed(owner, 1, place))
        assert owners.is_dead(owner)


@pytest.mark.parametrize(
    "owner", ["", "a", "here", "training.1@host/12", "training.1@host/here/1.2/3/4", "/{place}/x.y/z/-1", "/{place}///"]
)
def test_a_text_that_names_no_process_proves_nothing(owner: str) -> None:
    assert not owners.is_dead(owner.replace("{place}", owners.place() or ""))


def test_where_proc_shows_another_namespace_nothing_is_proved(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "proc"
    (fake / "sys/kernel/random").mkdir(parents=True)
    (fake / "sys/kernel/random/boot_id").write_text("7")
    (fake / "1/ns").mkdir(parents=True)
    (fake / "1/ns/pid").touch()
    (fake / "self").symlink_to("1")
    monkeypatch.setattr(owners, "_PROC", fake)
    assert owners.place() is None
    (fake / "self").unlink()
    (fake / str(os.getpid())).symlink_to("1")
    (fake / "self").symlink_to(str(os.getpid()))
    assert owners.place() is not None
    (fake / "sys/kernel/random/boot_id").unlink()
    assert owners.place() is None


def test_an_owner_fits_into_its_column() -> None:
    owner = owners.name_process("x" * 300)
    name, place, *_ = owner.split("/")
    # Process ids go up to 2**22; a kernel that ticks a hundred times a second would need 300 years for 13 digits.
    longest = f"{name}/{place}/{2**22}.{'9' * 13}/{'9' * 13}/{2**22}"
    assert len(owner) <= len(longest) <= _COLUMN_LENGTH


def test_a_fork_owns_under_its_own_name() -> None:
    mine = owners.name_process("training.1@host")
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, owners.name_process("training.1@host").encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 1000).decode()
    os.close(reading)
    os.close(writing)
    assert theirs.split("/")[4] == str(child)
    assert theirs.split("/")[2].partition(".")[0] == str(os.getpid())
    assert theirs != mine
