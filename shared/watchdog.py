"""Watches the threads that a process can't do without, and ends the process when one of them makes no progress.

Whoever supervises the process (`make up`, Compose) starts it again; a process that merely looks alive would stand still
for good. docs/decisions/silence.md, "A process ends itself when a thread that must turn does not".
"""

import contextlib
import functools
import os
import pathlib
import sys
import threading
import time
import traceback
from collections.abc import Callable

import structlog

from shared import settings

_log = structlog.get_logger()

EXIT_STATUS = 70
"""EX_SOFTWARE of sysexits.h."""
_LOOK_SECONDS = 1.0


def _end_process() -> None:
    os._exit(EXIT_STATUS)


class Watched:
    """A thread, or a piece of work that threads take turns at, which must make progress while it is at work."""

    def __init__(self, name: str, *, stop_watching: Callable[["Watched"], None]) -> None:
        """Begin at rest."""
        self.name = name
        self._stop_watching = stop_watching
        self._turns = 0
        self._turns_seen = 0
        self._looks = 0
        self._is_resting = True
        self._thread_id = 0

    def turn(self) -> None:
        """Note progress of the calling thread, which has to come again before the limit is over."""
        self._turns += 1
        self._thread_id = threading.get_ident()
        self._is_resting = False

    def rest(self) -> None:
        """Note that there is nothing to do until the next turn."""
        self._is_resting = True

    def end(self) -> None:
        """Stop being watched."""
        self._stop_watching(self)

    def count_looks(self) -> int:
        """Count the watchdog's looks, with this one, since progress was last seen; 0 at rest.

        Time is counted in looks, so that a process that was stopped for a while isn't taken for one that hangs.
        """
        if self._is_resting or self._turns != self._turns_seen:
            self._turns_seen, self._looks = self._turns, 0
        else:
            self._looks += 1
        return self._looks

    def frames(self) -> list[str]:
        """List where its thread is, as `file:line function`."""
        frame = sys._current_frames().get(self._thread_id)
        frames = traceback.extract_stack(frame) if frame else []
        return [f"{at.filename}:{at.lineno} {at.name}" for at in frames[-20:]]


class Watchdog:
    """The thread that watches, and renews the process's health file while all is well."""

    def __init__(
        self,
        *,
        hang_seconds: float,
        health: pathlib.Path | None = None,
        look_seconds: float = _LOOK_SECONDS,
        end: Callable[[], None] = _end_process,
    ) -> None:
        """Call `end` when a watched thread that is at work makes no progress for `hang_seconds`."""
        self._hang_seconds = hang_seconds
        self._look_seconds = min(look_seconds, hang_seconds / 4)
        self._max_looks = hang_seconds / self._look_seconds
        self._health = health
        self._end = end
        self._watched: list[Watched] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def watch(self, name: str) -> Watched:
        """Begin to watch; the thread counts as resting until its first turn."""
        watched = Watched(name, stop_watching=self._forget)
        with self._lock:
            self._watched.append(watched)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()
        return watched

    def _forget(self, watched: Watched) -> None:
        with self._lock:
            self._watched.remove(watched)

    def _run(self) -> None:
        while True:
            time.sleep(self._look_seconds)
            with self._lock:
                hung = [watched for watched in self._watched if watched.count_looks() >= self._max_looks]
            if not hung:
                with contextlib.suppress(OSError):
                    if self._health is not None:
                        self._health.touch()
                continue
            try:
                for watched in hung:
                    _log.error("thread_hangs", thread=watched.name, seconds=self._hang_seconds, frames=watched.frames())
            finally:
                self._end()
            return


@functools.cache
def of_process() -> Watchdog:
    """Return this process's watchdog."""
    config = settings.load()
    return Watchdog(hang_seconds=config.hang_seconds, health=config.health_file)


# A fork has none of its parent's threads, and so needs a watchdog of its own.
os.register_at_fork(after_in_child=of_process.cache_clear)
