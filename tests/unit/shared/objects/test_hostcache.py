"""The host's cache: made once, shared by links, bounded, and safe against processes that die."""

import multiprocessing
import os
import pathlib
import subprocess
import sys
import time

import pytest

from shared.objects import hostcache, scratch


def cache_in(root: pathlib.Path, *, max_bytes: int = 1000) -> hostcache.HostCache:
    """Return a cache in a folder."""
    return hostcache.HostCache(root, max_bytes=max_bytes)


def entries(root: pathlib.Path) -> set[str]:
    """Name what the cache keeps."""
    return {path.name for path in (root / "entries").iterdir()}


def writing(size: int, log: list[str] | None = None, name: str = "") -> hostcache.MakeEntry:
    """Build a function that makes an entry of a size."""

    def make(path: pathlib.Path) -> None:
        if log is not None:
            log.append(name)
        path.write_bytes(b"x" * size)

    return make


def test_an_entry_is_made_once(tmp_path: pathlib.Path) -> None:
    log: list[str] = []
    first, second = hostcache.Hold(cache_in(tmp_path)), hostcache.Hold(cache_in(tmp_path))
    one, other = (hold.link("a", writing(5, log)) for hold in (first, second))
    assert len(log) == 1
    assert one.samefile(other)
    assert one != other
    for hold in (first, second):
        hold.close()


def _link(root: pathlib.Path, log: pathlib.Path) -> None:
    def make(path: pathlib.Path) -> None:
        with log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.05)
        path.write_bytes(b"x")

    hold = hostcache.Hold(cache_in(root))
    assert hold.link("a", make).read_bytes() == b"x"
    hold.close()


def test_processes_that_want_the_same_at_once_make_it_once(tmp_path: pathlib.Path) -> None:
    processes = [
        multiprocessing.get_context("fork").Process(target=_link, args=(tmp_path / "cache", tmp_path / "log"))
        for _ in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=20)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert len((tmp_path / "log").read_text().split()) == 1


def test_a_folder_can_be_an_entry(tmp_path: pathlib.Path) -> None:
    def make(path: pathlib.Path) -> None:
        path.mkdir()
        (path / "one.npy").write_bytes(b"1")
        (path / "two.npy").write_bytes(b"2")

    hold = hostcache.Hold(cache_in(tmp_path))
    path = hold.link("npy", make)
    assert {file.name: file.read_bytes() for file in path.iterdir()} == {"one.npy": b"1", "two.npy": b"2"}
    hold.close()
    assert not path.exists()


def test_those_used_longest_ago_are_dropped_first(tmp_path: pathlib.Path) -> None:
    cache = cache_in(tmp_path, max_bytes=250)
    hold = hostcache.Hold(cache)
    for moment, name in enumerate(["a", "b"]):
        hold.link(name, writing(100))
        os.utime(tmp_path / "locks" / name, (moment, moment))
    hold.link("a", writing(100))
    hold.link("c", writing(100))
    assert entries(tmp_path) == {"a", "c"}
    hold.close()


def test_an_entry_in_use_outlives_its_place_in_the_cache(tmp_path: pathlib.Path) -> None:
    hold = hostcache.Hold(cache_in(tmp_path, max_bytes=50))
    first = hold.link("a", writing(40))
    hold.link("b", writing(40))
    assert entries(tmp_path) == {"b"}
    assert first.read_bytes() == b"x" * 40
    hold.close()


def test_an_entry_too_large_for_the_cache_can_be_used(tmp_path: pathlib.Path) -> None:
    hold = hostcache.Hold(cache_in(tmp_path, max_bytes=10))
    assert hold.link("a", writing(40)).stat().st_size == 40
    hold.link("b", writing(5))
    assert entries(tmp_path) == {"b"}
    hold.close()


def test_making_that_fails_leaves_nothing(tmp_path: pathlib.Path) -> None:
    def make(path: pathlib.Path) -> None:
        path.write_bytes(b"half")
        raise ZeroDivisionError

    hold = hostcache.Hold(cache_in(tmp_path))
    with pytest.raises(ZeroDivisionError):
        hold.link("a", make)
    assert not list(hold.path.iterdir())
    assert hold.link("a", writing(1)).read_bytes() == b"x"
    hold.close()


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".a", "a\0", "a" * 300])
def test_a_name_is_never_a_path(tmp_path: pathlib.Path, name: str) -> None:
    hold = hostcache.Hold(cache_in(tmp_path))
    with pytest.raises(ValueError, match="can't name an entry"):
        hold.link(name, writing(1))
    hold.close()


DIES = """
import os, pathlib, sys
from shared.objects import scratch
folder = scratch.Scratch(pathlib.Path(sys.argv[1])).path
(folder / "rest").write_text("left behind")
print(folder, flush=True)
if sys.argv[2] == "die":
    os.kill(os.getpid(), 9)
sys.stdin.read()
"""


def _start(root: pathlib.Path, what: str) -> tuple[subprocess.Popen[str], pathlib.Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", DIES, str(root), what], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, pathlib.Path(process.stdout.readline().strip())


def test_the_scratch_of_a_killed_process_is_removed_and_a_live_ones_is_not(tmp_path: pathlib.Path) -> None:
    dead, left = _start(tmp_path, "die")
    live, kept = _start(tmp_path, "live")
    dead.communicate(timeout=20)
    assert left.exists()
    assert scratch.sweep(tmp_path) == 0, "a folder may be a moment older than its lock"
    for path in (left, kept):
        os.utime(path.with_suffix(".lock"), (1, 1))
    assert scratch.sweep(tmp_path) == 1
    assert not left.exists()
    assert (kept / "rest").exists()
    live.communicate(timeout=20)


def test_what_is_not_a_scratch_folder_is_left_alone(tmp_path: pathlib.Path) -> None:
    for name in ("millrace-backup", "millrace-0123.lock", "other"):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1, 1))
    assert scratch.sweep(tmp_path) == 0
    assert len(list(tmp_path.iterdir())) == 3


def test_a_scratch_folder_is_removed_once(tmp_path: pathlib.Path) -> None:
    folder = scratch.Scratch(tmp_path)
    (folder.path / "file").write_text("x")
    folder.remove()
    folder.remove()
    assert not list(tmp_path.iterdir())
