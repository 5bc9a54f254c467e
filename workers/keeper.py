"""A worker's parent side of the leash: it beats for running jobs, and stops those that must stop.

It runs as a thread of Celery's main process, which never runs a task, so no task can stall it. Each role
has a keeper of its own, so that a database that hangs costs no other role's job its lease.
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
_LONGEST_HUSH_SECONDS = 12.0

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
    last_good: float
    next_beat: float
    next_look: float
    shown: str | None = None
    """Its kind, when Flower is to be told of it by us, because no message of Celery's is behind it."""
    stop_sent: float | None = None


class Keeper:
    """Keeps the leases of all jobs of one role that a worker's pool runs."""

    def __init__(
        self,
        leash: guard.Leash,
        *,
        role: str,
        config: settings.Settings,
        databases: database.Databases,
        me: workers.Worker,
        show: Callable[[tuple[str, dict[str, Any]]], None],
    ) -> None:
        """Keep a role's jobs; `me` is what the registry shows of this worker, `show` tells Flower of a task."""
        self._show = show
        self._leash = leash
        self._news = leash.keeper_end(role)
        self._role = role
        self._config = config
        self._databases = databases
        self._me = me
        self._tasks: dict[int, Task] = {}
        self._next_announce = 0.0
        self._give_back_at: float | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"keeper-{role}", daemon=True)
        self.at_work = threading.Lock()
        """Held while the keeper does anything but wait."""

    def start(self) -> None:
        """Start keeping."""
        self._thread.start()

    def drain(self) -> None:
        """Begin to end: nothing new is begun, and jobs still running when the grace is over are handed back."""
        self._leash.close()
        self._give_back_at = time.monotonic() + self._config.worker_grace_seconds

    def stop(self) -> None:
        """Stop keeping, and leave the registry."""
        self._stopping.set()
        self._thread.join(timeout=5)
        with contextlib.suppress(*database.FAULTS), self._databases[self._role].relaxed.connect() as connection:
            workers.withdraw(connection, self._me.id)

    def _run(self) -> None:
        next_look = 0.0
        while not self._stopping.is_set():
            select.select([self._news], [], [], _TICK_SECONDS)
            with self.at_work:
                self._listen()
                # By the clock, and not at each news: short jobs bring many, and looking at processes costs.
                if time.monotonic() >= next_look:
                    for task in list(self._tasks.values()):
                        self._try(functools.partial(self._keep, task))
                    next_look = time.monotonic() + _TICK_SECONDS
                if time.monotonic() >= self._next_announce:
                    self._try(self._announce)

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as fault:  # noqa: BLE001 - a keeper that ends would lose every lease.
            _log.error("keeper_step_failed", role=self._role, **telemetry.describe(fault))

    def _listen(self) -> None:
        """Take in what the pool's processes have told."""
        while True:
            try:
                news = json.loads(self._news.recv(65536, socket.MSG_DONTWAIT))
            except BlockingIOError:
                return
            self._hear(news)

    def _hear(self, news: dict[str, Any]) -> None:
        pid = news["pid"]
        self._forget(pid, error=news.get("error"))
        if "start" in news:
            job_id, attempt = news["start"]
            since = news["since"]
            self._tasks[pid] = Task(
                job_id,
                attempt,
                pid,
                news["slot"],
                since=since,
                last_good=since,
                next_beat=since + self._config.beat_seconds,
                next_look=since + self._config.cancel_check_seconds,
                shown=news["shown"],
            )
            if news["shown"]:
                self._show(("task-received", {"uuid": job_id, "name": news["shown"], "args": "()", "kwargs": "{}"}))
                self._show(("task-started", {"uuid": job_id}))
            RUNNING.labels(self._role).inc()

    def _forget(self, pid: int, *, error: str | None = None) -> None:
        task = self._tasks.pop(pid, None)
        if task is None:
            return
        seconds = time.monotonic() - task.since
        RUNNING.labels(self._role).dec()
        SECONDS.labels(self._role).observe(seconds)
        if task.shown and error:
            self._show(("task-failed", {"uuid": task.job_id, "exception": error, "traceback": ""}))
        elif task.shown:
            self._show(("task-succeeded", {"uuid": task.job_id, "result": "None", "runtime": seconds}))

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
            FENCED.labels(self._role).inc()
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
            with self._databases[self._role].relaxed.connect() as connection:
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
            _log.warning("beat_failed", job_id=task.job_id, role=self._role, error=type(fault).__name__)
            return
        if beats:
            task.next_beat = now + self._config.beat_seconds
        self._heed(task, seen, sent=now if beats else None)

    def _heed(self, task: Task, seen: ledger.Beat | None, *, sent: float | None) -> None:
        if seen is None:
            # The end may have been committed a moment ago, with its news still under way.
            select.select([self._news], [], [], _TICK_SECONDS)
            self._listen()
            if self._tasks.get(task.pid) is task:
                FENCED.labels(self._role).inc()
                self._stop(task, why="lease_lost")
            return
        if sent is not None:
            task.last_good = sent
            self._leash.note_beat(task.slot, sent)
        if seen.cancel_requested or seen.expired:
            self._stop(task, why="cancelled" if seen.cancel_requested else "deadline")

    def _stop(self, task: Task, *, why: str) -> None:
        _log.info("job_stop_requested", job_id=task.job_id, role=self._role, attempt=task.attempt, reason=why)
        task.stop_sent = time.monotonic()
        _signal(task.pid, signal.SIGTERM)

    def _bury(self, task: Task) -> None:
        """Settle the job of a process that is dead: as it was meant to end when we stopped it, else as lost."""
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
        worker = dataclasses.replace(self._me, busy=len(self._tasks))
        try:
            with self._databases[self._role].relaxed.connect() as connection:
                workers.announce(connection, worker)
        except database.FAULTS as fault:
            _log.warning("worker_announce_failed", role=self._role, error=type(fault).__name__)


class ForkBarrier:
    """Lets the worker's parent fork only while no keeper is at work and no database is open.

    A child would inherit what is open in the middle of its use: of SQLite, locks that it takes for a sibling's and
    waits for, for ever; of PostgreSQL, half a conversation.
    """

    def __init__(self, keepers: Sequence[Keeper], *, databases: database.Databases) -> None:
        """Stand before every fork of this process, from now on."""
        self._keepers = keepers
        self._databases = databases
        self._pid = os.getpid()
        self._held: list[threading.Lock] = []
        os.register_at_fork(before=self._begin, after_in_parent=self._end, after_in_child=self._end)

    def _begin(self) -> None:
        if os.getpid() != self._pid:
            return
        for keeper in self._keepers:
            # No longer than SQLite waits for a lock: a server that hangs must not hold up the whole worker.
            if keeper.at_work.acquire(timeout=_LONGEST_HUSH_SECONDS):
                self._held.append(keeper.at_work)
        self._databases.dispose()

    def _end(self) -> None:
        while self._held:
            self._held.pop().release()


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
