"""Converts date transformers to ONNX: Gregorian date parts from microseconds since 1970, in integer arithmetic.

The formulas are Howard Hinnant's (chrono-Compatible Low-Level Date Algorithms), in which years begin in March.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from shared import errors
from shared.ml import transformers
from workers.training.exports.graph import DOUBLE, INT64, MISSING_INSTANT, Graph

PARTS = ("year", "quarter", "month", "day", "weekday", "hour", "minute", "second", "day_of_year")
DAY, HOUR, MINUTE, SECOND = 86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000


def extract_parts(graph: Graph, fitted: Any, tensor: str) -> str:
    """Add what DateParts computes."""
    calendar = Calendar(graph, tensor, zone=fitted.zone)
    return _interleave(graph, [calendar.select(name) for name in fitted.parts])


def encode_cyclic(graph: Graph, fitted: Any, tensor: str) -> str:
    """Add what CyclicTime computes."""
    calendar, coordinates = Calendar(graph, tensor, zone=fitted.zone), []
    for name in fitted.parts:
        length, start = transformers.CYCLES[name]
        offset = graph.node("Sub", calendar.select(name), graph.floats(start))
        angle = graph.node("Mul", offset, graph.floats(2 * np.pi / length))
        coordinates += [graph.node("Sin", angle), graph.node("Cos", angle)]
    return _interleave(graph, coordinates)


def _interleave(graph: Graph, tensors: Sequence[str]) -> str:
    """Interleave tensors of the same columns: all results of the first column come before those of the next."""
    axis = graph.constant([2], np.int64)
    stacked = graph.node("Concat", *(graph.node("Unsqueeze", tensor, axis) for tensor in tensors), axis=2)
    return graph.node("Flatten", stacked, axis=1)


class Calendar:
    """The date parts of a tensor of instants; each is a float64 tensor, NaN where the instant is missing."""

    def __init__(self, graph: Graph, instants: str, *, zone: str) -> None:
        if zone != "UTC":
            raise errors.BadModelError(f"dates are read in the zone {zone}; ONNX has no zones, so only UTC is exported")
        self._graph = graph
        self._instants = instants
        self._missing = graph.node("Equal", instants, self._constant(MISSING_INSTANT))
        self._time = self._modulo(instants, DAY)
        self._days = self._divide(self._node("Sub", instants, self._time), DAY)
        self._date = self._compute_date(self._days)

    def select(self, name: str) -> str:
        """Add one date part, by its name in the recipe language."""
        year, month, day, day_of_year = self._date
        rules: dict[str, Callable[[], str]] = {
            "year": lambda: year,
            "quarter": lambda: self._divide(self._add(month, 2), 3),
            "month": lambda: month,
            "day": lambda: day,
            "weekday": self._compute_weekday,
            "hour": lambda: self._divide(self._time, HOUR),
            "minute": lambda: self._modulo(self._divide(self._time, MINUTE), 60),
            "second": lambda: self._modulo(self._divide(self._time, SECOND), 60),
            "day_of_year": lambda: day_of_year,
            "week": lambda: self._add(self._divide(self._add(self._compute_thursday()[3], -1), 7), 1),
            "iso_year": lambda: self._compute_thursday()[0],
            "is_weekend": lambda: self._node("Greater", self._compute_weekday(), self._constant(4)),
            "is_month_start": lambda: self._node("Equal", day, self._constant(1)),
            "is_month_end": lambda: self._node(
                "Equal", self._compute_date(self._add(self._days, 1))[2], self._constant(1)
            ),
            "epoch_seconds": lambda: self._node(
                "Div", self._node("Cast", self._instants, to=DOUBLE), self._graph.floats(SECOND)
            ),
        }
        if name not in rules:
            raise errors.BadModelError(f"the date part {name!r} can't be exported to ONNX")
        return self._node(
            "Where", self._missing, self._graph.floats(np.nan), self._node("Cast", rules[name](), to=DOUBLE)
        )

    def _compute_weekday(self) -> str:
        return self._modulo(self._add(self._days, 3), 7)

    def _compute_thursday(self) -> tuple[str, str, str, str]:
        """Add the date of the Thursday in a day's week, whose year is the week's."""
        return self._compute_date(self._add(self._node("Sub", self._days, self._compute_weekday()), 3))

    def _compute_date(self, days: str) -> tuple[str, str, str, str]:
        """Add year, month, day and day of the year of days since 1970."""
        days_since_year_0 = self._add(days, 719_468)
        day_of_era = self._modulo(days_since_year_0, 146_097)
        era = self._divide(self._node("Sub", days_since_year_0, day_of_era), 146_097)
        leap_days = self._node("Sub", self._divide(day_of_era, 36_524), self._divide(day_of_era, 1_460))
        leap_days = self._node("Sub", leap_days, self._divide(day_of_era, 146_096))
        year_of_era = self._divide(self._node("Add", day_of_era, leap_days), 365)
        days_before = self._node("Add", self._multiply(year_of_era, 365), self._divide(year_of_era, 4))
        day_from_march = self._node("Sub", day_of_era, self._node("Sub", days_before, self._divide(year_of_era, 100)))
        month_from_march = self._divide(self._add(self._multiply(day_from_march, 5), 2), 153)
        day = self._node("Sub", day_from_march, self._divide(self._add(self._multiply(month_from_march, 153), 2), 5))
        is_new_year = self._node("Greater", month_from_march, self._constant(9))
        month = self._node("Where", is_new_year, self._add(month_from_march, -9), self._add(month_from_march, 3))
        year_carry = self._node("Cast", is_new_year, to=INT64)
        year = self._node("Add", self._node("Add", year_of_era, self._multiply(era, 400)), year_carry)
        day_after_february = self._node("Add", self._add(day_from_march, 60), self._is_leap_year(year))
        return (
            year,
            month,
            self._add(day, 1),
            self._node("Where", is_new_year, self._add(day_from_march, -305), day_after_february),
        )

    def _is_leap_year(self, year: str) -> str:
        """Add a tensor that is 1 in leap years, else 0."""
        divisible = [self._node("Equal", self._modulo(year, span), self._constant(0)) for span in (4, 100, 400)]
        is_leap = self._node("Or", self._node("And", divisible[0], self._node("Not", divisible[1])), divisible[2])
        return self._node("Cast", is_leap, to=INT64)

    def _node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        return self._graph.node(operator, *inputs, **attributes)

    def _constant(self, value: int) -> str:
        return self._graph.constant(value, np.int64)

    def _add(self, tensor: str, value: int) -> str:
        return self._node("Add", tensor, self._constant(value))

    def _multiply(self, tensor: str, value: int) -> str:
        return self._node("Mul", tensor, self._constant(value))

    def _divide(self, tensor: str, value: int) -> str:
        """Divide numbers that are not negative, or divisible without remainder; ONNX rounds others towards 0."""
        return self._node("Div", tensor, self._constant(value))

    def _modulo(self, tensor: str, value: int) -> str:
        return self._node("Mod", tensor, self._constant(value))
