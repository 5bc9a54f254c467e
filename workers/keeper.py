"""The parent's side of the link to a worker's pool: it beats for running jobs, and stops those that must stop.

It runs as a thread of Celery's main process, which never runs a task, so no task can stall it. Each role has a keeper
of its own, so that a database that hangs costs no other role's job its lease. docs/decisions/workers.md, "The keeper is
a thread of Celery's parent process" and "Each role has a keeper of its own, and forks wait for the keepers".
"""

import contextlib
import dataclasses
import functools
import json
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import prometheus_client
import psutil
import structlog

from shared import database, health_file, settings, telemetry
from shared.jobs import ledger, offspring, workers
from workers import guard

_log = structlog.get_logger()
_TICK_SECONDS = 0.25
_LONGEST_FORK_WAIT_SECONDS = 12.0

RUNNING = prometheus_client.Gauge("millrace_jobs_running", "Jobs that this worker runs.", ["role"])
FENCED = prometheus_client.Counter("millrace_jobs_fenced_total", "Jobs stopped because their lease was lost.", ["role"])
SECONDS = prometheus_client.Histogram("millrace_job_run_seconds", "Time from claim to end of an attempt.", ["role"])


@dataclasses.dataclass
class Task:
    """A job that one of the pool's processes works on."""

    job_id: str
    attempt: int
    pid: int
    slot: int
    since: float
    last_beat: float
    next_beat: float
    next_cancel_check: float
    flower_name: str | None = None
    """Its kind, when the keeper has to show it to Flower, because no message of Celery's started it."""
    stop_sent: float | None = None


