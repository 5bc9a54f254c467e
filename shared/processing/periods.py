"""Lengths of time as requests write them: a whole number and a unit, such as 90min, 30d or 1mo."""

import dataclasses
import re
from typing import Annotated, Literal

import pydantic

Family = Literal["microseconds", "days", "months"]
_UNITS: dict[str, tuple[Family, int]] = {
    "s": ("microseconds", 1_000_000),
    "min": ("microseconds", 60_000_000),
    "h": ("microseconds", 3_600_000_000),
    "d": ("days", 1),
    "w": ("days", 7),
    "mo": ("months", 1),
    "y": ("months", 12),
}
_PERIOD = re.compile(r"([1-9][0-9]{0,5})(s|min|h|d|w|mo|y)")
DAY_MICROSECONDS = 86_400_000_000


@dataclasses.dataclass(frozen=True)
class Period:
    """A length of time: how many of what the calendar counts."""

    family: Family
    """Hours and what is shorter always have the same length; days and months are the calendar's."""
    count: int

    @property
    def microseconds(self) -> int | None:
        """Its length when days have 24 hours; None for months, which have several."""
        return {"microseconds": self.count, "days": self.count * DAY_MICROSECONDS, "months": None}[self.family]


def parse(text: str) -> Period:
    """Parse a length of time; ValueError when it is none."""
    match = _PERIOD.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is no length of time; write a whole number and s, min, h, d, w, mo or y, such as 90min, 30d, 1mo"
        )
    family, size = _UNITS[match[2]]
    return Period(family, int(match[1]) * size)


def _check(text: str) -> str:
    parse(text)
    return text


Text = Annotated[str, pydantic.StringConstraints(min_length=2, max_length=10), pydantic.AfterValidator(_check)]
