"""A pool process's side of the link to its keeper: it reports what it works on, and can be stopped.

The keeper lives in the worker's parent process, so that a task which holds the interpreter's lock for
minutes keeps its lease (docs/decisions/workers.md, "The keeper is a thread of Celery's parent process").
It stops a task by TERM, which raises Stop in the task's thread.
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
    """The task must stop now: cancelled, past its deadline, fenced, or its worker shuts down."""


@dataclasses.dataclass
class WorkReport:
    """What the code that runs a job reports of it, for the keeper and Flower."""

    error: str | None = None
    """The class of the error that ended it."""
    goes_on: bool = False
    """Whether the process has already claimed its next job."""


class Link:
    """Connects a worker's parent with its pool processes.

    Reports go up through a socket per role; the times of successful beats come down through shared memory, in which
    each process has a slot.
    """

    def __init__(self, roles: Iterable[str]) -> None:
        """Open the sockets and the memory; must happen before the pool is forked."""
        self._sockets = {role: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for role in roles}
        self._beats = mmap.mmap(-1, SLOTS * _SLOT.size + 1)

    def keeper_end(self, role: str) -> socket.socket:
        """Return the socket at which a role's keeper receives reports."""
        return self._sockets[role][0]

    def report(self, role: str, **fields: Any) -> None:
        """Send a role's keeper a report of what a pool process does."""
        with contextlib.suppress(OSError):
            self._sockets[role][1].send(json.dumps(fields).encode())

    def close(self) -> None:
        """Keep the pool's processes from claiming further jobs by themselves."""
        self._beats[-1] = 1

    def is_closed(self) -> bool:
        """Return whether the worker is shutting down."""
        return self._beats[-1] == 1

    def last_beat(self, slot: int) -> float:
        """Return the monotonic time, in seconds, at which a slot's last successful beat was sent."""
        return float(_SLOT.unpack_from(self._beats, slot * _SLOT.size)[0])

    def note_beat(self, slot: int, at: float) -> None:
        """Note the monotonic time, in seconds, at which a successful beat was sent."""
        _SLOT.pack_into(self._beats, slot * _SLOT.size, at)


class Guard:
    """Runs tasks in a pool process so that they can be stopped from outside, or by the process itself."""

    def __init__(
        self, link: Link, *, slot: int, fence_seconds: float, kill_after_seconds: float, turn_seconds: float
    ) -> None:
        """Start the thread that fences this process; the handler of TERM is installed with the first job."""
        self._link = link
        self._slot = slot % SLOTS
        self._fence_seconds = fence_seconds
        self._kill_after_seconds = kill_after_seconds
        self.turn_seconds = turn_seconds
        """How long this process may go on with one role's jobs before other roles have their turn."""
        self._is_busy = False
        self._is_stoppable = False
        self._previous_handler: Any = None
        self._error: str | None = None
        self.stopped = False
        threading.Thread(target=self._fence, name="fence", daemon=True).start()

    def _install_handler(self) -> None:
        # With the first job, because Celery's pool sets a handler of its own when its processes start.
        if self._previous_handler is None:
            self._previous_handler = signal.signal(signal.SIGTERM, self._on_term) or signal.SIG_DFL

    def _on_term(self, number: int, frame: Any) -> None:
        self.stopped = True
        if self._is_stoppable:
            # Only once: a second TERM must not interrupt the writing of the job's end.
            self._is_stoppable = False
            raise Stop
        if self._is_busy:
            return
        if callable(self._previous_handler):
            self._previous_handler(number, frame)
        else:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Only note a TERM while the block runs, so that the process doesn't die of it with a claimed job."""
        self._install_handler()
        self.stopped, self._is_busy = False, True
        try:
            yield
        finally:
            self._is_busy = False

    def is_last(self) -> bool:
        """Return whether this process should claim no further job, because it or its worker is to stop."""
        return self.stopped or self._link.is_closed()

    @contextlib.contextmanager
    def work(self, kind: str, job_id: str, *, attempt: int, since: float, has_message: bool) -> Iterator[WorkReport]:
        """Have the keeper beat for a job while the block runs; its lease began no earlier than `since` (monotonic, s).

        The block fills in the report that it gets. Celery shows Flower the jobs that have a message, the keeper shows
        the others. When the process `goes_on` with another job, the report of that one's start ends this one.
        """
        role = kind.partition(".")[0]
        report = WorkReport()
        self._link.note_beat(self._slot, since)
        self._link.report(
            role,
            pid=os.getpid(),
            start=[job_id, attempt],
            slot=self._slot,
            since=since,
            flower_name=None if has_message else kind,
            error=self._error,
        )
        self._error = None
        try:
            yield report
        finally:
            if report.goes_on:
                self._error = report.error
            else:
                self._link.report(role, pid=os.getpid(), end=[job_id, attempt], error=report.error)

    @contextlib.contextmanager
    def stoppable(self) -> Iterator[None]:
        """Allow Stop to be raised inside the block, and nowhere else."""
        self._is_stoppable = True
        try:
            if self.stopped:
                raise Stop
            yield
        finally:
            self._is_stoppable = False

    def _fence(self) -> None:
        """Stop the task when no beat has succeeded for too long, whatever the reason."""
        while True:
            time.sleep(min(1.0, self._fence_seconds / 4))
            if not self._is_stoppable or self._seconds_since_beat() < self._fence_seconds:
                continue
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(self._kill_after_seconds)
            if self._is_busy and self._seconds_since_beat() >= self._fence_seconds:
                os.kill(os.getpid(), signal.SIGKILL)

    def _seconds_since_beat(self) -> float:
        return time.monotonic() - self._link.last_beat(self._slot)


class Unguarded:
    """Takes a guard's place in a process without a keeper, such as a test's."""

    stopped = False

    def __init__(self, *, turn_seconds: float = 0.0) -> None:
        """Let a turn last this long; with 0 it is over after the job that the doorbell named."""
        self.turn_seconds = turn_seconds

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Run the block."""
        yield

    @contextlib.contextmanager
    def stoppable(self) -> Iterator[None]:
        """Run the block."""
        yield

    @contextlib.contextmanager
    def work(self, _kind: str, _job_id: str, *, attempt: int, since: float, has_message: bool) -> Iterator[WorkReport]:  # noqa: ARG002
        """Run the block; nobody beats for the job."""
        yield WorkReport()

    def is_last(self) -> bool:
        """Return False: more jobs may follow."""
        return False
