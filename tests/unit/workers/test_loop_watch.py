"""The watch over a worker's loop."""

import threading
import time

import pytest

from workers import loop_watch

TICK_SECONDS = 0.01


class Watched:
    """A watch that ticks fast, and what it did."""

    def __init__(self) -> None:
        self.cuts = 0
        self.ended = threading.Event()
        self.watch = loop_watch.LoopWatch(cut=self._cut, end=self._end)
        self.watch.start()

    def _cut(self) -> None:
        self.cuts += 1

    def _end(self, _status: int) -> None:
        self.ended.set()
        # As a process that ends does.
        threading.Event().wait()


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setattr(loop_watch, "_TICK_SECONDS", TICK_SECONDS)
    return Watched()


def test_a_loop_that_turns_is_left_alone(watched: Watched) -> None:
    until = time.monotonic() + 100 * TICK_SECONDS
    while time.monotonic() < until:
        watched.watch.note_turn()
        time.sleep(TICK_SECONDS)
    assert not watched.ended.is_set()
    assert watched.cuts == 0


def test_a_loop_that_stands_still_is_cut_off_from_its_broker_and_then_ended(watched: Watched) -> None:
    assert watched.ended.wait(20)
    assert watched.cuts == 3


def test_a_loop_that_goes_on_when_it_was_cut_off_is_not_ended(watched: Watched) -> None:
    until = time.monotonic() + 20
    while watched.cuts == 0:
        assert time.monotonic() < until
        time.sleep(TICK_SECONDS)
    until = time.monotonic() + 150 * TICK_SECONDS
    while time.monotonic() < until:
        watched.watch.note_turn()
        time.sleep(TICK_SECONDS)
    assert watched.cuts == 1
    assert not watched.ended.is_set()


def test_a_process_that_should_end_and_does_not_is_ended(watched: Watched) -> None:
    watched.watch.expect_end(within_seconds=10 * TICK_SECONDS)
    assert watched.ended.wait(20)
    assert watched.cuts == 0
