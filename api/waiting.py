"""Waits for jobs to change: one query per role serves all requests that wait."""

import asyncio
import collections
import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator

import structlog

from shared import database, errors, ids, watchdog
from shared.jobs import views
from shared.jobs.states import State

_log = structlog.get_logger()
_MIN_PAUSE_SECONDS = 0.005
_MAX_PAUSE_SECONDS = 0.1
_PAUSE_AFTER_ERROR_SECONDS = 1.0
_RETRY_SECONDS = 5


@dataclasses.dataclass(eq=False)
class _Wait:
    """Somebody who waits until a job's row has another version than the one that they know, or until the job ends."""

    job_id: str
    known_version: int
    only_end: bool
    notify: Callable[[], None]

    def is_over(self, state: State, version: int) -> bool:
        """Return whether what is waited for has happened."""
        return state.is_terminal() if self.only_end else version != self.known_version


class _Slots:
    """Counts who waits, altogether and by key, so that one key can't take every slot."""

    def __init__(self, total: int, *, per_key: int) -> None:
        self._total = total
        self._per_key = per_key
        self._taken: collections.Counter[str] = collections.Counter()
        self._mutex = threading.Lock()

    @property
    def taken(self) -> int:
        """How many are taken at present."""
        return self._taken.total()

    def take(self, key_id: str) -> None:
        with self._mutex:
            if self._taken.get(key_id, 0) >= self._per_key:
                raise errors.TooManyRequestsError(
                    f"{self._per_key} clients with this key wait or follow jobs already, which is its limit; "
                    "poll instead.",
                    retry_after_seconds=_RETRY_SECONDS,
                )
            if self.taken >= self._total:
                raise errors.UnavailableError(
                    "Too many clients wait or follow jobs already; poll instead.", retry_after_seconds=_RETRY_SECONDS
                )
            self._taken[key_id] += 1

    def give_back(self, key_id: str) -> None:
        with self._mutex:
            self._taken[key_id] -= 1
            if not self._taken[key_id]:
                del self._taken[key_id]


class Watcher:
    """Polls, for each role, the row versions of all jobs that requests wait for, in one query."""

    def __init__(self, databases: database.Databases, *, max_waits: int, max_waits_per_key: int) -> None:
        """Let at most `max_waits` requests wait at once, and `max_waits_per_key` of one key."""
        self._databases = databases
        self._slots = _Slots(max_waits, per_key=max_waits_per_key)
        self._waits: dict[str, set[_Wait]] = {}
        self._waits_changed = threading.Condition()

    @contextlib.contextmanager
    def slot(self, key_id: str) -> Iterator[None]:
        """Take a slot for a request of a key to wait in.

        Raises TooManyRequestsError when the key has taken all that it may, and UnavailableError when none is left.
        """
        self._slots.take(key_id)
        try:
            yield
        finally:
            self._slots.give_back(key_id)

    def wait_for_change(self, job_id: str, *, known_version: int, seconds: float) -> bool:
        """Wait until a job's row has another version than the known one; False when the time is over first."""
        changed = threading.Event()
        with self._subscription(_Wait(job_id, known_version, only_end=False, notify=changed.set)):
            return changed.wait(seconds)

    def wait_until_done(self, job_id: str, *, seconds: float) -> bool:
        """Wait until a job has ended; False when the time is over first."""
        ended = threading.Event()
        with self._subscription(_Wait(job_id, -1, only_end=True, notify=ended.set)):
            return ended.wait(seconds)

    @contextlib.contextmanager
    def watch(self, job_id: str, *, known_version: int | None) -> Iterator[asyncio.Event]:
        """Yield an event of the running loop that is set when a job's row changes, or with None when the job ends."""
        loop, happened = asyncio.get_running_loop(), asyncio.Event()
        with self._subscription(
            _Wait(
                job_id,
                -1 if known_version is None else known_version,
                only_end=known_version is None,
                notify=lambda: _set_soon(loop, happened),
            )
        ):
            yield happened

    @contextlib.contextmanager
    def _subscription(self, wait: _Wait) -> Iterator[None]:
        role = ids.role_of(wait.job_id) or ""
        with self._waits_changed:
            if role not in self._waits:
                self._waits[role] = set()
                threading.Thread(target=self._watch, args=(role,), name=f"watch-{role}", daemon=True).start()
            self._waits[role].add(wait)
            self._waits_changed.notify_all()
        try:
            yield
        finally:
            with self._waits_changed:
                self._waits[role].discard(wait)

    def _watch(self, role: str) -> None:
        pause_seconds = _MIN_PAUSE_SECONDS
        watched = watchdog.of_process().watch(f"waits for jobs of {role}")
        while True:
            with self._waits_changed:
                while not self._waits[role]:
                    pause_seconds = _MIN_PAUSE_SECONDS
                    watched.rest()
                    self._waits_changed.wait()
                waits = list(self._waits[role])
            watched.turn()
            try:
                has_changes = self._notify_changed(role, waits)
            except Exception as error:  # noqa: BLE001 - if this thread ended, no request would see its job change.
                _log.warning("job_watch_failed", role=role, error=type(error).__name__)
                time.sleep(_PAUSE_AFTER_ERROR_SECONDS)
                continue
            pause_seconds = _MIN_PAUSE_SECONDS if has_changes else min(_MAX_PAUSE_SECONDS, pause_seconds * 1.5)
            time.sleep(pause_seconds)

    def _notify_changed(self, role: str, waits: list[_Wait]) -> bool:
        """End the waits that are over by now; returns whether there were any."""
        with self._databases[role].statements.connect() as connection:
            rows = views.read_versions(connection, list({wait.job_id for wait in waits}))
        over = [wait for wait in waits if wait.job_id in rows and wait.is_over(*rows[wait.job_id])]
        with self._waits_changed:
            self._waits[role].difference_update(over)
        for wait in over:
            wait.notify()
        return bool(over)


def _set_soon(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    loop.call_soon_threadsafe(event.set)
