"""Sequences in batches, for requests and statements that take a limited number of items at once."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def batched(items: Sequence[T], *, size: int) -> Iterator[Sequence[T]]:
    """Yield the items in order, in batches of at most `size`."""
    return (items[start : start + size] for start in range(0, len(items), size))
