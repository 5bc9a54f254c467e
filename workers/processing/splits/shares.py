"""Divides whole rows by shares, in whole numbers only, so that every machine divides alike."""

import fractions
import math
from collections.abc import Sequence


class Shares:
    """Shares of rows, which needn't sum to exactly 1: each counts by its part of the sum."""

    def __init__(self, shares: Sequence[float]) -> None:
        """Take shares as they are written: 0.1 is a tenth, not the float that is nearest to it."""
        exact = [fractions.Fraction(repr(float(share))) for share in shares]
        denominator = math.lcm(*(share.denominator for share in exact))
        self.weights = [int(share * denominator) for share in exact]
        self.total = sum(self.weights)

    def apportion(self, rows: int) -> list[int]:
        """Divide rows so that each part has its share rounded down or up (the method of largest remainders)."""
        return Apportionment(self).divide(rows)


class Apportionment:
    """Divides one class after another, each as near to the shares as whole rows allow, and all of them together too.

    Of each class every part gets its share rounded down, and the rows that are left go, one each, to the parts that
    have been given the least so far of what was due to them. So classes of one row don't all go to the largest part.
    """

    def __init__(self, shares: Shares) -> None:
        """Start with no class."""
        self._shares = shares
        self._owed = [0] * len(shares.weights)
        """What each part is still due, in rows times the total of the weights."""

    def divide(self, rows: int) -> list[int]:
        """Divide the rows of the next class."""
        total = self._shares.total
        counts, rests = zip(*(divmod(rows * weight, total) for weight in self._shares.weights), strict=True)
        owed = [before + rest for before, rest in zip(self._owed, rests, strict=True)]
        due = sorted((part for part, rest in enumerate(rests) if rest), key=lambda part: (-owed[part], part))
        lucky = due[: rows - sum(counts)]
        self._owed = [rest - total * (part in lucky) for part, rest in enumerate(owed)]
        return [count + (part in lucky) for part, count in enumerate(counts)]


class GroupAllocator:
    """Gives whole groups to parts, one after another, each to the part that is furthest behind its share.

    The last groups are kept for parts that have none yet, so no part is empty when there are as many groups as parts.
    """

    def __init__(self, shares: Shares, *, groups: int) -> None:
        """Start with no group given."""
        self._weights, self._total = shares.weights, shares.total
        self._given = [0] * len(shares.weights)
        self._empty = set(range(len(shares.weights)))
        self._all = range(len(shares.weights))
        self._rows, self._groups = 0, groups

    def give(self, rows: int) -> int:
        """Give the next group, of so many rows, and return the part that gets it."""
        self._rows += rows
        candidates = self._empty if len(self._empty) >= self._groups else self._all
        self._groups -= 1
        # Of equal parts the first gets it, so the set's order doesn't matter.
        part = min(
            candidates, key=lambda each: (self._given[each] * self._total - self._rows * self._weights[each], each)
        )
        self._given[part] += rows
        self._empty.discard(part)
        return part