class Keeper:
    """Keeps the leases of all jobs of one role that a worker's pool runs."""

    def __init__(
        self,
        link: guard.Link,
        *,
        role: str,
        config: settings.Settings,
        databases: database.Databases,
        worker: workers.Worker,
        send_to_flower: Callable[[tuple[str, dict[str, Any]]], None],
    ) -> None:
        """Keep a role's jobs; the registry shows `worker`, and `send_to_flower` takes an event's name and fields."""
        self._send_to_flower = send_to_flower
        self._link = link
        self._reports = link.keeper_end(role)
        self._role = role
        self._config = config
        self._databases = databases
        self._worker = worker
        self._tasks: dict[int, Task] = {}
        self._next_announce = 0.0
        self._hand_back_at: float | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"keeper-{role}", daemon=True)
        self.at_work = threading.Lock()
        """Held whenever the keeper does anything but wait."""

    def start(self) -> None:
        """Start the keeper's thread."""
        self._thread.start()

    def drain(self) -> None:
        """Begin to shut down: no further job is claimed, and those still running after the grace are handed back."""
        self._link.close()
        self._hand_back_at = time.monotonic() + self._config.worker_grace_seconds

    def stop(self) -> None:
        """Stop the keeper's thread, and leave the registry."""
        self._stopping.set()
        self._thread.join(timeout=5)
        with contextlib.suppress(*database.FAULTS), self._databases[self._role].relaxed.connect() as connection:
            workers.withdraw(connection, self._worker.id)

    def _run(self) -> None:
        next_check = 0.0
        while not self._stopping.is_set():
            select.select([self._reports], [], [], _TICK_SECONDS)
            with self.at_work:
                self._read_reports()
                # By the clock and not at each report: short jobs send many, and looking at processes is expensive.
                if time.monotonic() >= next_check:
                    for task in list(self._tasks.values()):
                        self._run_step(functools.partial(self._check, task))
                    next_check = time.monotonic() + _TICK_SECONDS
                if time.monotonic() >= self._next_announce:
                    self._run_step(self._announce)

    def _run_step(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - a keeper that ends would lose every lease.
            _log.error("keeper_step_failed", role=self._role, **telemetry.describe(error))

    def _read_reports(self) -> None:
        """Handle the reports that the pool's processes have sent."""
        while True:
            try:
                report = json.loads(self._reports.recv(65536, socket.MSG_DONTWAIT))
            except BlockingIOError:
                return
            self._handle_report(report)

    def _handle_report(self, report: dict[str, Any]) -> None:
        pid = report["pid"]
        self._forget(pid, error=report.get("error"))
        if "start" in report:
            job_id, attempt = report["start"]
            since = report["since"]
            self._tasks[pid] = Task(
                job_id,
                attempt,
                pid,
                report["slot"],
                since=since,
                last_beat=since,
                next_beat=since + self._config.beat_seconds,
                next_cancel_check=since + self._config.cancel_check_seconds,
                flower_name=report["flower_name"],
            )
            if name := report["flower_name"]:
                self._send_to_flower(("task-received", {"uuid": job_id, "name": name, "args": "()", "kwargs": "{}"}))
                self._send_to_flower(("task-started", {"uuid": job_id}))
            RUNNING.labels(self._role).inc()

    def _forget(self, pid: int, *, error: str | None = None) -> None:
        task = self._tasks.pop(pid, None)
        if task is None:
            return
        seconds = time.monotonic() - task.since
        RUNNING.labels(self._role).dec()
        SECONDS.labels(self._role).observe(seconds)
        if task.flower_name and error:
            self._send_to_flower(("task-failed", {"uuid": task.job_id, "exception": error, "traceback": ""}))
        elif task.flower_name:
            self._send_to_flower(("task-succeeded", {"uuid": task.job_id, "result": "None", "runtime": seconds}))

    def _check(self, task: Task) -> None:
        now = time.monotonic()
        status = _read_status(task.pid)
        if status is None:
            self._end_job_of_dead(task)
        elif task.stop_sent is not None:
            if now - task.stop_sent >= self._config.kill_after_seconds:
                _send_signal(task.pid, signal.SIGKILL)
        elif self._hand_back_at is not None and now >= self._hand_back_at:
            self._stop(task, why="worker_stops")
        elif now - task.last_beat >= self._config.fence_seconds:
            FENCED.labels(self._role).inc()
            self._stop(task, why="no_good_beat")
        elif status != psutil.STATUS_STOPPED:
            # A stopped process (SIGSTOP) makes no progress, so its lease is left to run out.
            self._beat_if_due(task, now)

    def _beat_if_due(self, task: Task, now: float) -> None:
        """Beat when a beat is due; between beats check whether the job is to be cancelled."""
        if now < min(task.next_beat, task.next_cancel_check):
            return
        is_due = now >= task.next_beat
        task.next_cancel_check = now + self._config.cancel_check_seconds
        try:
            with self._databases[self._role].relaxed.connect() as connection:
                if is_due:
                    beat = ledger.beat(
                        connection,
                        task.job_id,
                        attempt=task.attempt,
                        lease_seconds=self._config.lease_seconds,
                    )
                else:
                    beat = ledger.peek(connection, task.job_id, attempt=task.attempt)
        except database.FAULTS as fault:
            _log.warning("beat_failed", job_id=task.job_id, role=self._role, error=type(fault).__name__)
            return
        if is_due:
            task.next_beat = now + self._config.beat_seconds
        self._apply_beat(task, beat, sent=now if is_due else None)

    def _apply_beat(self, task: Task, beat: ledger.Beat | None, *, sent: float | None) -> None:
        """Act on what the ledger answered; `sent` is the time of a beat, None for a mere check."""
        if beat is None:
            # The end may have been committed a moment ago, with its report still under way.
            select.select([self._reports], [], [], _TICK_SECONDS)
            self._read_reports()
            if self._tasks.get(task.pid) is task:
                FENCED.labels(self._role).inc()
                self._stop(task, why="lease_lost")
            return
        if sent is not None:
            task.last_beat = sent
            self._link.note_beat(task.slot, sent)
        if beat.cancel_requested or beat.expired:
            self._stop(task, why="cancelled" if beat.cancel_requested else "deadline")

    def _stop(self, task: Task, *, why: str) -> None:
        _log.info("job_stop_requested", job_id=task.job_id, role=self._role, attempt=task.attempt, reason=why)
        task.stop_sent = time.monotonic()
        _send_signal(task.pid, signal.SIGTERM)

    def _end_job_of_dead(self, task: Task) -> None:
        """Move on the job of a dead process: as it was meant to end when the keeper stopped it, else as lost."""
        with self._databases[self._role].transactions.begin() as connection:
            if task.stop_sent is None:
                ledger.expire_lease(connection, task.job_id, attempt=task.attempt)
            else:
                moved = ledger.hand_back(connection, task.job_id, attempt=task.attempt)
                offspring.wake_parents_of_ended(connection, moved)
        self._forget(task.pid, error="WorkerLostError")
        _log.warning("job_process_died", job_id=task.job_id, role=self._role, attempt=task.attempt)

    def _announce(self) -> None:
        self._next_announce = time.monotonic() + self._config.beat_seconds
        health_file.touch(self._config.health_file)
        worker = dataclasses.replace(self._worker, busy=len(self._tasks))
        try:
            with self._databases[self._role].relaxed.connect() as connection:
                workers.announce(connection, worker)
        except database.FAULTS as fault:
            _log.warning("worker_announce_failed", role=self._role, error=type(fault).__name__)


class ForkBarrier:
    """Lets the worker's parent fork only while no keeper is at work and no database is open.

    A child would inherit connections in the middle of their use: of SQLite, locks that it would wait for forever, as if
    another process held them; of PostgreSQL, half a conversation.
    """

    def __init__(self, keepers: Sequence[Keeper], *, databases: database.Databases) -> None:
        """Register with Python to run around every fork of this process from now on."""
        self._keepers = keepers
        self._databases = databases
        self._pid = os.getpid()
        self._held: list[threading.Lock] = []
        os.register_at_fork(before=self._begin, after_in_parent=self._end, after_in_child=self._end)

    def _begin(self) -> None:
        if os.getpid() != self._pid:
            return
        for keeper in self._keepers:
            # A little longer than SQLite waits for a lock; a server that hangs must not hold up the whole worker.
            if keeper.at_work.acquire(timeout=_LONGEST_FORK_WAIT_SECONDS):
                self._held.append(keeper.at_work)
        self._databases.dispose()

    def _end(self) -> None:
        while self._held:
            self._held.pop().release()


def _read_status(pid: int) -> str | None:
    """Read a process's status; None when it is dead."""
    try:
        status: str = psutil.Process(pid).status()
    except psutil.NoSuchProcess:
        return None
    return None if status in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD} else status


def _send_signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
