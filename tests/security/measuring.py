"""Compares what calls cost by the ratio of their times at two sizes, one four times the other.

A cost in proportion makes 4, a square 16.
"""

import gc
import time
from collections.abc import Callable, Iterator

import pytest

MAX_RATIO = 9.0
NOISE_SECONDS = 0.008
"""What takes less at the larger size is not compared: a pause of anything else would be as long."""


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    """Let the garbage collector run between measurements only, and over nothing that was there before."""
    gc.collect()
    gc.freeze()
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


def seconds_of(call: Callable[[], object]) -> float:
    """Measure the processor time of a call."""
    gc.collect()
    began = time.thread_time()
    call()
    return time.thread_time() - began


def growth_of(small: Callable[[], object], large: Callable[[], object]) -> float:
    """Return how many times longer the larger call takes, at least; 0 when it is too fast to tell."""
    ratios = []
    for _ in range(4):
        long = seconds_of(large)
        if long < NOISE_SECONDS:
            return 0.0
        ratios.append(long / seconds_of(small))
        if min(ratios) <= MAX_RATIO:
            break
    return min(ratios)
