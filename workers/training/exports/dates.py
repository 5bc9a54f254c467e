"""ONNX of the parts of a date, from microseconds since 1970 by the rules of the Gregorian calendar, in whole numbers.

The calendar's formulas are Howard Hinnant's (chrono-Compatible Low-Level Date Algorithms): years there begin in March.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from shared import errors
from shared.ml import transformers
from workers.training.exports.graph import DOUBLE, INT64, MISSING_INSTANT, Graph

DAY, HOUR, MINUTE, SECOND = 86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000


def parts(graph: Graph, fitted: Any, tensor: str) -> str:
    """Do as DateParts does."""
    calendar = _Calendar(graph, tensor, zone=fitted.zone)
    return _interleave(graph, [calendar.part(name) for name in fitted.parts])


def circles(graph: Graph, fitted: Any, tensor: str) -> str:
    """Do as CyclicTime does."""
    calendar, made = _Calendar(graph, tensor, zone=fitted.zone), []
    for name in fitted.parts:
        length, start = transformers.CIRCLES[name]
        moved = graph.node("Sub", calendar.part(name), graph.floats(start))
        angle = graph.node("Mul", moved, graph.floats(2 * np.pi / length))
        made += [graph.node("Sin", angle), graph.node("Cos", angle)]
    return _interleave(graph, made)


def _interleave(graph: Graph, tensors: Sequence[str]) -> str:
    """Put tensors of the same columns side by side, all of the first column's before the next column's."""
    axis = graph.constant([2], np.int64)
    deep = graph.node("Concat", *(graph.node("Unsqueeze", tensor, axis) for tensor in tensors), axis=2)
    return graph.node("Flatten", deep, axis=1)


class _Calendar:
    """The parts of a tensor of instants; each is a tensor of float64, missing where the instant is."""

    def __init__(self, graph: Graph, instants: str, *, zone: str) -> None:
        if zone != "UTC":
            raise errors.BadModelError(f"dates are read in the zone {zone}; ONNX has no zones, so only UTC is exported")
        self._graph = graph
        self._missing = graph.node("Equal", instants, self._number(MISSING_INSTANT))
        self._time = self._modulo(instants, DAY)
        self._days = self._over(self._do("Sub", instants, self._time), DAY)
        self._date = self._civil()

    def part(self, name: str) -> str:
        """Give one part, by the name that the recipe language has for it."""
        year, month, day, of_year = self._date
        rules: dict[str, Callable[[], str]] = {
            "year": lambda: year,
            "quarter": lambda: self._over(self._plus(month, 2), 3),
            "month": lambda: month,
            "day": lambda: day,
            "weekday": lambda: self._modulo(self._plus(self._days, 3), 7),
            "hour": lambda: self._over(self._time, HOUR),
            "minute": lambda: self._modulo(self._over(self._time, MINUTE), 60),
            "second": lambda: self._modulo(self._over(self._time, SECOND), 60),
            "day_of_year": lambda: of_year,
        }
        if name not in rules:
            raise errors.BadModelError(f"the part {name!r} of a date can't be said in ONNX")
        return self._do("Where", self._missing, self._graph.floats(np.nan), self._do("Cast", rules[name](), to=DOUBLE))

    def _civil(self) -> tuple[str, str, str, str]:
        """Give year, month, day and day of the year."""
        shifted = self._plus(self._days, 719_468)
        of_era = self._modulo(shifted, 146_097)
        era = self._over(self._do("Sub", shifted, of_era), 146_097)
        leaps = self._do("Sub", self._over(of_era, 36_524), self._over(of_era, 1_460))
        leaps = self._do("Sub", leaps, self._over(of_era, 146_096))
        year_of_era = self._over(self._do("Add", of_era, leaps), 365)
        before = self._do("Add", self._times(year_of_era, 365), self._over(year_of_era, 4))
        from_march = self._do("Sub", of_era, self._do("Sub", before, self._over(year_of_era, 100)))
        since_march = self._over(self._plus(self._times(from_march, 5), 2), 153)
        day = self._do("Sub", from_march, self._over(self._plus(self._times(since_march, 153), 2), 5))
        is_early = self._do("Greater", since_march, self._number(9))
        month = self._do("Where", is_early, self._plus(since_march, -9), self._plus(since_march, 3))
        early = self._do("Cast", is_early, to=INT64)
        year = self._do("Add", self._do("Add", year_of_era, self._times(era, 400)), early)
        late_day = self._do("Add", self._plus(from_march, 60), self._leap(year))
        return year, month, self._plus(day, 1), self._do("Where", is_early, self._plus(from_march, -305), late_day)

    def _leap(self, year: str) -> str:
        """Give 1 in leap years, else 0."""
        every = [self._do("Equal", self._modulo(year, span), self._number(0)) for span in (4, 100, 400)]
        is_leap = self._do("Or", self._do("And", every[0], self._do("Not", every[1])), every[2])
        return self._do("Cast", is_leap, to=INT64)

    def _do(self, operator: str, *inputs: str, **attributes: Any) -> str:
        return self._graph.node(operator, *inputs, **attributes)

    def _number(self, value: int) -> str:
        return self._graph.constant(value, np.int64)

    def _plus(self, tensor: str, value: int) -> str:
        return self._do("Add", tensor, self._number(value))

    def _times(self, tensor: str, value: int) -> str:
        return self._do("Mul", tensor, self._number(value))

    def _over(self, tensor: str, value: int) -> str:
        """Divide; only numbers from 0 on, or without remainder, are."""
        return self._do("Div", tensor, self._number(value))

    def _modulo(self, tensor: str, value: int) -> str:
        return self._do("Mod", tensor, self._number(value))
