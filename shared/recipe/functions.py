"""The functions of the expression language, and the kinds of values that they take and return."""

import dataclasses
from typing import Literal

from shared import contract

Kind = Literal["number", "boolean", "text", "time", "null"]

KINDS: dict[str, Kind] = {
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "string": "text",
    "timestamp": "time",
    "date": "time",
}

TYPES: dict[Kind, contract.ColumnType] = {
    "number": "number",
    "boolean": "boolean",
    "text": "string",
    "time": "timestamp",
}


@dataclasses.dataclass(frozen=True)
class Function:
    """A function: the kinds it takes (`any`, or the `same` for all), how many are optional, and the kind it returns.

    `repeats`: the last argument may be given any number of times. `literals` are the arguments that must be literals.
    """

    takes: tuple[str, ...]
    returns: str
    about: str
    optional: int = 0
    repeats: bool = False
    literals: tuple[int, ...] = ()


def _time_part(about: str, *, returns: str = "number") -> Function:
    about = f"{about}, in UTC or in the zone that is named"
    return Function(("time", "text"), returns, about, optional=1, literals=(1,))


FUNCTIONS: dict[str, Function] = {
    "col": Function(("text",), "any", "The column of this name, which may contain spaces", literals=(0,)),
    "where": Function(("boolean", "same", "same"), "same", "The second where the first is true, else the third"),
    "coalesce": Function(("same",), "same", "The first that is not missing", repeats=True),
    "is_null": Function(("any",), "boolean", "Whether the value is missing"),
    "null_if": Function(("same", "same"), "same", "Missing where both are equal, else the first"),
    "abs": Function(("number",), "number", "The absolute value"),
    "sqrt": Function(("number",), "number", "The square root; missing below 0"),
    "exp": Function(("number",), "number", "e to this power"),
    "log": Function(("number",), "number", "The natural logarithm; missing for 0 and below"),
    "log1p": Function(("number",), "number", "log(1 + x)"),
    "floor": Function(("number",), "number", "The greatest whole number that is not above it"),
    "ceil": Function(("number",), "number", "The smallest whole number that is not below it"),
    "round": Function(
        ("number", "number"), "number", "Rounded to this many digits, half to even", optional=1, literals=(1,)
    ),
    "least": Function(("number",), "number", "The smallest; missing when any is", repeats=True),
    "greatest": Function(("number",), "number", "The greatest; missing when any is", repeats=True),
    "lower": Function(("text",), "text", "In lower case"),
    "upper": Function(("text",), "text", "In upper case"),
    "strip": Function(("text",), "text", "Without white space at both ends"),
    "length": Function(("text",), "number", "The number of characters"),
    "contains": Function(("text", "text"), "boolean", "Whether the first contains the second", literals=(1,)),
    "starts_with": Function(("text", "text"), "boolean", "Whether the first begins with the second", literals=(1,)),
    "ends_with": Function(("text", "text"), "boolean", "Whether the first ends with the second", literals=(1,)),
    "replace": Function(
        ("text", "text", "text"), "text", "The first, with every second in it replaced by the third", literals=(1, 2)
    ),
    "substring": Function(
        ("text", "number", "number"),
        "text",
        "This many characters (the third) from this position (the second), counted from 1",
        literals=(1, 2),
    ),
    "split_part": Function(
        ("text", "text", "number"), "text", "The nth part, counted from 1, between separators", literals=(1, 2)
    ),
    "concat": Function(("text",), "text", "One after another; missing when any is", repeats=True),
    "text": Function(("any",), "text", "As text"),
    "number": Function(("text",), "number", "As a number; missing when it is none"),
    "time": Function(("text",), "time", 'A point in time, written like "2026-01-31T12:00:00Z"', literals=(0,)),
    **{
        name: _time_part(f"The {name.replace('_', ' ')} of a time")
        for name in ("year", "quarter", "month", "day", "weekday", "hour", "minute", "second", "day_of_year")
    },
    "week": _time_part("The week of a time by ISO 8601, from 1 to 53"),
    "iso_year": _time_part("The year that this week belongs to"),
    "is_weekend": _time_part("Whether a time is on a Saturday or a Sunday", returns="boolean"),
    "is_month_start": _time_part("Whether a time is on the first day of its month", returns="boolean"),
    "is_month_end": _time_part("Whether a time is on the last day of its month", returns="boolean"),
    "epoch_seconds": Function(("time",), "number", "Seconds since 1970 in UTC, with fractions"),
    "days_between": Function(("time", "time"), "number", "Days from the first to the second, with fractions"),
    "seconds_between": Function(("time", "time"), "number", "Seconds from the first to the second"),
}
