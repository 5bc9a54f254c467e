"""Keeps a worker's parent from forking while its keepers are at work."""

import os
import threading
import time
from collections.abc import Sequence

from shared import database

_LONGEST_WAIT_SECONDS = 12.0


class ForkBarrier:
    """Lets the worker's parent fork only while no keeper is at work and no database is open.

    A child would inherit connections in the middle of their use: of SQLite, locks that it would wait for forever, as if
    another process held them; of PostgreSQL, half a conversation.
    """

    def __init__(self, at_work: Sequence[threading.Lock], *, databases: database.Databases) -> None:
        """Register with Python to run around every fork of this process; `at_work` are held by keepers at work."""
        self._at_work = at_work
        self._databases = databases
        self._pid = os.getpid()
        self._held: list[threading.Lock] = []
        os.register_at_fork(before=self._begin, after_in_parent=self._end, after_in_child=self._end)

    def _begin(self) -> None:
        if os.getpid() != self._pid:
            return
        # A little longer than SQLite waits for a lock; servers that hang must not hold up the whole worker.
        limit = time.monotonic() + _LONGEST_WAIT_SECONDS
        for lock in self._at_work:
            if lock.acquire(timeout=max(0.0, limit - time.monotonic())):
                self._held.append(lock)
        self._databases.dispose()

    def _end(self) -> None:
        while self._held:
            self._held.pop().release()
