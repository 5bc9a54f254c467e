"""Calls a function for every column of a table, in a few threads that each take a share of the columns."""

import concurrent.futures
import itertools
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Result = TypeVar("Result")


class ColumnThreads:
    """Threads that each take a run of neighbouring columns: handing over each column alone would cost too much."""

    def __init__(self, pool: concurrent.futures.Executor, *, count: int) -> None:
        """Cut the columns into `count` shares."""
        self._pool = pool
        self._count = count

    def map(self, function: Callable[..., Result], *columns: Iterable[Any]) -> list[Result]:
        """Call the function as `map` does, until the shortest argument ends; raise the first failing column's error."""
        calls = list(zip(*columns, strict=False))
        ends = [len(calls) * share // self._count for share in range(self._count + 1)]
        shares = [calls[start:end] for start, end in itertools.pairwise(ends)]
        results = self._pool.map(lambda share: [function(*call) for call in share], shares)
        return [result for share in results for result in share]
