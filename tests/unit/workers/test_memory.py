"""A job that needs more memory than its process may take fails for good, says so, and leaves its process in order."""

import os
import pathlib
import resource
import sys
import threading
from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from shared import contract, errors, ping, settings
from shared.jobs.states import State
from tests.unit.rig import ROLE, Rig
from tests.unit.workers.turns import put, take_turn
from workers import memory
from workers.job import Finish, Job

pytestmark = pytest.mark.usefixtures("process")

MEBIBYTE = 1024**2
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="macOS doesn't keep the limit")


@pytest.fixture
def limit_bytes(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Let processes of the role take 200 MiB more than this one has."""
    [line] = [line for line in pathlib.Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData")]
    limit = int(line.split()[1]) * 1024 + 200 * MEBIBYTE
    monkeypatch.setenv(f"MILLRACE_WORKER_MEMORY_{ROLE.upper()}", str(limit))
    settings.load.cache_clear()
    yield limit
    settings.load.cache_clear()


@needs_linux
def test_the_memory_that_is_limited_is_read_of_any_process() -> None:
    before = memory.read_data_bytes(os.getpid())
    held = bytearray(100 * MEBIBYTE)
    assert 90 * MEBIBYTE < memory.read_data_bytes(os.getpid()) - before < 200 * MEBIBYTE
    assert len(held) == 100 * MEBIBYTE
    assert memory.read_data_bytes(2**30) == 0


def by_numpy() -> Any:
    return np.ones(50 * MEBIBYTE)


def by_arrow() -> Any:
    # More than its allocator can have at hand, which keeps gigabytes in a process of many tests.
    return pa.allocate_buffer(memory.current_bytes() or 0)


def by_python() -> Any:
    return [bytes(MEBIBYTE) for _ in range(400)]


def by_duckdb() -> Any:
    with duckdb.connect(config={"memory_limit": "50MiB", "temp_directory": ""}) as connection:
        return connection.execute("SELECT list(i ORDER BY -i) FROM range(20_000_000) t(i)").fetchall()


def by_threads() -> Any:
    ended = threading.Event()
    try:
        for _ in range(200):
            threading.Thread(target=ended.wait, daemon=True).start()
        return []
    finally:
        ended.set()


def as_our_own() -> Any:
    try:
        return by_numpy()
    except MemoryError as error:
        raise errors.BadDataError("this can't be read") from error


@needs_linux
@pytest.mark.parametrize("take", [by_numpy, by_arrow, by_python, by_duckdb, by_threads, as_our_own])
def test_a_job_that_needs_more_fails_at_once_and_names_the_limit(rig: Rig, limit_bytes: int, take: Any) -> None:
    def body(_job: Job, _command: contract.Command) -> Finish:
        held = [bytes(MEBIBYTE) for _ in range(50)]
        return ping.Pong(attempt=len(take()) + len(held))

    job_id = put(rig)
    assert (take_turn(body, job_id) or "").startswith("LimitExceededError: The job needs more memory than a process")
    row = rig.row(job_id)
    assert (row.state, row.attempt, row.lost, row.error_type) == (State.FAILED, 1, 0, "LimitExceededError")
    assert f"process of the role {ROLE} may take, which is {memory.describe(limit_bytes)}" in row.error_message
    assert f"MILLRACE_WORKER_MEMORY_{ROLE.upper()}" in row.error_message


@needs_linux
def test_its_process_goes_on_with_jobs_that_need_less(rig: Rig, limit_bytes: int) -> None:
    def body(job: Job, command: contract.Command) -> Finish:
        if job.id == first:
            held = [np.ones(MEBIBYTE)]
            while True:
                held.append(np.ones(MEBIBYTE))
        return ping.Pong(attempt=len(np.ones(15 * MEBIBYTE)) // (15 * MEBIBYTE))

    before = resource.getrlimit(resource.RLIMIT_DATA)
    first, *others = [put(rig) for _ in range(3)]
    take_turn(body, first)
    assert [rig.row(job_id).state for job_id in (first, *others)] == [State.FAILED, State.SUCCEEDED, State.SUCCEEDED]
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_other_errors_stay_as_they_are(rig: Rig) -> None:
    def body(_job: Job, _command: contract.Command) -> Finish:
        raise ValueError("the data is bad")

    job_id = put(rig)
    assert take_turn(body, job_id) == "ValueError"


@needs_linux
@pytest.mark.parametrize(("text", "expected"), [("0", None), ("3GiB", 3 * 1024**3), ("2147483648", 2 * 1024**3)])
def test_a_limit_is_set_for_all_roles_or_one(monkeypatch: pytest.MonkeyPatch, text: str, expected: int | None) -> None:
    monkeypatch.setenv("MILLRACE_WORKER_MEMORY", text)
    config = settings.Settings()
    assert memory.limit_bytes("training", config=config) == expected
    monkeypatch.setenv("MILLRACE_WORKER_MEMORY_TRAINING", "5GiB")
    config = settings.Settings()
    assert memory.limit_bytes("training", config=config) == 5 * 1024**3
    assert memory.limit_bytes("evaluation", config=config) == expected
    with memory.limited("training", config=config):
        assert memory.current_bytes() == 5 * 1024**3
    assert memory.current_bytes() is None


@needs_linux
def test_the_limit_ends_with_the_last_of_jobs_side_by_side() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    first, second = (memory.limited("training", config=settings.Settings(worker_memory=n * 1024**4)) for n in (1, 2))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert memory.current_bytes() == 2 * 1024**4
    second.__exit__(None, None, None)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_by_default_a_pool_takes_four_fifths_of_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_available_bytes_once", lambda: 10 * 1024**3)
    assert memory.limit_bytes("training", config=settings.Settings(worker_concurrency=2)) == 4 * 1024**3
    assert memory.limit_bytes("training", config=settings.Settings(worker_concurrency=200)) == 1024**3


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"memory.max": "2147483648\n"}, 2 * 1024**3),
        ({"memory/memory.limit_in_bytes": "3221225472\n"}, 3 * 1024**3),
        ({"memory.max": "max\n"}, None),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ({}, None),
    ],
)
def test_a_containers_limit_counts(
    files: dict[str, str], expected: int | None, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "none")
    host = memory.available_bytes()
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path)
    assert memory.available_bytes() == (expected or host)
