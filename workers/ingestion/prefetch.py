"""Does work in a thread of its own, a few steps ahead of where its results are used."""

import collections
import concurrent.futures
from collections.abc import Iterable, Iterator
from typing import TypeVar

STEPS = 4

Item = TypeVar("Item")


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Give the items, none of which is None, in their order, while the next few are being made."""
    iterator = iter(items)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = collections.deque(pool.submit(next, iterator, None) for _ in range(STEPS))
        while (item := waiting.popleft().result()) is not None:
            waiting.append(pool.submit(next, iterator, None))
            yield item
