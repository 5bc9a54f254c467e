"""Holm's correction: with several arms, the chance that any of them is found different by mistake stays below alpha."""

from collections.abc import Sequence


def adjust(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust p-values for how many there are; those that are None count, and stay None.

    The i-th smallest of m, counted from 0, is multiplied by m - i, and is at least what the one before it became.
    Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979. It asks nothing of how the tests
    depend on one another, and always-valid p-values stay so.
    """
    count, least = len(p_values), 0.0
    adjusted: list[float | None] = [None] * count
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    for rank, (p, index) in enumerate(known):
        least = max(least, min(1.0, (count - rank) * p))
        adjusted[index] = least
    return adjusted
