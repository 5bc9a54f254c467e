"""The parent's side of the link to a worker's pool: it beats for running jobs, and stops those that must stop.

It runs as a thread of Celery's main process, which never runs a task, so no task can stall it. Each role has a keeper
of its own, so that a database that hangs costs no other role's job its lease. docs/decisions/workers.md, "The keeper is
a thread of Celery's parent process" and "Each role has a keeper of its own, and forks wait for the keepers".
"""

import collections
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
from collections.abc import Callable, Mapping
from typing import Any

import prometheus_client
import psutil
import structlog

from shared import database, errors, settings, telemetry, watchdog
from shared.jobs import ledger, log_lines, offspring, workers
from shared.jobs.states import State
from workers import guard, lost_leases, memory, running

_log = structlog.get_logger()
_TICK_SECONDS = 0.25

RUNNING = prometheus_client.Gauge("millrace_jobs_running", "Jobs that this worker runs.", ["role"])
FENCED = prometheus_client.Counter("millrace_jobs_fenced_total", "Jobs stopped because their lease was lost.", ["role"])
SECONDS = prometheus_client.Histogram("millrace_job_run_seconds", "Time from claim to end of an attempt.", ["role"])


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
        send_to_flower: running.SendToFlower,
    ) -> None:
        """Keep a role's jobs; the registry shows `worker`, and `send_to_flower` takes an event's name and fields."""
        self._send_to_flower = send_to_flower
        self._link = link
        self._reports = link.keeper_end(role)
        self._role = self.role = role
        self._config = config
        self._databases = databases
        self._worker = worker
        self._tasks: dict[int, running.Task] = {}
        self._calls: collections.deque[Callable[[], None]] = collections.deque()
        self._next_announce = 0.0
        self._hand_back_at: float | None = None
        self._stopping = threading.Event()
        self._watched = watchdog.of_process().watch(f"keeper of {role}")
        self._thread = threading.Thread(target=self._run, name=f"keeper-{role}", daemon=True)
        self.at_work = threading.Lock()
        """Held whenever the keeper does anything but wait."""

    def start(self) -> None:
        """Start the keeper's thread."""
        self._thread.start()

    def call(self, step: Callable[[], None]) -> None:
        """Have the keeper's thread do something in the role's database soon; never waits."""
        self._calls.append(step)

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
            self._watched.turn()
            select.select([self._reports], [], [], _TICK_SECONDS)
            with self.at_work:
                self._read_reports()
                while self._calls:
                    self._run_step(self._calls.popleft())
                # By the clock and not at each report: short jobs send many, and looking at processes is expensive.
                if time.monotonic() >= next_check:
                    for task in list(self._tasks.values()):
                        self._run_step(functools.partial(self._check, task))
                    next_check = time.monotonic() + _TICK_SECONDS
                if time.monotonic() >= self._next_announce:
                    self._run_step(self._announce)
                    self._run_step(self._release_lost)
        self._watched.end()

    def _run_step(self, step: Callable[[], None]) -> None:
        # Each, because every one of many tasks may have to wait for a database that is away.
        self._watched.turn()
        try:
            step()
        except Exception as error:  # noqa: BLE001 - a keeper that ends would lose every lease.
            _log.error("keeper_step_failed", role=self._role, **telemetry.describe(error))

    def _read_reports(self) -> None:
        """Handle the reports that the pool's processes have sent."""
        while True:
            try:
                report = json.loads(self._reports.recv(guard.MAX_REPORT_BYTES, socket.MSG_DONTWAIT))
            except BlockingIOError:
                return
            self._handle_report(report)

    def _handle_report(self, report: dict[str, Any]) -> None:
        pid = report["pid"]
        self._forget(pid, errors_by_job=report["errors"])
        if "start" in report:
            since = report["since"]
            task = self._tasks[pid] = running.Task(
                [ledger.Held(job_id, attempt) for job_id, attempt in report["start"]],
                pid,
                report["slot"],
                since=since,
                last_beat=since,
                next_beat=since + self._config.beat_seconds,
                next_cancel_check=since + self._config.cancel_check_seconds,
                kind=report["kind"],
                has_message=report["has_message"],
            )
            task.show_start(self._send_to_flower)
            RUNNING.labels(self._role).inc(len(task.held))

    def _forget(self, pid: int, *, errors_by_job: Mapping[str, str]) -> None:
        task = self._tasks.pop(pid, None)
        if task is None:
            return
        seconds = time.monotonic() - task.since
        RUNNING.labels(self._role).dec(len(task.held))
        for _ in task.held:
            SECONDS.labels(self._role).observe(seconds)
        task.show_end(self._send_to_flower, errors=errors_by_job, seconds=seconds)

    def _check(self, task: running.Task) -> None:
        now = time.monotonic()
        status = _read_status(task.pid)
        if status is None:
            self._end_job_of_dead(task)
            return
        task.data_bytes = memory.read_data_bytes(task.pid) or task.data_bytes
        if task.stop_sent is not None:
            if now >= task.kill_at:
                _send_signal(task.pid, signal.SIGKILL)
        elif self._hand_back_at is not None and now >= self._hand_back_at:
            self._stop(task, why="worker_stops")
        elif now - task.last_beat >= self._config.fence_seconds:
            FENCED.labels(self._role).inc()
            self._stop(task, why="no_good_beat", kill_after_seconds=self._config.kill_fenced_after_seconds())
        elif status != psutil.STATUS_STOPPED:
            # A stopped process (SIGSTOP) makes no progress, so its lease is left to run out.
            self._beat_if_due(task, now)

    def _beat_if_due(self, task: running.Task, now: float) -> None:
        """Beat when a beat is due; between beats check whether the job is to be cancelled."""
        if now < min(task.next_beat, task.next_cancel_check):
            return
        is_due = now >= task.next_beat
        task.next_cancel_check = now + self._config.cancel_check_seconds
        try:
            with self._databases[self._role].relaxed.connect() as connection:
                if is_due:
                    beat = task.beat(connection, lease_seconds=self._config.lease_seconds)
                else:
                    beat = task.peek(connection)
        except database.FAULTS as fault:
            _log.warning("beat_failed", job_id=task.job_id, role=self._role, error=type(fault).__name__)
            return
        if is_due:
            task.next_beat = now + self._config.beat_seconds
        self._apply_beat(task, beat, sent=now if is_due else None)

    def _apply_beat(self, task: running.Task, beat: ledger.Beat | None, *, sent: float | None) -> None:
        """Act on what the ledger answered; `sent` is the time of a beat, None for a mere check."""
        if beat is None:
            # The end may have been committed a moment ago, with its report still under way.
            select.select([self._reports], [], [], _TICK_SECONDS)
            self._read_reports()
            if self._tasks.get(task.pid) is task:
                FENCED.labels(self._role).inc()
                self._stop(task, why="lease_lost", kill_after_seconds=self._config.kill_fenced_after_seconds())
            return
        if sent is not None:
            task.last_beat = sent
            self._link.note_beat(task.slot, sent)
        if beat.cancel_requested or beat.expired:
            self._stop(task, why="cancelled" if beat.cancel_requested else "deadline")

    def _stop(self, task: running.Task, *, why: str, kill_after_seconds: float | None = None) -> None:
        _log.info("job_stop_requested", job_id=task.job_id, role=self._role, attempt=task.attempt, reason=why)
        task.stop_sent = time.monotonic()
        task.kill_at = task.stop_sent + (kill_after_seconds or self._config.kill_after_seconds)
        _send_signal(task.pid, signal.SIGTERM)

    def _end_job_of_dead(self, task: running.Task) -> None:
        """Move on the jobs of a dead process: as they were meant to end when it was stopped, else as lost.

        One that died with nearly all the memory that it may take fails: the next process would die of it as well. Of
        jobs that were done together nobody knows which one it was, so all are lost, and then done one by one.
        """
        # A process that was cut off from its database ends itself.
        was_fenced = time.monotonic() - task.last_beat >= self._config.fence_seconds
        is_loss = task.stop_sent is None and not was_fenced
        lack = memory.explain_death(task.data_bytes, role=self._role, config=self._config) if is_loss else None
        error = "WorkerLostError"
        with self._databases[self._role].transactions.begin() as connection:
            if lack is not None and len(task.held) == 1:
                error = errors.to_reason(lack)
                described = (type(lack).__name__, lack.message)
                ledger.finish(connection, task.job_id, attempt=task.attempt, state=State.FAILED, error=described)
                offspring.wake_parents(connection, [task.job_id])
            else:
                release = ledger.lose if is_loss else ledger.hand_back
                moved = [job for each in task.held for job in release(connection, each.job_id, attempt=each.attempt)]
                log_lines.note_losses(connection, [job.job_id for job in moved] if is_loss else [])
                offspring.wake_parents_of_ended(connection, moved)
        self._forget(task.pid, errors_by_job={each.job_id: error for each in task.held})
        _log.warning("job_process_died", job_id=task.job_id, role=self._role, attempt=task.attempt)

    def _announce(self) -> None:
        self._next_announce = time.monotonic() + self._config.beat_seconds
        worker = dataclasses.replace(self._worker, busy=len(self._tasks))
        try:
            with self._databases[self._role].relaxed.connect() as connection:
                workers.announce(connection, worker)
        except database.FAULTS as fault:
            _log.warning("worker_announce_failed", role=self._role, error=type(fault).__name__)

    def _release_lost(self) -> None:
        """Release the jobs of workers that died on this host: at the start, and with each beat."""
        try:
            lost_leases.release(self._databases[self._role], role=self._role)
        except database.FAULTS as fault:
            _log.warning("lost_leases_unread", role=self._role, error=type(fault).__name__)


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
