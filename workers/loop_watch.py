"""Watches the loop of a worker's parent: frees it from a silent broker, and ends the process if that doesn't help.

docs/decisions/queues.md, "A worker makes sure that it listens".
"""

import os
import threading
import time
from collections.abc import Callable

import structlog

_log = structlog.get_logger()
_TICK_SECONDS = 1.0
_CUT_AFTER_TICKS = 20
"""Longer than any single wait for the broker, and than a fork may wait for a keeper."""
_END_AFTER_TICKS = 75
_EXIT_STATUS = 70


class LoopWatch:
    """A thread that notices when the loop stands still, or when the process doesn't end though it should.

    It counts ticks and doesn't compare times, so that a process which was stopped as a whole (SIGSTOP, a sleeping
    machine) has all of its time again when it goes on.
    """

    def __init__(self, *, cut: Callable[[], None], end: Callable[[int], None] = os._exit) -> None:
        """Watch a loop whose waits for the broker `cut` ends; `end` ends the process."""
        self._cut = cut
        self._end = end
        self._has_turned = True
        self._ticks_left_to_end: int | None = None

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="loop-watch", daemon=True).start()

    def note_turn(self) -> None:
        """Note that the loop turns."""
        self._has_turned = True

    def expect_end(self, *, within_seconds: float) -> None:
        """From now on the process is to end by itself within a time, while its loop may stand still."""
        if self._ticks_left_to_end is None:
            self._ticks_left_to_end = int(within_seconds / _TICK_SECONDS) + 1

    def _run(self) -> None:
        ticks = 0
        while True:
            time.sleep(_TICK_SECONDS)
            if self._ticks_left_to_end is not None:
                self._count_down()
                continue
            ticks = 0 if self._has_turned else ticks + 1
            self._has_turned = False
            if ticks >= _END_AFTER_TICKS:
                _log.error("worker_stands_still", seconds=ticks * _TICK_SECONDS)
                self._end(_EXIT_STATUS)
            elif ticks and ticks % _CUT_AFTER_TICKS == 0:
                _log.warning("broker_connection_cut", seconds=ticks * _TICK_SECONDS)
                self._cut()

    def _count_down(self) -> None:
        self._ticks_left_to_end = (self._ticks_left_to_end or 0) - 1
        if self._ticks_left_to_end <= 0:
            _log.error("worker_did_not_end")
            self._end(_EXIT_STATUS)
