"""Waits for jobs to change: one query per role serves all requests that wait."""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator

import structlog

from shared import database, ids
from shared.jobs import views

_log = structlog.get_logger()
_MIN_PAUSE_SECONDS = 0.005
_MAX_PAUSE_SECONDS = 0.1
_PAUSE_AFTER_ERROR_SECONDS = 1.0


@dataclasses.dataclass
class Wait:
    """A request that waits until a job's row has another version than the one that it knows."""

    job_id: str
    known_version: int
    changed: threading.Event = dataclasses.field(default_factory=threading.Event)


class Watcher:
    """Polls, for each role, the row versions of all jobs that requests wait for, in one query."""

    def __init__(self, databases: database.Databases, *, max_waits: int) -> None:
        """Let at most `max_waits` requests wait at once, so that threads are left for the others."""
        self._databases = databases
        self._slots = threading.BoundedSemaphore(max(1, max_waits))
        self._waits: dict[str, list[Wait]] = {}
        self._waits_changed = threading.Condition()

    @contextlib.contextmanager
    def slot(self) -> Iterator[bool]:
        """Take a slot to wait in; yields False when all are taken."""
        is_acquired = self._slots.acquire(blocking=False)
        try:
            yield is_acquired
        finally:
            if is_acquired:
                self._slots.release()

    def wait_for_change(self, job_id: str, *, known_version: int, seconds: float) -> bool:
        """Wait until a job's row has another version than the known one; False when the time is over first."""
        role = ids.role_of(job_id) or ""
        wait = Wait(job_id, known_version)
        with self._waits_changed:
            if role not in self._waits:
                self._waits[role] = []
                threading.Thread(target=self._watch, args=(role,), name=f"watch-{role}", daemon=True).start()
            self._waits[role].append(wait)
            self._waits_changed.notify_all()
        try:
            return wait.changed.wait(seconds)
        finally:
            with self._waits_changed:
                self._waits[role].remove(wait)

    def wait_until_done(self, job_id: str, *, known_version: int, seconds: float) -> None:
        """Wait until a job has ended, or the time is over."""
        deadline = time.monotonic() + seconds
        role = ids.role_of(job_id) or ""
        while (remaining := deadline - time.monotonic()) > 0:
            if not self.wait_for_change(job_id, known_version=known_version, seconds=remaining):
                return
            with self._databases[role].statements.connect() as connection:
                state_and_version = views.read_versions(connection, [job_id]).get(job_id)
            if state_and_version is None or state_and_version[0].is_terminal():
                return
            known_version = state_and_version[1]

    def _watch(self, role: str) -> None:
        pause_seconds = _MIN_PAUSE_SECONDS
        while True:
            with self._waits_changed:
                while not self._waits[role]:
                    pause_seconds = _MIN_PAUSE_SECONDS
                    self._waits_changed.wait()
                waits = list(self._waits[role])
            try:
                has_changes = self._notify_changed(role, waits)
            except Exception as error:  # noqa: BLE001 - if this thread ended, no request would see its job change.
                _log.warning("job_watch_failed", role=role, error=type(error).__name__)
                time.sleep(_PAUSE_AFTER_ERROR_SECONDS)
                continue
            pause_seconds = _MIN_PAUSE_SECONDS if has_changes else min(_MAX_PAUSE_SECONDS, pause_seconds * 1.5)
            time.sleep(pause_seconds)

    def _notify_changed(self, role: str, waits: list[Wait]) -> bool:
        """End the waits whose job's row has another version by now; returns whether there were any."""
        with self._databases[role].statements.connect() as connection:
            rows = views.read_versions(connection, list({wait.job_id for wait in waits}))
        changed = [wait for wait in waits if wait.job_id in rows and rows[wait.job_id][1] != wait.known_version]
        for wait in changed:
            wait.changed.set()
        return bool(changed)
