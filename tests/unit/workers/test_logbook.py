"""What is logged during an attempt is kept with its job, and nothing is when nothing was said."""

import concurrent.futures
import functools
import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa
import sqlalchemy.exc
import structlog
import structlog.testing

from shared import contract, errors, ping
from shared.jobs import log_lines, tables
from shared.jobs.states import State
from tests.unit.rig import Rig
from tests.unit.workers.turns import PING, attempt, pong, put, raising, take_turn
from workers import log_capture, logbook
from workers.guard import Guard, Unguarded
from workers.job import Finish, Job, Rest
from workers.turn import Turn

pytestmark = pytest.mark.usefixtures("process", "taken")
_log = structlog.get_logger()
_library = logging.getLogger("some.library")


@pytest.fixture
def taken(process: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process take lines as a worker's does, and write those of running jobs at once."""
    monkeypatch.setattr(logbook, "_FLUSH_SECONDS", 0.05)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    root = logging.getLogger()
    before = list(root.handlers)
    log_capture.install()
    log_capture.log_warnings()
    warnings.simplefilter("default")
    processors = [structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, log_capture.take]
    # Loggers keep the configuration that they were first used with, which may be another test's.
    for module in list(sys.modules.values()):
        logger = getattr(module, "_log", None)
        if logger is not None and "bind" in getattr(logger, "__dict__", {}):
            del logger.bind
    with structlog.testing.capture_logs(processors=processors):
        yield
    root.handlers[:] = before


def rows(rig: Rig, job_id: str) -> list[sa.Row[Any]]:
    logs = tables.job_logs
    with rig.engines.statements.connect() as connection:
        query = sa.select(logs).where(logs.c.job_id == job_id).order_by(logs.c.number)
        return list(connection.execute(query))


def lines(rig: Rig, job_id: str) -> list[tuple[int, str, str]]:
    return [(row.attempt, row.level, row.message) for row in rows(rig, job_id)]


def saying(say: Callable[[Job], None]) -> Callable[[Job, contract.Command], Finish]:
    """Make a body that says something and answers."""

    def body(job: Job, command: contract.Command) -> Finish:
        say(job)
        return pong(job, command)

    return body


def test_a_job_that_says_nothing_keeps_nothing_and_the_next_is_claimed_with_its_end(rig: Rig) -> None:
    first, second = put(rig), put(rig)
    owners: list[str] = []
    take_turn(saying(lambda job: owners.append(rig.row(job.id).lease_owner)), first)
    assert [rig.state(first), rig.state(second)] == [State.SUCCEEDED] * 2
    assert rows(rig, first) == rows(rig, second) == []


def test_what_a_body_a_library_and_python_say_is_kept_by_attempt(rig: Rig) -> None:
    job_id = put(rig)

    def say(job: Job) -> None:
        _log.info("part_done", part=3, share=0.5, of=job)
        _log.debug("detail")
        _library.info("small talk")
        _library.warning("%s of %d", "two", 3)
        _library.log(45, "%d of it", 3)
        warnings.warn("it is uncertain", stacklevel=1)
        if job.attempt == 1:
            raise errors.RetryableError("not yet")

    assert attempt(saying(say), job_id) == "RetryableError: not yet"
    rig.change(job_id, run_after=0)
    assert attempt(saying(say), job_id) is None
    said = [
        ("info", "part_done"),
        ("warning", "two of 3"),
        ("error", "3 of it"),
        ("warning", "UserWarning: it is uncertain"),
    ]
    assert lines(rig, job_id) == [
        *((1, *each) for each in said),
        (1, "info", "job_retry_scheduled"),
        (2, "info", "job_started"),
        *((2, *each) for each in said),
    ]
    first, second, *_ = rows(rig, job_id)
    assert first.fields.keys() == {"part", "share", "of"}
    assert (first.fields["part"], first.fields["share"]) == (3, 0.5)
    assert second.fields == {"logger": "some.library"}
    assert rig.row(job_id).created_at <= first.at <= rig.row(job_id).finished_at


def test_a_failure_tells_why_in_our_own_words_only(rig: Rig) -> None:
    ours, foreign = put(rig), put(rig)
    attempt(raising(errors.BadDataError("row 1 is no row")), ours)
    attempt(raising(ValueError("the value 'Jane Doe'")), foreign)
    assert [(row.message, row.fields) for row in rows(rig, ours)] == [
        ("job_failed", {"error": "BadDataError: row 1 is no row"})
    ]
    assert [(row.level, row.message, row.fields) for row in rows(rig, foreign)] == [
        ("error", "job_error_raised", {"error": "ValueError"}),
        ("error", "job_failed", {"error": "ValueError"}),
    ]


def test_secrets_and_what_no_database_takes_are_replaced(rig: Rig) -> None:
    job_id = put(rig)

    def say(_job: Job) -> None:
        _library.warning("retrying postgres://user:hunter2@host/db and /path?X-Signature=hunter2&x=1 'now'")
        _library.warning("Authorization: Bearer hunter2, api_key = hunter2")
        _log.info("asked", access_token="hunter2", tokens=7, odd="a\0b\ud800", big=2**60, none=float("nan"))
        try:
            raise ValueError("hunter2")
        except ValueError:
            _library.exception("it failed")

    attempt(saying(say), job_id)
    kept = rows(rig, job_id)
    assert "hunter2" not in str([(row.message, row.fields) for row in kept])
    assert kept[0].message == "retrying postgres://***@host/db and /path?*** 'now'"
    assert kept[2].fields["tokens"] == 7
    assert kept[3].fields == {"logger": "some.library", "error": "ValueError"}


@pytest.mark.parametrize("text", ["x", "y" * 3_000])
def test_an_attempt_keeps_so_many_lines_and_says_how_many_it_dropped(rig: Rig, text: str) -> None:
    job_id = put(rig)

    def say(_job: Job) -> None:
        for _ in range(2_000):
            _log.info(text)
        _log.warning("it matters")

    attempt(saying(say), job_id)
    *kept, last = rows(rig, job_id)
    assert len(kept) < log_lines.MAX_LINES
    assert sum(len(row.message) for row in kept) <= log_lines.MAX_BYTES
    assert kept[-1].message == "it matters"
    assert (last.message, last.fields) == ("lines_dropped", {"dropped": 2_001 - len(kept)})
    assert len(kept) > (890 if text == "x" else 50)


def until(ready: Callable[[], bool]) -> None:
    limit = time.monotonic() + 10
    while not ready():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_lines_of_a_running_job_are_there_before_its_end(rig: Rig) -> None:
    job_id, seen = put(rig), []

    def has_lines(job_id: str, count: int) -> bool:
        return len(rows(rig, job_id)) == count

    def say(job: Job) -> None:
        for count in (1, 2):
            _log.info("part_done", part=count)
            until(functools.partial(has_lines, job.id, count))
            seen.append(count)

    assert attempt(saying(say), job_id) is None
    assert seen == [1, 2]
    assert [row.fields for row in rows(rig, job_id)] == [{"part": 1}, {"part": 2}]


def test_a_database_that_is_away_meanwhile_costs_neither_the_job_nor_its_lines(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id, failed = put(rig), threading.Event()

    def fail(*_: Any) -> None:
        failed.set()
        raise sqlalchemy.exc.OperationalError("", None, OSError())

    monkeypatch.setattr(log_lines, "append_while_running", fail)

    def say(_job: Job) -> None:
        _log.info("part_done")
        assert failed.wait(10)

    assert attempt(saying(say), job_id) is None
    assert lines(rig, job_id) == [(1, "info", "part_done")]


def test_an_attempt_that_lost_its_job_adds_nothing(rig: Rig) -> None:
    job_id = put(rig)

    def say(job: Job) -> None:
        rig.lose(job.id)
        rig.sweep()
        assert rig.claim(job.id, owner="another")
        _log.info("late")

    attempt(saying(say), job_id)
    assert rows(rig, job_id) == []


def test_a_job_that_is_stopped_keeps_what_it_said_and_that_it_was_stopped(rig: Rig, guard: Guard) -> None:
    job_id = put(rig)

    def say(_job: Job) -> None:
        _log.info("part_done")
        os.kill(os.getpid(), signal.SIGTERM)

    assert attempt(saying(say), job_id, guard=guard) == "Stopped"
    assert lines(rig, job_id) == [(1, "info", "part_done"), (1, "info", "job_stopped")]
    assert rows(rig, job_id)[1].fields == {"state": "queued"}


def test_a_job_that_rests_says_under_one_attempt_what_it_says_in_its_turns(rig: Rig) -> None:
    job_id = put(rig)

    def body(job: Job, command: contract.Command) -> Finish:
        if job.attempt == 2:
            return Rest(seconds=0)
        _log.info("turn", number=job.attempt)
        return Rest(seconds=0) if job.attempt == 1 else pong(job, command)

    for _ in range(3):
        attempt(body, job_id)
    assert lines(rig, job_id) == [(1, "info", "turn"), (1, "info", "job_resumed"), (1, "info", "turn")]


def test_what_a_thread_of_the_body_says_is_the_jobs(rig: Rig) -> None:
    job_id = put(rig)

    def say(_job: Job) -> None:
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            threads.submit(_library.warning, "from a thread").result()

    attempt(saying(say), job_id)
    assert lines(rig, job_id) == [(1, "warning", "from a thread")]
    _library.warning("too late")
    assert len(rows(rig, job_id)) == 1


def test_jobs_that_are_done_together_each_have_what_is_said_of_all(rig: Rig) -> None:
    gathering = contract.Gathering(alike="group", size="rows", max_jobs=4, max_size=100)
    kind = contract.Kind(PING.name, PING.command, PING.result, PING.description, gathers=gathering)
    jobs = [put(rig, pinned={"group": "a", "rows": 1}) for _ in range(3)]

    def body(given: Sequence[Job], _commands: Sequence[Any]) -> Sequence[contract.Result]:
        if len(given) > 1:
            _log.warning("version_failed")
            _log.info("row_odd", job_id=jobs[1])
            raise errors.BadDataError("one of them is bad")
        if given[0].id == jobs[2]:
            raise errors.BadDataError("this one")
        _log.info("alone")
        return [ping.Pong(attempt=job.attempt) for job in given]

    Turn(kind.role, {kind.name: (kind, body)}, owner="test", guard=Unguarded(turn_seconds=60)).work(jobs[0])
    assert [[row.message for row in rows(rig, job_id)] for job_id in jobs] == [
        ["version_failed", "alone"],
        ["version_failed", "row_odd", "alone"],
        ["version_failed", "job_failed"],
    ]
