"""Waiting for jobs to move: one look at the rows serves everybody who waits."""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator

import structlog

from shared import database, ids
from shared.jobs import views

_log = structlog.get_logger()
_FIRST_LOOK_SECONDS = 0.005
_LAST_LOOK_SECONDS = 0.1
_FAULT_PAUSE_SECONDS = 1.0


@dataclasses.dataclass
class Wait:
    """Somebody who waits for a job to have another row version than the one they know."""

    job_id: str
    known: int
    moved: threading.Event = dataclasses.field(default_factory=threading.Event)


class Watcher:
    """Looks, for each role, at the rows of all jobs that somebody waits for, in one query."""

    def __init__(self, databases: database.Databases, *, most: int) -> None:
        """Let at most so many wait at once, so that others are still served."""
        self._databases = databases
        self._places = threading.BoundedSemaphore(max(1, most))
        self._waits: dict[str, list[Wait]] = {}
        self._news = threading.Condition()

    @contextlib.contextmanager
    def place(self) -> Iterator[bool]:
        """Take a place to wait in; gives False when all are taken."""
        taken = self._places.acquire(blocking=False)
        try:
            yield taken
        finally:
            if taken:
                self._places.release()

    def until_moved(self, job_id: str, *, known: int, seconds: float) -> bool:
        """Wait until a job's row version is no longer the one known; False when the time is over first."""
        role = ids.role_of(job_id) or ""
        wait = Wait(job_id, known)
        with self._news:
            if role not in self._waits:
                self._waits[role] = []
                threading.Thread(target=self._look, args=(role,), name=f"watch-{role}", daemon=True).start()
            self._waits[role].append(wait)
            self._news.notify_all()
        try:
            return wait.moved.wait(seconds)
        finally:
            with self._news:
                self._waits[role].remove(wait)

    def until_done(self, job_id: str, *, known: int, seconds: float) -> None:
        """Wait until a job has ended, or the time is over."""
        limit = time.monotonic() + seconds
        role = ids.role_of(job_id) or ""
        while (left := limit - time.monotonic()) > 0:
            if not self.until_moved(job_id, known=known, seconds=left):
                return
            with self._databases[role].statements.connect() as connection:
                seen = views.read_versions(connection, [job_id]).get(job_id)
            if seen is None or seen[0].is_terminal():
                return
            known = seen[1]

    def _look(self, role: str) -> None:
        pause = _FIRST_LOOK_SECONDS
        while True:
            with self._news:
                while not self._waits[role]:
                    pause = _FIRST_LOOK_SECONDS
                    self._news.wait()
                waits = list(self._waits[role])
            try:
                moved = self._compare(role, waits)
            except Exception as fault:  # noqa: BLE001 - without this thread everybody who waits would wait in vain.
                _log.warning("job_watch_failed", role=role, error=type(fault).__name__)
                time.sleep(_FAULT_PAUSE_SECONDS)
                continue
            pause = _FIRST_LOOK_SECONDS if moved else min(_LAST_LOOK_SECONDS, pause * 1.5)
            time.sleep(pause)

    def _compare(self, role: str, waits: list[Wait]) -> bool:
        with self._databases[role].statements.connect() as connection:
            seen = views.read_versions(connection, list({wait.job_id for wait in waits}))
        moved = [wait for wait in waits if wait.job_id in seen and seen[wait.job_id][1] != wait.known]
        for wait in moved:
            wait.moved.set()
        return bool(moved)
