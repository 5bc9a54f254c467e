"""Steps that turn times into numbers."""

from typing import Annotated, ClassVar, Literal

import pydantic

from shared import date_formats
from shared.recipe.slots import Slot, group_of
from shared.recipe.step import ColumnsStep, Scope, Takes, with_example

Zone = Annotated[
    str,
    pydantic.StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$", max_length=64),
    pydantic.Field(
        description="The time zone in which to read times, such as `Europe/Berlin`; a date is the same day in every "
        "zone."
    ),
]

DatePart = Literal[
    "year",
    "quarter",
    "month",
    "week",
    "iso_year",
    "day",
    "day_of_year",
    "weekday",
    "is_weekend",
    "is_month_start",
    "is_month_end",
    "hour",
    "minute",
    "second",
    "epoch_seconds",
]


class ParseDates(ColumnsStep):
    """Read text as dates or, when the format has a time of day, as timestamps.

    The format is spelled as `date_format` is in loads, and read in the same way: the whole text must fit, except for
    white space around it; names of months are English, and years of two digits are those from 1969 to 2068.
    """

    model_config = with_example({"op": "parse_dates", "columns": ["seen"], "format": "dd.mm.yyyy", "on_error": "null"})
    family: ClassVar[str] = "Times"
    takes: ClassVar[Takes] = "texts"
    scope: ClassVar[Scope] = "row-wise"

    op: Literal["parse_dates"]
    format: Annotated[str, pydantic.AfterValidator(date_formats.check)] = pydantic.Field(
        max_length=60, description="How the dates are written, such as `%d.%m.%Y`, `dd/mm/yyyy` or `%m/%d/%Y %I:%M %p`."
    )
    zone: Zone = pydantic.Field(
        default="UTC",
        description="The time zone of times that are written without an offset, such as `Europe/Berlin`. A time that a "
        "change of clocks leaves out, or has twice, doesn't fit.",
    )
    on_error: Literal["fail", "null"] = pydantic.Field(
        default="fail",
        description="What happens to a text that doesn't fit: the job fails and names column, value and row, or the "
        "value becomes missing, and a note counts them.",
    )

    @pydantic.model_validator(mode="after")
    def _has_one_offset(self) -> "ParseDates":
        if self.zone != "UTC" and date_formats.has_offset(self.format):
            raise ValueError(f"the format {self.format!r} has an offset (%z), so the times have no `zone`")
        return self

    def find_mismatch(self, slot: Slot) -> str | None:
        """Refuse columns that hold no text."""
        if slot.type_group == "temporal":
            return f"is {slot.type} already, so there is nothing to read"
        if slot.type_group == "numeric":
            return f"is {slot.type}; parse_dates reads text, so cast to string first"
        return None

    def plan_one(self, slot: Slot) -> list[Slot]:
        """Plan the column as a date or a timestamp."""
        type_: Literal["timestamp", "date"] = "timestamp" if date_formats.has_time(self.format) else "date"
        return [slot.become(type=type_, selector=group_of(type_), width=1)]


class FormatDates(ColumnsStep):
    """Write times as text, so that `one_hot` makes a column of each month, for instance."""

    model_config = with_example({"op": "format_dates", "columns": ["seen"], "format": "%Y-%m"})
    family: ClassVar[str] = "Times"
    takes: ClassVar[Takes] = "times"
    keeps_missing: ClassVar[bool] = True
    scope: ClassVar[Scope] = "row-wise"

    op: Literal["format_dates"]
    format: Annotated[str, pydantic.AfterValidator(date_formats.check_output)] = pydantic.Field(
        max_length=60, description="What to write, such as `%Y-%m`, `%d %B %Y` or `%H:%M`; names are English."
    )
    zone: Zone = "UTC"

    def plan_one(self, slot: Slot) -> list[Slot]:
        """Plan the column as text."""
        return [slot.become(type="string", selector=group_of("string"), width=1)]


class DateParts(ColumnsStep):
    """Turn a date into its parts, as `<column>_<part>`; a weekday is 0 on Monday.

    `week` is that of ISO 8601, from 1 to 53, and `iso_year` the year that it belongs to: 2027-01-01 is in week 53 of
    2026. `is_weekend` (Saturday and Sunday), `is_month_start` and `is_month_end` (the first and the last day) are 1 or
    0. `epoch_seconds` are those since 1970 in UTC, with fractions. The time since a fixed date, or between two columns,
    is what `derive` computes: `days_between(time("2026-01-01"), seen)`, `seconds_between(ordered, paid)`.
    """

    model_config = with_example({"op": "date_parts", "columns": ["seen"], "parts": ["year", "month", "hour"]})
    family: ClassVar[str] = "Times"
    fewer_by: ClassVar[str] = "give fewer `parts`"
    takes: ClassVar[Takes] = "times"
    keeps_missing: ClassVar[bool] = True
    scope: ClassVar[Scope] = "row-wise"

    op: Literal["date_parts"]
    parts: list[DatePart] = pydantic.Field(
        default=["year", "month", "day", "weekday"], min_length=1, description="Which parts to make a column of."
    )
    zone: Zone = "UTC"

    def plan_one(self, slot: Slot) -> list[Slot]:
        """Plan a column for each part."""
        return slot.fan_out([f"{slot.name}_{part}" for part in dict.fromkeys(self.parts)])


class CyclicTime(ColumnsStep):
    """Put a part of a date on a circle, as `<column>_<part>_sin` and `…_cos`, so that December is next to January."""

    model_config = with_example({"op": "cyclic_time", "columns": ["seen"], "parts": ["hour", "weekday"]})
    family: ClassVar[str] = "Times"
    fewer_by: ClassVar[str] = "give fewer `parts`"
    takes: ClassVar[Takes] = "times"
    scope: ClassVar[Scope] = "row-wise"

    op: Literal["cyclic_time"]
    parts: list[Literal["quarter", "month", "week", "day", "weekday", "hour", "minute", "second", "day_of_year"]] = (
        pydantic.Field(
            default=["month", "weekday", "hour"],
            min_length=1,
            description="Which parts; the circle has 4 quarters, 12 months, 365.2425 / 7 weeks, 31 days, 7 weekdays, "
            "24 hours, 60 minutes, 60 seconds or 365.25 days of the year.",
        )
    )
    zone: Zone = "UTC"

    def plan_one(self, slot: Slot) -> list[Slot]:
        """Plan two columns for each part."""
        return slot.fan_out(
            [f"{slot.name}_{part}_{side}" for part in dict.fromkeys(self.parts) for side in ("sin", "cos")]
        )
