"""Runs services in forks of this process, starts again those that die, and ends them all together.

This process has one thread and no connection, because neither survives a fork: what needs them runs in a service.
docs/decisions/deployment.md, "`make up` imports once and forks".
"""

import contextlib
import dataclasses
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from multiprocessing.context import ForkProcess
from typing import Any, Self

from deploy import forking, lifeline, terminal

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 10.0
_STABLE_SECONDS = 30.0
"""A service that has lived this long is started again after the first pause."""
_LOOK_SECONDS = 1.0
_LONGEST_LINE_BYTES = 2**20


@dataclasses.dataclass(frozen=True)
class Service:
    """What one process does."""

    name: str
    run: Callable[[], object]
    note: str = ""
    """What the operator reads beside its name."""
    on_end: Callable[[int], None] | None = None
    """What is done with its exit status; None when it is to run always, and so is started again."""
    ends_last: bool = False
    """Whether the others need it while they end."""


@dataclasses.dataclass(eq=False)
class _Running:
    service: Service
    process: ForkProcess
    pid: int
    output: int
    unread: bytes = b""
    began: float = dataclasses.field(default_factory=time.monotonic)


class Supervisor:
    """The services of one `make up`."""

    def __init__(self, output: terminal.Output, *, patience_seconds: float) -> None:
        """Start nothing yet; services that have not ended this long after TERM are killed."""
        self.is_stopping = False
        self._output = output
        self._patience_seconds = patience_seconds
        self._running: list[_Running] = []
        self._due: list[tuple[float, Service]] = []
        self._pauses: dict[str, float] = {}
        self._lifeline = lifeline.Lifeline()
        self._watcher: ForkProcess | None = None
        self._selector = selectors.DefaultSelector()
        self._wake = socket.socketpair()

    def __enter__(self) -> Self:
        """Take over the signals, and start the lifeline's watcher."""
        for end in self._wake:
            end.setblocking(False)
        self._selector.register(self._wake[0], selectors.EVENT_READ, None)
        signal.set_wakeup_fd(self._wake[1].fileno(), warn_on_full_buffer=False)
        for number in forking.SIGNALS:
            signal.signal(number, self._on_signal)
        self._keep_watcher()
        return self

    def __exit__(self, *_: object) -> None:
        """End everything, whatever has happened."""
        try:
            self._end_all()
        finally:
            self._lifeline.close()
            if self._watcher is not None:
                self._watcher.join()
            forking.reset_signals()
            self._close()

    def start(self, service: Service) -> None:
        """Start a service."""
        reading, writing = os.pipe()
        process = forking.fork(self._become, service, (reading, writing), name=service.name)
        os.close(writing)
        os.set_blocking(reading, False)
        running = _Running(service, process, process.pid or 0, reading)
        self._running.append(running)
        self._selector.register(reading, selectors.EVENT_READ, running)
        if service.on_end is None:
            self._output.started(service.name, pid=running.pid, note=service.note)

    def run(self) -> None:
        """Look after the services until a signal says to stop."""
        while self.turn(wait_seconds=_LOOK_SECONDS):
            pass

    def turn(self, *, wait_seconds: float = 0.0) -> bool:
        """Pass on what was written, note who has ended, start who is due; returns whether to go on."""
        waits = [wait_seconds, *(max(0.0, due - time.monotonic()) for due, _ in self._due)]
        for key, _ in self._selector.select(min(waits)):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    self._wake[0].recv(4096)
            else:
                self._read(key.data)
        for running in [running for running in self._running if running.process.exitcode is not None]:
            self._note_end(running, status=running.process.exitcode or 0)
        if not self.is_stopping:
            self._keep_watcher()
            self._start_due()
        return not self.is_stopping

    def _on_signal(self, number: int, _frame: Any) -> None:
        if number != signal.SIGCHLD:
            self.is_stopping = True

    def _keep_watcher(self) -> None:
        if self._watcher is None or self._watcher.exitcode is not None:
            self._watcher = forking.fork(self._watch, name="lifeline")
            for running in self._running:
                self._lifeline.report(running.pid)

    def _watch(self) -> None:
        self._close()
        self._lifeline.watch(grace_seconds=self._patience_seconds)

    def _become(self, service: Service, pipe: tuple[int, int]) -> None:
        """Turn this fork into the service."""
        self._lifeline.join()
        self._close()
        reading, writing = pipe
        os.close(reading)
        forking.redirect(writing)
        service.run()

    def _close(self) -> None:
        """Close what only the supervisor reads."""
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                os.close(key.fd)
        self._selector.close()
        for end in self._wake:
            end.close()

    def _read(self, running: _Running) -> bool:
        """Pass on what a process has written; returns whether there may be more."""
        try:
            chunk = os.read(running.output, 65536)
        except BlockingIOError:
            return False
        *lines, running.unread = (running.unread + chunk).split(b"\n")
        if not chunk:
            self._selector.unregister(running.output)
            os.close(running.output)
            lines, running.unread = [running.unread], b""
        elif len(running.unread) > _LONGEST_LINE_BYTES:
            lines, running.unread = [*lines, running.unread], b""
        for line in filter(None, lines):
            self._output.pass_on(running.service.name, line)
        return bool(chunk)

    def _note_end(self, running: _Running, *, status: int) -> None:
        self._running.remove(running)
        # Its last words come before ours. Where its pool still holds the pipe, there is no end of it to wait for.
        while running.output in self._selector.get_map() and self._read(running):
            pass
        running.process.close()
        # The kernel kills a worker's pool with the worker; the API's processes would serve on beside the new ones.
        lifeline.kill(running.pid)
        if running.service.on_end is not None:
            running.service.on_end(status)
        elif not self.is_stopping:
            self._plan_restart(running, status=status)

    def _plan_restart(self, running: _Running, *, status: int) -> None:
        name = running.service.name
        pause = self._pauses.get(name, 0.0) * 2
        if time.monotonic() - running.began > _STABLE_SECONDS:
            pause = 0.0
        pause = min(_LONGEST_PAUSE_SECONDS, pause or _FIRST_PAUSE_SECONDS)
        self._pauses[name] = pause
        self._due.append((time.monotonic() + pause, running.service))
        self._output.ended(name, status=status, pause_seconds=pause)

    def _start_due(self) -> None:
        due = [service for when, service in self._due if when <= time.monotonic()]
        self._due = [(when, service) for when, service in self._due if service not in due]
        for service in due:
            self.start(service)

    def _end_all(self) -> None:
        self.is_stopping = True
        limit = time.monotonic() + self._patience_seconds
        for last in (False, True):
            asked = [running for running in self._running if running.service.ends_last == last]
            # Each alone, so that a worker decides what becomes of its pool.
            for running in asked:
                running.process.terminate()
            while set(asked) & set(self._running) and time.monotonic() < limit:
                self.turn(wait_seconds=_LOOK_SECONDS)
        while self._running:
            for running in self._running:
                lifeline.kill(running.pid)
                running.process.kill()
            self.turn(wait_seconds=_LOOK_SECONDS)
