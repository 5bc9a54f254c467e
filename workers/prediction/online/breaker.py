"""Leaves out a version that keeps failing, and tries it again from time to time."""

import threading
import time
import weakref

from workers.prediction.online.versions import Version

MAX_FAILURES = 3
"""Failures in a row after which a version is left out."""
PAUSE_SECONDS = 10.0
"""For how long."""


class Breaker:
    """Counts the failures of versions; from any thread."""

    def __init__(self) -> None:
        """Begin with all versions closed, which means in use."""
        self._failures: weakref.WeakKeyDictionary[Version, int] = weakref.WeakKeyDictionary()
        self._open_until: weakref.WeakKeyDictionary[Version, float] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def has_failures(self, version: Version) -> bool:
        """Return whether a version has failed since it last answered."""
        return bool(self._failures) and version in self._failures

    def is_open(self, version: Version) -> bool:
        """Return whether a version is left out now; once the pause is over, one call is let through."""
        if not self._open_until:
            return False
        with self._lock:
            until = self._open_until.get(version)
            if until is None:
                return False
            if time.monotonic() < until:
                return True
            self._open_until[version] = time.monotonic() + PAUSE_SECONDS
            return False

    def note_success(self, version: Version) -> None:
        """Close it."""
        if self.has_failures(version):
            with self._lock:
                self._failures.pop(version, None)
                self._open_until.pop(version, None)

    def note_failure(self, version: Version) -> None:
        """Count a failure, and open after several in a row."""
        with self._lock:
            count = self._failures.get(version, 0) + 1
            self._failures[version] = count
            if count >= MAX_FAILURES:
                self._open_until[version] = time.monotonic() + PAUSE_SECONDS
