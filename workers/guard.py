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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from shared import watchdog
from shared.jobs import ledger
from workers import interruption

SLOTS = 1024
_SLOT = struct.Struct("d")
MAX_REPORT_BYTES = 200_000
"""What one report may have at most; Linux allows a little more by default."""
_MAX_ERRORS, _SHORTEST_ERROR = 50_000, 60
"""The characters of all errors in a report together, and what each has at least."""


class Stop(BaseException):
    """The task must stop now: cancelled, past its deadline, fenced, or its worker shuts down."""


@dataclasses.dataclass
class WorkReport:
    """What the code that runs jobs reports of them, for the keeper and Flower."""

    errors: dict[str, str] = dataclasses.field(default_factory=dict)
    """By id, why jobs failed: the class of the error, and what may be shown of its message."""
    goes_on: bool = False
    """Whether the process has already claimed its next job."""

    def note(self, error: str | None, job_id: str) -> None:
        """Note why a job failed, if it did."""
        if error is not None:
            self.errors[job_id] = error


def _shorten(errors: Mapping[str, str]) -> dict[str, str]:
    """Shorten errors where there are many, so that they fit into one report."""
    length = max(_SHORTEST_ERROR, _MAX_ERRORS // max(1, len(errors)))
    return {job_id: error[:length] for job_id, error in errors.items()}


def _connect() -> tuple[socket.socket, socket.socket]:
    """Make the sockets of a link, which take the longest report: the ids of all jobs that are done together."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for end in ends:
        for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            end.setsockopt(socket.SOL_SOCKET, buffer, MAX_REPORT_BYTES)
    return ends


class Link:
    """Connects a worker's parent with its pool processes.

    Reports go up through a socket per role; the times of successful beats come down through shared memory, in which
    each process has a slot, and with them the time at which the parent last listened to the broker.
    """

    def __init__(self, roles: Iterable[str]) -> None:
        """Open the sockets and the memory; must happen before the pool is forked."""
        self._sockets = {role: _connect() for role in roles}
        self._beats = mmap.mmap(-1, (SLOTS + 1) * _SLOT.size + 1)
        self.note_listening()

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

    def note_listening(self) -> None:
        """Note that the parent listens to the broker at this moment."""
        self.note_beat(SLOTS, time.monotonic())

    def seconds_without_broker(self) -> float:
        """Return for how long the parent has not listened to the broker, in seconds."""
        return time.monotonic() - self.last_beat(SLOTS)


class Guard:
    """Runs tasks in a pool process so that they can be stopped from outside, or by the process itself."""

    has_keeper = True

    def __init__(
        self,
        link: Link,
        *,
        slot: int,
        fence_seconds: float,
        kill_after_seconds: float,
        turn_seconds: float,
        hang_seconds: float,
    ) -> None:
        """Start the threads that fence this process; the handler of TERM is installed with the first job.

        A claim or the writing of an end that makes no progress for `hang_seconds` ends the process; its keeper then
        moves the job on.
        """
        self._link = link
        self._slot = slot % SLOTS
        self._fence_seconds = fence_seconds
        self._kill_after_seconds = kill_after_seconds
        self.turn_seconds = turn_seconds
        """How long this process may go on with one role's jobs before other roles have their turn."""
        self._is_busy = False
        self._is_stoppable = False
        self._previous_handler: Any = None
        self._errors: dict[str, str] = {}
        self.stopped = False
        self._claims_and_ends = watchdog.Watchdog(hang_seconds=hang_seconds).watch("claims and ends")
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
            interruption.interrupt_all()
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
        self._claims_and_ends.turn()
        try:
            yield
        finally:
            self._claims_and_ends.rest()
            self._is_busy = False

    def is_last(self) -> bool:
        """Return whether this process should claim no further job, because it or its worker is to stop."""
        return self.stopped or self._link.is_closed()

    @contextlib.contextmanager
    def work(self, kind: str, held: Sequence[ledger.Held], *, since: float, has_message: bool) -> Iterator[WorkReport]:
        """Have the keeper beat for jobs while the block runs; their leases began no earlier than `since`, monotonic s.

        The block fills in the report that it gets. Celery shows Flower the first job if that has a message, the keeper
        shows the others. When the process `goes_on` with another job, the report of that one's start ends this one.
        """
        role = kind.partition(".")[0]
        report = WorkReport()
        self._link.note_beat(self._slot, since)
        self._link.report(
            role,
            pid=os.getpid(),
            start=[(each.job_id, each.attempt) for each in held],
            slot=self._slot,
            since=since,
            kind=kind,
            has_message=has_message,
            errors=self._errors,
        )
        self._errors = {}
        try:
            yield report
        finally:
            errors = _shorten(report.errors)
            if report.goes_on:
                self._errors = errors
            else:
                self._link.report(role, pid=os.getpid(), errors=errors)

    @contextlib.contextmanager
    def stoppable(self) -> Iterator[None]:
        """Allow Stop to be raised inside the block, and nowhere else."""
        self._claims_and_ends.rest()
        self._is_stoppable = True
        try:
            if self.stopped:
                raise Stop
            yield
        finally:
            self._is_stoppable = False
            self._claims_and_ends.turn()

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

    has_keeper = False
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
    def work(
        self,
        _kind: str,
        _held: Sequence[ledger.Held],
        *,
        since: float,  # noqa: ARG002
        has_message: bool,  # noqa: ARG002
    ) -> Iterator[WorkReport]:
        """Run the block; nobody beats for the jobs."""
        yield WorkReport()

    def is_last(self) -> bool:
        """Return False: more jobs may follow."""
        return False
