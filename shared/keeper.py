"""A worker's parent side of the leash: it beats for running jobs, and stops those that must stop.

It runs as a thread of Celery's main process, which never runs a task, so no task can stall it.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import select
import signal
import socket
import threading
import time
from collections.abc import Iterable
from typing import Any

import prometheus_client
import psutil
import structlog

from shared import database, guard, ledger, outbox, registry, settings

_log = structlog.get_logger()
_TICK_SECONDS = 0.25

RUNNING = prometheus_client.Gauge("millrace_jobs_running", "Jobs that this worker runs.", ["role"])
FENCED = prometheus_client.Counter("millrace_jobs_fenced_total", "Jobs stopped because their lease was lost.", ["role"])
SECONDS = prometheus_client.Histogram("millrace_job_run_seconds", "Time from claim to end of an attempt.", ["role"])


@dataclasses.dataclass
class Task:
    """A job that one of the pool's processes works on."""

    role: str
    job_id: str
    attempt: int
    pid: int
    slot: int
    since: float
    last_good: float
    next_beat: float
    next_look: float
    stop_sent: float | None = None


class Keeper:
    """Keeps the leases of all jobs that a worker's pool runs."""

    def __init__(
        self,
        leash: guard.Leash,
        *,
        roles: Iterable[str],
        config: settings.Settings,
        databases: database.Databases,
        me: registry.Worker,
    ) -> None:
        """Keep jobs of some roles; `me` is what the registry shows of this worker."""
        self._leash = leash
        self._roles = list(roles)
        self._config = config
        self._databases = databases
        self._me = me
        self._tasks: dict[int, Task] = {}
        self._next_announce = 0.0
        self._give_back_at: float | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Start keeping."""
        self._thread.start()

    def drain(self) -> None:
        """Begin to end: jobs still running when the grace is over are stopped and handed back."""
        self._give_back_at = time.monotonic() + self._config.worker_grace_seconds

    def stop(self) -> None:
        """Stop keeping, and leave the registry."""
        self._stopping.set()
        self._thread.join(timeout=5)
        for role in self._roles:
            with contextlib.suppress(*database.FAULTS), self._databases[role].relaxed.connect() as connection:
                registry.withdraw(connection, f"{role}/{self._me.id}")

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
                for task in list(self._tasks.values()):
                    self._keep(task)
                if time.monotonic() >= self._next_announce:
                    self._announce()
            except Exception as fault:  # noqa: BLE001 - a keeper that ends would lose every lease.
                _log.error("keeper_fault", error=type(fault).__name__)
                self._stopping.wait(_TICK_SECONDS)

    def _listen(self) -> None:
        """Take in what the pool's processes tell, waiting a tick for the first."""
        readable, _, _ = select.select([self._leash.parent], [], [], _TICK_SECONDS)
        while readable:
            try:
                news = json.loads(self._leash.parent.recv(65536, socket.MSG_DONTWAIT))
            except BlockingIOError:
                return
            self._hear(news)

    def _hear(self, news: dict[str, Any]) -> None:
        now = time.monotonic()
        pid = news["pid"]
        if "start" in news:
            role, job_id, attempt = news["start"]
            self._tasks[pid] = Task(
                role,
                job_id,
                attempt,
                pid,
                news["slot"],
                since=now,
                last_good=now,
                next_beat=now + self._config.beat_seconds,
                next_look=now + self._config.cancel_check_seconds,
            )
            RUNNING.labels(role).inc()
        else:
            self._forget(pid)

    def _forget(self, pid: int) -> None:
        task = self._tasks.pop(pid, None)
        if task is not None:
            RUNNING.labels(task.role).dec()
            SECONDS.labels(task.role).observe(time.monotonic() - task.since)

    def _keep(self, task: Task) -> None:
        now = time.monotonic()
        status = _status(task.pid)
        if status is None:
            self._bury(task)
        elif task.stop_sent is not None:
            if now - task.stop_sent >= self._config.kill_after_seconds:
                _signal(task.pid, signal.SIGKILL)
        elif self._give_back_at is not None and now >= self._give_back_at:
            self._stop(task, why="worker_stops")
        elif now - task.last_good >= self._config.fence_seconds:
            FENCED.labels(task.role).inc()
            self._stop(task, why="no_good_beat")
        elif status != psutil.STATUS_STOPPED:
            # A stopped process makes no headway, so its lease is left to run out.
            self._tend(task, now)

    def _tend(self, task: Task, now: float) -> None:
        """Beat when a beat is due; between beats look whether the job is to be cancelled."""
        if now < min(task.next_beat, task.next_look):
            return
        beats = now >= task.next_beat
        task.next_look = now + self._config.cancel_check_seconds
        try:
            with self._databases[task.role].relaxed.connect() as connection:
                if beats:
                    seen = ledger.beat(
                        connection,
                        task.job_id,
                        attempt=task.attempt,
                        lease_seconds=self._config.lease_seconds,
                    )
                else:
                    seen = ledger.peek(connection, task.job_id, attempt=task.attempt)
        except database.FAULTS as fault:
            _log.warning("beat_failed", job_id=task.job_id, role=task.role, error=type(fault).__name__)
            return
        if beats:
            task.next_beat = now + self._config.beat_seconds
        self._heed(task, seen, sent=now if beats else None)

    def _heed(self, task: Task, seen: ledger.Beat | None, *, sent: float | None) -> None:
        if seen is None:
            # The end may have been committed a moment ago, with its news still under way.
            self._listen()
            if self._tasks.get(task.pid) is task:
                FENCED.labels(task.role).inc()
                self._stop(task, why="lease_lost")
            return
        if sent is not None:
            task.last_good = sent
            self._leash.note_beat(task.slot, sent)
        if seen.cancel_requested or seen.expired:
            self._stop(task, why="cancelled" if seen.cancel_requested else "deadline")

    def _stop(self, task: Task, *, why: str) -> None:
        _log.info("job_stopping", job_id=task.job_id, role=task.role, attempt=task.attempt, why=why)
        task.stop_sent = time.monotonic()
        _signal(task.pid, signal.SIGTERM)

    def _bury(self, task: Task) -> None:
        """Settle the job of a process that is dead: as it was meant to end when we stopped it, else as lost."""
        with self._databases[task.role].transactions.begin() as connection:
            if task.stop_sent is None:
                ledger.expire(connection, task.job_id, attempt=task.attempt)
            else:
                swept = ledger.hand_back(connection, task.job_id, attempt=task.attempt)
                outbox.put(connection, (outbox.job_ended(job) for job in swept if job.state.is_terminal()))
        self._forget(task.pid)
        _log.warning("job_process_died", job_id=task.job_id, role=task.role, attempt=task.attempt)

    def _announce(self) -> None:
        self._next_announce = time.monotonic() + self._config.beat_seconds
        for role in self._roles:
            busy = sum(task.role == role for task in self._tasks.values())
            worker = dataclasses.replace(self._me, id=f"{role}/{self._me.id}", busy=busy)
            try:
                with self._databases[role].relaxed.connect() as connection:
                    registry.announce(connection, worker)
            except database.FAULTS as fault:
                _log.warning("announce_failed", role=role, error=type(fault).__name__)
        touch(self._config.health_file)


def touch(path: pathlib.Path | None) -> None:
    """Renew the health file's time, if there is to be one."""
    if path is not None:
        path.touch()


def _status(pid: int) -> str | None:
    """Give a process's status; None when it is dead."""
    try:
        status: str = psutil.Process(pid).status()
    except psutil.NoSuchProcess:
        return None
    return None if status in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD} else status


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
