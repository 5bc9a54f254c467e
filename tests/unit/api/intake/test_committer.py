"""Requests that share a transaction: each of them gets an answer, whatever becomes of the one that commits."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from api.intake.committer import Committer
from shared import database, errors
from shared.jobs import ledger
from tests.unit.rig import ROLE, Rig, new_job


class FakeRinger:
    """A ringer whose doorbells reach nobody."""

    def ring(self, _doorbells: Iterable[ledger.Doorbell]) -> None:
        """Ring."""


class Databases:
    """One role's database, of which each use first does the next thing of a list."""

    def __init__(self, engines: database.Engines, *acts: Callable[[], None]) -> None:
        """Do things when it is used."""
        self._engines = engines
        self._acts = list(acts)

    def __getitem__(self, _role: str) -> database.Engines:
        """Return the engines."""
        if self._acts:
            self._acts.pop(0)()
        return self._engines


class Request(threading.Thread):
    """A request for one job."""

    def __init__(self, committer: Committer) -> None:
        """Ask at once."""
        super().__init__(daemon=True)
        self._committer = committer
        self.job = new_job()
        self.answer: Any = None
        self.start()

    def run(self) -> None:
        """Ask, and keep the answer."""
        try:
            self.answer = self._committer.accept([self.job])
        except BaseException as fault:  # noqa: BLE001 - it is the answer.
            self.answer = fault


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    limit = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < limit, "it did not come to be so"
        time.sleep(0.001)


def test_those_whose_commit_ended_with_its_thread_are_told_and_the_next_is_served(rig: Rig) -> None:
    requests: list[Request] = []

    def gather() -> None:
        for count in (1, 2):
            requests.append(Request(committer))
            until(lambda count=count: len(committer._waiting) == count)  # type: ignore[misc]

    def end() -> None:
        requests.append(Request(committer))
        until(lambda: len(committer._waiting) == 1)
        raise SystemExit

    committer = Committer(
        ROLE,
        databases=Databases(rig.engines, gather, end),  # type: ignore[arg-type]
        ringer=FakeRinger(),  # type: ignore[arg-type]
        ring_soon_seconds=1,
        wait_seconds=60,
    )
    first = Request(committer)
    first.join(timeout=10)
    until(lambda: len(requests) == 3)
    for request in requests:
        request.join(timeout=10)
        assert not request.is_alive()
    leader, follower, next_one = (request.answer for request in requests)
    assert list(first.answer) == [first.job.id]
    assert isinstance(leader, SystemExit)
    assert isinstance(follower, errors.UnavailableError)
    assert list(next_one) == [requests[2].job.id]
    assert set(rig.rows()) == {first.job.id, requests[2].job.id}


def test_a_request_does_not_wait_for_good_for_the_commit_of_another(rig: Rig) -> None:
    is_stuck, is_released = threading.Event(), threading.Event()

    def hang() -> None:
        is_stuck.set()
        is_released.wait()

    committer = Committer(
        ROLE,
        databases=Databases(rig.engines, hang),  # type: ignore[arg-type]
        ringer=FakeRinger(),  # type: ignore[arg-type]
        ring_soon_seconds=1,
        wait_seconds=0.3,
    )
    leader = Request(committer)
    assert is_stuck.wait(10)
    others = [Request(committer) for _ in range(3)]
    for other in others:
        other.join(timeout=10)
        assert isinstance(other.answer, errors.UnavailableError)
        assert "nothing was accepted" in str(other.answer)
        assert other.answer.retry_after_seconds
    assert committer._waiting == []
    is_released.set()
    leader.join(timeout=10)
    assert list(leader.answer) == [leader.job.id]
    assert set(rig.rows()) == {leader.job.id}, "what was refused is not done later"
    after = Request(committer)
    after.join(timeout=10)
    assert list(after.answer) == [after.job.id]


def test_a_request_whose_job_another_one_is_committing_is_told_that_it_may_be_accepted(rig: Rig) -> None:
    requests: list[Request] = []
    is_released = threading.Event()

    def gather() -> None:
        for count in (1, 2):
            requests.append(Request(committer))
            until(lambda count=count: len(committer._waiting) == count)  # type: ignore[misc]

    committer = Committer(
        ROLE,
        databases=Databases(rig.engines, gather, lambda: bool(is_released.wait())),  # type: ignore[arg-type]
        ringer=FakeRinger(),  # type: ignore[arg-type]
        ring_soon_seconds=1,
        wait_seconds=0.3,
    )
    first = Request(committer)
    first.join(timeout=10)
    second, follower = requests
    follower.join(timeout=10)
    assert isinstance(follower.answer, errors.UnavailableError)
    assert "may or may not have succeeded" in str(follower.answer)
    is_released.set()
    second.join(timeout=10)
    assert list(second.answer) == [second.job.id]
    assert set(rig.rows()) == {first.job.id, second.job.id, follower.job.id}


@pytest.mark.parametrize("count", [64])
def test_of_many_at_once_only_those_with_bad_rows_fail(rig: Rig, count: int) -> None:
    committer = Committer(
        ROLE,
        databases=Databases(rig.engines),  # type: ignore[arg-type]
        ringer=FakeRinger(),  # type: ignore[arg-type]
        ring_soon_seconds=1,
        wait_seconds=60,
    )
    taken = rig.put()
    outcomes: list[tuple[bool, Any]] = []

    def ask(is_bad: bool) -> None:
        job = new_job(id=taken) if is_bad else new_job()
        try:
            outcomes.append((is_bad, list(committer.accept([job])) == [job.id]))
        except Exception as fault:  # noqa: BLE001 - it is the answer.
            outcomes.append((is_bad, type(fault).__name__))

    threads = [threading.Thread(target=ask, args=(number % 8 == 0,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert not any(thread.is_alive() for thread in threads)
    assert sorted(map(str, outcomes)) == sorted(
        str((number % 8 == 0, "IntegrityError" if number % 8 == 0 else True)) for number in range(count)
    )
    assert not committer._has_leader
    assert committer._waiting == []
