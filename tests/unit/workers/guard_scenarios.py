"""What a pool process lives through under a guard: run as a process of its own, which says what it saw.

`python -m tests.unit.workers.guard_scenarios <scenario>` prints one JSON list.
"""

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from shared.jobs import ledger
from workers import guard

HELD = ledger.Held("training_1", 2)

Say = Callable[[Any], None]


def make(
    link: guard.Link, *, fence_seconds: float = 60, kill_after_seconds: float = 60, hang_seconds: float = 60
) -> guard.Guard:
    """Make a guard of this process."""
    return guard.Guard(
        link,
        slot=guard.SLOTS + 3,
        fence_seconds=fence_seconds,
        kill_after_seconds=kill_after_seconds,
        turn_seconds=60,
        hang_seconds=hang_seconds,
    )


def term() -> None:
    """Tell this process to stop, as its keeper does."""
    os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def working(mine: guard.Guard) -> Iterator[None]:
    """Work on a job."""
    with mine.busy(), mine.work("training.fit", [HELD], since=time.monotonic(), has_message=True):
        yield


def term_during_work(say: Say) -> None:
    """A TERM while the task's body runs raises Stop in it, past any `except Exception`."""
    mine = make(guard.Link(["training"]))
    with working(mine):
        try:
            with mine.stoppable():
                try:
                    term()
                    say("went on")
                except Exception:  # noqa: BLE001 - as careless tasks do.
                    say("swallowed")
        except guard.Stop:
            say("stopped")
        term()
        say("finished")
    say(mine.stopped)


def term_while_finishing(say: Say) -> None:
    """A TERM between the body and the end is only noted; a body that would begin then does not."""
    mine = make(guard.Link(["training"]))
    with working(mine):
        with mine.stoppable():
            say("worked")
        term()
        say("finished")
        say(mine.stopped)
        try:
            with mine.stoppable():
                say("worked again")
        except guard.Stop:
            say("stopped")
    with working(mine), mine.stoppable():
        say("next job")
    say(mine.stopped)


def term_in_idleness(say: Say) -> None:
    """A TERM while nothing is done ends the process."""
    mine = make(guard.Link(["training"]))
    with working(mine), mine.stoppable():
        say("worked")
    term()
    say("still here")


def term_during_a_claim(say: Say) -> None:
    """A TERM before the keeper knows of a job is only noted, and keeps its body from beginning."""
    mine = make(guard.Link(["training"]))
    with mine.busy():
        term()
        say("claimed")
        with mine.work("training.fit", [HELD], since=time.monotonic(), has_message=True):
            try:
                with mine.stoppable():
                    say("worked")
            except guard.Stop:
                say("stopped")


def term_as_the_body_ends(say: Say) -> None:
    """A TERM in the moment in which the body is left must not leave the end open to a second one."""
    mine = make(guard.Link(["training"]))

    def on_call(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_name == "__exit__" and "contextlib" in frame.f_code.co_filename:
            sys.setprofile(None)
            term()

    with working(mine):
        try:
            with mine.stoppable():
                sys.setprofile(on_call)
        except guard.Stop:
            say("stopped")
            try:
                term()
                say("finished")
            except guard.Stop:
                say("stopped while finishing")


def silence(say: Say) -> None:
    """A task for which no beat succeeds stops itself; one that does not stop is killed."""
    mine = make(guard.Link(["training"]), fence_seconds=0.2, kill_after_seconds=0.2)
    with working(mine):
        try:
            with mine.stoppable():
                time.sleep(10)
        except guard.Stop:
            say("stopped")
    with working(mine), mine.stoppable():
        for _ in range(2):
            with contextlib.suppress(guard.Stop):
                time.sleep(10)
        say("outlived it")


def good_beats(say: Say) -> None:
    """A task whose beats succeed goes on, though it sends nothing itself."""
    link = guard.Link(["training"])
    mine = make(link, fence_seconds=0.4, kill_after_seconds=0.1)
    until = time.monotonic() + 1.2

    def beat() -> None:
        while time.monotonic() < until:
            link.note_beat(3, time.monotonic())
            time.sleep(0.05)

    beats = threading.Thread(target=beat)
    beats.start()
    with working(mine), mine.stoppable():
        beats.join()
    say(mine.stopped)


def slow_finish(say: Say) -> None:
    """An end that takes longer than the fence is not stopped by it: the row decides."""
    mine = make(guard.Link(["training"]), fence_seconds=0.2, kill_after_seconds=0.1)
    with working(mine):
        with mine.stoppable():
            pass
        time.sleep(0.8)
    say(mine.stopped)


def hung_claim(say: Say) -> None:
    """A claim that never comes back ends the process."""
    mine = make(guard.Link(["training"]), hang_seconds=0.4)
    with mine.busy():
        say("claims")
        time.sleep(10)
    say("still here")


def hung_finish(say: Say) -> None:
    """An end that is never written ends the process, however long its body may take."""
    mine = make(guard.Link(["training"]), hang_seconds=0.4)
    with working(mine):
        with mine.stoppable():
            time.sleep(1.0)
            say("worked")
        time.sleep(10)
    say("still here")


def hung_next_claim(say: Say) -> None:
    """A claim that hangs after jobs were done ends the process."""
    mine = make(guard.Link(["training"]), hang_seconds=0.4)
    with mine.busy():
        for _ in range(3):
            with (
                mine.work("training.fit", [HELD], since=time.monotonic(), has_message=True),
                mine.stoppable(),
            ):
                time.sleep(0.3)
        say("worked")
        time.sleep(10)
    say("still here")


def idle(say: Say) -> None:
    """A process that has nothing to do does not hang."""
    mine = make(guard.Link(["training"]), hang_seconds=0.4)
    with working(mine), mine.stoppable():
        pass
    time.sleep(1.2)
    say("still here")


def news(say: Say) -> None:
    """The keeper gets a report of a job's start and of its end."""
    link = guard.Link(["training"])
    mine = make(link)
    keeper = link.keeper_end("training")
    with contextlib.suppress(ZeroDivisionError), working(mine):
        reports = [json.loads(keeper.recv(65536))]
        raise ZeroDivisionError
    reports.append(json.loads(keeper.recv(65536)))
    assert abs(reports[0].pop("since") - link.last_beat(3)) < 1
    for report in reports:
        assert report.pop("pid") == os.getpid()
        say(report)
    say(time.monotonic() - link.last_beat(3) < 5)


def main(scenario: str) -> None:
    """Run a scenario and print what it saw, as it sees it."""
    globals()[scenario](lambda seen: print(json.dumps(seen), flush=True))  # noqa: T201 - the answer to the test.


if __name__ == "__main__":
    main(sys.argv[1])
