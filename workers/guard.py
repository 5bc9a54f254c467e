"""A pool process's side of the leash: it tells the keeper what it works on, and can be stopped.

The keeper lives in the worker's parent process, so that a task which holds the interpreter's lock for
minutes keeps its lease. It stops a task by TERM, which raises Stop in the task's thread.
"""

import contextlib
import dataclasses
import json
import mmap
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

SLOTS = 1024
_SLOT = struct.Struct("d")


class Stop(BaseException):
    """The task must stop now: cancelled, past its deadline, fenced, or its worker is going."""


@dataclasses.dataclass
class Told:
    """What a job's work says of itself."""

    error: str | None = None
    """The class of the error that ended it."""
    goes_on: bool = False
    """Whether the process has the next job in its hands already."""


class Leash:
    """What a worker's parent and its pool processes share: a socket a role for news, a clock of good beats for each."""

    def __init__(self, roles: Iterable[str]) -> None:
        """Make them before the pool is forked."""
        self._news = {role: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for role in roles}
        self._beats = mmap.mmap(-1, SLOTS * _SLOT.size + 1)

    def keeper_end(self, role: str) -> socket.socket:
        """Give the end at which a role's keeper hears its news."""
        return self._news[role][0]

    def tell(self, role: str, **news: Any) -> None:
        """Tell a role's keeper what a pool process does."""
        with contextlib.suppress(OSError):
            self._news[role][1].send(json.dumps(news).encode())

    def close(self) -> None:
        """Let the pool's processes begin nothing more by themselves."""
        self._beats[-1] = 1

    def is_closed(self) -> bool:
        """Tell whether the worker is about to end."""
        return self._beats[-1] == 1

    def good_beat(self, slot: int) -> float:
        """Give the monotonic time, in seconds, at which a slot's last good beat was sent."""
        return float(_SLOT.unpack_from(self._beats, slot * _SLOT.size)[0])

    def note_beat(self, slot: int, at: float) -> None:
        """Note the monotonic time, in seconds, at which a good beat was sent."""
        _SLOT.pack_into(self._beats, slot * _SLOT.size, at)


class Guard:
    """Runs tasks in a pool process so that they can be stopped from outside, or by the process itself."""

    def __init__(
        self, leash: Leash, *, slot: int, fence_seconds: float, kill_after_seconds: float, turn_seconds: float
    ) -> None:
        """Start the thread that fences this process; TERM is taken over with the first job."""
        self._leash = leash
        self._slot = slot % SLOTS
        self._fence_seconds = fence_seconds
        self._kill_after_seconds = kill_after_seconds
        self.turn_seconds = turn_seconds
        """How long this process may go on with one role's jobs before others have their turn."""
        self._guarded = False
        self._working = False
        self._otherwise: Any = None
        self._error: str | None = None
        self.stopped = False
        threading.Thread(target=self._fence, name="fence", daemon=True).start()

    def _take_term(self) -> None:
        # With the first job, because Celery's pool sets a handler of its own when its processes have started.
        if self._otherwise is None:
            self._otherwise = signal.signal(signal.SIGTERM, self._on_term) or signal.SIG_DFL

    def _on_term(self, number: int, frame: Any) -> None:
        self.stopped = True
        if self._working:
            # Once only: what writes the job's end afterwards must not be torn by a second one.
            self._working = False
            raise Stop
        if self._guarded:
            return
        if callable(self._otherwise):
            self._otherwise(number, frame)
        else:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Let TERM only be noted while the block runs, so that no claim is left behind by a process that died of it."""
        self._take_term()
        self.stopped, self._guarded = False, True
        try:
            yield
        finally:
            self._guarded = False

    def is_last(self) -> bool:
        """Tell whether the job just done was this process's last, because it or its worker is to end."""
        return self.stopped or self._leash.is_closed()

    @contextlib.contextmanager
    def work(self, kind: str, job_id: str, *, attempt: int, since: float, has_message: bool) -> Iterator["Told"]:
        """Let the keeper beat for a job while the block runs; its lease is at least as old as `since`, monotonic.

        The block may note the job's `error`; Celery tells Flower of the jobs that have a message, the keeper of
        the others. When the process `goes_on` with another job, the news of that one's start ends this one.
        """
        role = kind.partition(".")[0]
        told = Told()
        self._leash.note_beat(self._slot, since)
        self._leash.tell(
            role,
            pid=os.getpid(),
            start=[job_id, attempt],
            slot=self._slot,
            since=since,
            shown=None if has_message else kind,
            error=self._error,
        )
        self._error = None
        try:
            yield told
        finally:
            if told.goes_on:
                self._error = told.error
            else:
                self._leash.tell(role, pid=os.getpid(), end=[job_id, attempt], error=told.error)

    @contextlib.contextmanager
    def stoppable(self) -> Iterator[None]:
        """Let Stop be raised inside the block, and nowhere else."""
        self._working = True
        try:
            if self.stopped:
                raise Stop
            yield
        finally:
            self._working = False

    def _fence(self) -> None:
        """Stop the task when no good beat was sent for too long, whatever the reason."""
        while True:
            time.sleep(min(1.0, self._fence_seconds / 4))
            if not self._working or self._age() < self._fence_seconds:
                continue
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(self._kill_after_seconds)
            if self._guarded and self._age() >= self._fence_seconds:
                os.kill(os.getpid(), signal.SIGKILL)

    def _age(self) -> float:
        return time.monotonic() - self._leash.good_beat(self._slot)


class Unguarded:
    """Stands in for a guard in a process that nobody watches, such as a test's: it does one job at a time."""

    stopped = False

    def __init__(self, *, turn_seconds: float = 0.0) -> None:
        """Let a turn go on for so long; with 0 it is over after the named job."""
        self.turn_seconds = turn_seconds

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Let the block run."""
        yield

    @contextlib.contextmanager
    def stoppable(self) -> Iterator[None]:
        """Let the block run."""
        yield

    @contextlib.contextmanager
    def work(self, _kind: str, _job_id: str, *, attempt: int, since: float, has_message: bool) -> Iterator[Told]:  # noqa: ARG002
        """Let the block run; nobody beats for the job."""
        yield Told()

    def is_last(self) -> bool:
        """Tell that more jobs may follow."""
        return False
