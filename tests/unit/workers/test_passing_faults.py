"""A full disk, a read-only database and a store that is away cost a job time: no try, no loss, and never its end."""

import contextlib
import errno
import os
import pathlib
import threading
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from shared import contract, errors, ping, settings
from shared.jobs.states import State
from shared.objects import store
from tests import disks
from tests.unit.rig import PAST, Rig
from tests.unit.workers.turns import attempt, pong, put, raising
from workers.guard import Guard
from workers.job import Body, Finish, Job
from workers.tabular import engine
from workers.training.search import mapped

TRIES = 3


@pytest.fixture(autouse=True)
def at_once(process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing wait before it is tried again."""
    monkeypatch.setenv("MILLRACE_RETRY_BASE_SECONDS", "0")
    settings.load.cache_clear()


def check_it_waits(rig: Rig, job_id: str, body: Body, *, words: str) -> None:
    """See that more attempts than a job has tries leave it waiting with all of them, and that it then succeeds."""
    for number in range(1, TRIES + 3):
        assert attempt(body, job_id) is not None
        row = rig.row(job_id)
        assert (row.state, row.attempt, row.tries_left, row.lost) == (State.QUEUED, number, TRIES, 0)
        assert (row.error_type, row.lease_owner) == ("UnavailableError", None)
        assert words in row.error_message
    assert attempt(pong, job_id) is None
    assert rig.state(job_id) == State.SUCCEEDED


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "The disk has no room left."),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "The disk has no room left."),
        (OSError(errno.EROFS, "Read-only file system"), "The disk is read-only"),
        (store.StoreDownError(), "The object store can't be reached."),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_fault_uses_up_no_try(rig: Rig, error: Exception, words: str) -> None:
    check_it_waits(rig, put(rig), raising(error), words=words)


def test_a_fault_that_a_body_took_for_bad_data_uses_up_no_try(rig: Rig) -> None:
    def body(_job: Job, _command: contract.Command) -> Finish:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise errors.BadDataError("this can't be read as Parquet") from error

    check_it_waits(rig, put(rig), body, words="The disk has no room left.")


def test_a_job_that_is_never_without_its_fault_fails_at_last(rig: Rig) -> None:
    job_id = put(rig)
    body = raising(OSError(errno.ENOSPC, "No space left on device"))
    attempt(body, job_id)
    rig.change(job_id, started_at=PAST)
    for tries_left in (2, 1):
        attempt(body, job_id)
        assert (rig.state(job_id), rig.row(job_id).tries_left) == (State.QUEUED, tries_left)
    attempt(body, job_id)
    assert (rig.state(job_id), rig.row(job_id).error_type) == (State.FAILED, "UnavailableError")


@pytest.mark.parametrize("error", [ConnectionResetError("gone"), errors.RetryableError("not now")])
def test_what_a_users_source_does_uses_up_a_try(rig: Rig, error: Exception) -> None:
    job_id = put(rig)
    attempt(raising(error), job_id)
    assert (rig.state(job_id), rig.row(job_id).tries_left) == (State.QUEUED, TRIES - 1)


def artifact(job: Job, _command: contract.Command) -> Finish:
    """Write more than a small disk holds."""
    job.output("model.skops").path.write_bytes(os.urandom(900 * 1024))
    return ping.Pong(attempt=job.attempt)


def scratch(job: Job, _command: contract.Command) -> Finish:
    """Spool more than a small disk holds."""
    with (job.scratch / "rows").open("wb") as file:
        for _ in range(225):
            file.write(os.urandom(4096))
    return ping.Pong(attempt=job.attempt)


def cached(job: Job, _command: contract.Command) -> Finish:
    """Keep more in the host's cache than a small disk holds."""

    def make(path: pathlib.Path) -> None:
        path.write_bytes(os.urandom(900 * 1024))

    job.cached("entry", make)
    return ping.Pong(attempt=job.attempt)


def mapping(job: Job, _command: contract.Command) -> Finish:
    """Map more than a small disk holds, which kills a process that writes it without having asked for room."""
    mapped._save_block(job.scratch / "block.npy", [pd.Series(np.zeros(60_000)), pd.Series(np.ones(60_000))])
    return ping.Pong(attempt=job.attempt)


def array(job: Job, _command: contract.Command) -> Finish:
    """Save more than a small disk holds."""
    mapped._save(job.scratch, "array", np.arange(120_000.0))
    return ping.Pong(attempt=job.attempt)


def spill(job: Job, _command: contract.Command) -> Finish:
    """Let duckdb keep more than a small disk holds."""
    with engine.open_database(job.scratch, threads=1) as connection:
        connection.execute("CREATE TABLE t AS SELECT hash(range) AS h FROM range(2000000)")
        connection.execute("CHECKPOINT")
    return ping.Pong(attempt=job.attempt)


@pytest.mark.parametrize("body", [artifact, scratch, cached, mapping, array])
def test_a_disk_that_is_really_full_costs_only_time(
    rig: Rig, body: Body, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with disks.small(tmp_path / "home", kibibytes=1024) as home:
        monkeypatch.setattr("tempfile.tempdir", str(home))
        job_id = put(rig)
        with disks.filled(home):
            assert attempt(body, job_id) == "UnavailableError: The disk has no room left."
            row = rig.row(job_id)
            assert (row.state, row.tries_left, row.lost, row.error_type) == (State.QUEUED, TRIES, 0, "UnavailableError")
        assert attempt(body, job_id) is None
        assert rig.state(job_id) == State.SUCCEEDED


@pytest.mark.parametrize("is_full", [True, False], ids=["full at the start", "full while it is used"])
def test_what_duckdb_says_of_a_full_disk_is_understood(
    rig: Rig, is_full: bool, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with disks.small(tmp_path / "home", kibibytes=1024) as home:
        monkeypatch.setattr("tempfile.tempdir", str(home))
        job_id = put(rig)
        with disks.filled(home) if is_full else contextlib.nullcontext():
            assert attempt(spill, job_id) == "UnavailableError: The disk has no room left."
        assert (rig.state(job_id), rig.row(job_id).tries_left) == (State.QUEUED, TRIES)


def after(seconds: float, act: Callable[[], object]) -> threading.Timer:
    """Do something later."""
    timer = threading.Timer(seconds, act)
    timer.start()
    return timer


@pytest.mark.parametrize("kept", [False, True], ids=["a result", "rows"])
def test_an_end_waits_until_the_database_can_be_written_again(rig: Rig, guard: Guard, kept: bool) -> None:
    job_id = put(rig)
    engines = (rig.engines.transactions, rig.engines.statements)
    stack = contextlib.ExitStack()

    def body(job: Job, _command: contract.Command) -> Finish:
        stack.enter_context(disks.read_only(*engines))
        timers.append(after(1.2, stack.close))
        answer = ping.Pong(attempt=job.attempt)
        return (lambda _connection: answer) if kept else answer

    timers: list[threading.Timer] = []
    began = time.monotonic()
    assert attempt(body, job_id, guard=guard) is None
    assert time.monotonic() - began >= 1.2
    timers[0].join()
    row = rig.row(job_id)
    assert (row.state, row.attempt, row.lost) == (State.SUCCEEDED, 1, 0)


def test_a_failure_waits_until_the_database_can_be_written_again(rig: Rig, guard: Guard) -> None:
    job_id = put(rig)
    stack = contextlib.ExitStack()

    def body(_job: Job, _command: contract.Command) -> Finish:
        stack.enter_context(disks.read_only(rig.engines.transactions, rig.engines.statements))
        after(1.2, stack.close)
        raise errors.BadDataError("never")

    assert attempt(body, job_id, guard=guard) == "BadDataError: never"
    assert (rig.state(job_id), rig.row(job_id).error_type) == (State.FAILED, "BadDataError")


def test_nothing_is_claimed_or_lost_while_a_database_is_read_only(rig: Rig) -> None:
    job_id = put(rig)
    with disks.read_only(rig.engines.relaxed):
        assert attempt(pong, job_id) == "OperationalError"
    assert (rig.state(job_id), rig.row(job_id).attempt) == (State.QUEUED, 0)
    assert attempt(pong, job_id) is None


def test_progress_that_can_not_be_written_is_no_reason_to_fail(rig: Rig) -> None:
    def body(job: Job, command: contract.Command) -> Finish:
        with disks.read_only(rig.engines.relaxed):
            job.progress(0.5, "half")
            job.show({"so": "far"})
        return pong(job, command)

    job_id = put(rig)
    assert attempt(body, job_id) is None
    assert rig.state(job_id) == State.SUCCEEDED
