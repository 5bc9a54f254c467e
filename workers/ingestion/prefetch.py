"""Computes items in a separate thread, a few items ahead of the one in use."""

import collections
import concurrent.futures
from collections.abc import Iterable, Iterator
from typing import TypeVar

STEPS = 4

Item = TypeVar("Item")


def prefetch(items: Iterable[Item]) -> Iterator[Item]:
    """Iterate over the items, none of which is None, in their order, while the next few are being computed."""
    iterator = iter(items)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pending = collections.deque(pool.submit(next, iterator, None) for _ in range(STEPS))
        while (item := pending.popleft().result()) is not None:
            pending.append(pool.submit(next, iterator, None))
            yield item
