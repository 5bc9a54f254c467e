"""Steps that turn times into numbers."""

from typing import Annotated, ClassVar, Literal

import pydantic

from shared.recipe.slots import Slot
from shared.recipe.step import ColumnsStep, Scope, Takes, with_example

Zone = Annotated[
    str,
    pydantic.StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$", max_length=64),
    pydantic.Field(
        description="The time zone in which to read times, such as `Europe/Berlin`; a date is the same day in every "
        "zone."
    ),
]


class DateParts(ColumnsStep):
    """Turn a date into its parts, as `<column>_<part>`; a weekday is 0 on Monday."""

    model_config = with_example({"op": "date_parts", "columns": ["seen"], "parts": ["year", "month", "hour"]})
    family: ClassVar[str] = "Times"
    takes: ClassVar[Takes] = "times"
    keeps_missing: ClassVar[bool] = True
    scope: ClassVar[Scope] = "row-wise"

    op: Literal["date_parts"]
    parts: list[Literal["year", "quarter", "month", "day", "weekday", "hour", "minute", "second", "day_of_year"]] = (
        pydantic.Field(
            default=["year", "month", "day", "weekday"], min_length=1, description="Which parts to make a column of."
        )
    )
    zone: Zone = "UTC"

    def plan_one(self, slot: Slot) -> list[Slot]:
        """Plan a column for each part."""
        return slot.fan_out([f"{slot.name}_{part}" for part in dict.fromkeys(self.parts)])


class CyclicTime(ColumnsStep):
    """Put a part of a date on a circle, as `<column>_<part>_sin` and `…_cos`, so that December is next to January."""

    model_config = with_example({"op": "cyclic_time", "columns": ["seen"], "parts": ["hour", "weekday"]})
    family: ClassVar[str] = "Times"
    takes: ClassVar[Takes] = "times"
    scope: ClassVar[Scope] = "row-wise"

    op: Literal["cyclic_time"]
    parts: list[Literal["month", "day", "weekday", "hour", "minute", "second", "day_of_year"]] = pydantic.Field(
        default=["month", "weekday", "hour"],
        min_length=1,
        description="Which parts; the circle has 12 months, 31 days, 7 weekdays, 24 hours, 60 minutes, 60 seconds or "
        "365.25 days of the year.",
    )
    zone: Zone = "UTC"

    def plan_one(self, slot: Slot) -> list[Slot]:
        """Plan two columns for each part."""
        return slot.fan_out(
            [f"{slot.name}_{part}_{side}" for part in dict.fromkeys(self.parts) for side in ("sin", "cos")]
        )
