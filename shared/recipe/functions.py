"""The functions of the expression language, and the kinds of values that they take and give."""

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
    """A function: the kinds it takes (`any`, or the `same` for all), which of them are optional, and what it gives."""

    takes: tuple[str, ...]
    gives: str
    about: str
    optional: int = 0
    repeats: bool = False
    literals: tuple[int, ...] = ()


def _part(name: str) -> Function:
    about = f"The {name} of a time, in UTC or in the zone that is named"
    return Function(("time", "text"), "number", about, optional=1, literals=(1,))


FUNCTIONS: dict[str, Function] = {
    "col": Function(("text",), "any", "The column of this name, which may hold blanks", literals=(0,)),
    "where": Function(("boolean", "same", "same"), "same", "The second where the first is true, else the third"),
    "coalesce": Function(("same",), "same", "The first that is not missing", repeats=True),
    "is_null": Function(("any",), "boolean", "Whether it is missing"),
    "null_if": Function(("same", "same"), "same", "Missing where both are equal, else the first"),
    "abs": Function(("number",), "number", "Without the sign"),
    "sqrt": Function(("number",), "number", "The square root; missing below 0"),
    "exp": Function(("number",), "number", "e to this power"),
    "log": Function(("number",), "number", "The natural logarithm; missing from 0 down"),
    "log1p": Function(("number",), "number", "log(1 + x)"),
    "floor": Function(("number",), "number", "The next whole number below"),
    "ceil": Function(("number",), "number", "The next whole number above"),
    "round": Function(
        ("number", "number"), "number", "Rounded to so many digits, half to even", optional=1, literals=(1,)
    ),
    "least": Function(("number",), "number", "The smallest; missing when any is", repeats=True),
    "greatest": Function(("number",), "number", "The greatest; missing when any is", repeats=True),
    "lower": Function(("text",), "text", "In small letters"),
    "upper": Function(("text",), "text", "In capitals"),
    "strip": Function(("text",), "text", "Without blanks at both ends"),
    "length": Function(("text",), "number", "How many characters"),
    "contains": Function(("text", "text"), "boolean", "Whether the first holds the second", literals=(1,)),
    "starts_with": Function(("text", "text"), "boolean", "Whether the first begins with the second", literals=(1,)),
    "ends_with": Function(("text", "text"), "boolean", "Whether the first ends with the second", literals=(1,)),
    "replace": Function(
        ("text", "text", "text"), "text", "The first with each of the second made the third", literals=(1, 2)
    ),
    "substring": Function(
        ("text", "number", "number"), "text", "From this place, counted from 1, so many characters", literals=(1, 2)
    ),
    "split_part": Function(
        ("text", "text", "number"), "text", "The nth part, counted from 1, between separators", literals=(1, 2)
    ),
    "concat": Function(("text",), "text", "One after the other; missing when any is", repeats=True),
    "text": Function(("any",), "text", "As text"),
    "number": Function(("text",), "number", "As a number; missing when it is none"),
    "time": Function(("text",), "time", 'A moment, written like "2026-01-31T12:00:00Z"', literals=(0,)),
    **{
        name: _part(name.replace("_", " "))
        for name in ("year", "quarter", "month", "day", "weekday", "hour", "minute", "second", "day_of_year")
    },
    "days_between": Function(("time", "time"), "number", "Days from the first to the second, with fractions"),
    "seconds_between": Function(("time", "time"), "number", "Seconds from the first to the second"),
}
