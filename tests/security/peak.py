"""Measures how much memory an answer costs the API."""

import threading

from tests.integration.http.wire import memory_bytes
from tests.system_under_test import System

MEBIBYTE = 1024 * 1024
ALLOWED_BYTES = 150 * MEBIBYTE
"""What one answer may cost beside what the API holds anyway: some batches, and the rows of a page."""


class Peak:
    """Measures what the API holds at most while a block runs, beyond what it held before."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._ended = threading.Event()
        self._before = self._most = memory_bytes(system)
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._ended.wait(0.01):
            self._most = max(self._most, memory_bytes(self._system))

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def grown_bytes(self) -> int:
        return self._most - self._before
