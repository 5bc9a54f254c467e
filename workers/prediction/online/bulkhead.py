"""The bulkhead of one deployment: its threads, its queue, and whether it may answer on the event loop."""

import concurrent.futures
import time
from collections.abc import Callable
from typing import TypeVar

from workers.prediction.online.gate import Gate

Result = TypeVar("Result")
_TOO_LONG_SECONDS, _PAUSE_SECONDS = 0.005, 10.0
"""After requests that took so long on the event loop, a deployment answers in threads for a while."""


class Bulkhead:
    """The threads of one deployment, and its queue: what is full or hangs here leaves all others alone."""

    def __init__(self, threads: int) -> None:
        """Begin with so many threads, and nobody waiting."""
        self.gate = Gate()
        self.threads = threads
        self.pool = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="predict")
        self.slow_until = float("-inf")
        self._is_suspect = False

    def do_inline(self, work: Callable[[], Result]) -> Result:
        """Do work on the event loop; if it takes long, the next is measured, and if that does too, go to threads.

        What was long by a clock may have been interrupted by what else the machine does, so that the second is measured
        by the processor time that it takes, which costs more to ask for.
        """
        clock = time.thread_time if self._is_suspect else time.perf_counter
        began = clock()
        try:
            return work()
        finally:
            is_long = clock() - began > _TOO_LONG_SECONDS
            if is_long and self._is_suspect:
                self.slow_until = time.monotonic() + _PAUSE_SECONDS
            self._is_suspect = is_long
