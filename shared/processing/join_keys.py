"""The key and the times by which two datasets are joined, and what their columns must be like."""

from collections.abc import Sequence
from typing import Annotated

import pydantic

from shared import column_names, contract, errors

MAX_SECONDS = 1e10
ColumnName = Annotated[str, pydantic.StringConstraints(min_length=1, max_length=1000)]


class KeyColumns(contract.Document):
    """Two columns that hold the same key under different names."""

    left: ColumnName = pydantic.Field(description="The left dataset's column.")
    right: ColumnName = pydantic.Field(description="The right dataset's column.")


class AsOf(contract.Document):
    """Match each left row with the last right row that was known at its time, and with no later one."""

    left: ColumnName = pydantic.Field(description="The left dataset's time: a timestamp or a date.")
    right: ColumnName = pydantic.Field(description="The right dataset's time: a timestamp or a date.")
    tolerance_seconds: float | None = pydantic.Field(
        default=None,
        ge=0,
        le=MAX_SECONDS,
        allow_inf_nan=False,
        description="How much older than the left row a right row may be, in seconds, this age included; any age when "
        "left out.",
    )
    strict: bool = pydantic.Field(
        default=False, description="Match only rows that were known before the left row's time, not those at it."
    )
    known_after_seconds: float = pydantic.Field(
        default=0.0,
        ge=0,
        le=MAX_SECONDS,
        allow_inf_nan=False,
        description="How long after its time a right row was known, in seconds; for example 86400 where a row of a "
        "date tells of that whole day.",
    )


def spell_out(on: Sequence[str | KeyColumns]) -> list[KeyColumns]:
    """Name the columns of a key on both sides, where a text names one that both have."""
    return [KeyColumns(left=key, right=key) if isinstance(key, str) else key for key in on]


def check_keys(on: Sequence[str | KeyColumns], *, left: contract.DatasetPin, right: contract.DatasetPin) -> list[str]:
    """Refuse a key whose columns are absent or of unlike types, by BadDataError; return notes on it."""
    notes = []
    for position, (written, key) in enumerate(zip(on, spell_out(on), strict=True)):
        pointer = f"#/params/on/{position}"
        left_end, right_end = ("", "") if isinstance(written, str) else ("/left", "/right")
        left_column = find_column(key.left, left, pointer=f"{pointer}{left_end}")
        right_column = find_column(key.right, right, pointer=f"{pointer}{right_end}")
        if left_column.type != right_column.type:
            raise errors.BadDataError(
                f"the key's column {_describe(left_column, left)}, but {_describe(right_column, right)}"
                f"{_show_difference(left_column, right_column)}; they must be of the same type: "
                f"{_suggest_cast(left_column, left, to=right_column)}, or "
                f"{_suggest_cast(right_column, right, to=left_column)}",
                pointer=pointer,
            )
        if left_column.type == "number":
            notes.append(
                f"The key {key.left!r} holds numbers with fractions, which match only when they are equal in every "
                "digit."
            )
    return notes


def check_times(as_of: AsOf, *, left: contract.DatasetPin, right: contract.DatasetPin) -> list[str]:
    """Refuse times that are absent or no times, by BadDataError; return notes on how dates are compared with times."""
    left_column = _find_time(as_of.left, left, pointer="#/params/as_of/left")
    right_column = _find_time(as_of.right, right, pointer="#/params/as_of/right")
    notes = []
    if (
        right_column.type == "date"
        and not as_of.known_after_seconds
        and not (left_column.type == "date" and as_of.strict)
    ):
        notes.append(
            f"The dates of {right_column.name!r} count as known from midnight in UTC, at which they begin; where a row "
            "tells of its whole day, set `known_after_seconds` to 86400."
        )
    if left_column.type == "date" and right_column.type == "timestamp":
        notes.append(f"The dates of {left_column.name!r} count as midnight in UTC, at which they begin.")
    return notes


def find_column(name: str, pin: contract.DatasetPin, *, pointer: str) -> contract.Column:
    """Find a dataset's column; BadDataError, with similar names, when it has none of that name."""
    for column in pin.columns:
        if column.name == name:
            return column
    described = column_names.describe_absent(name, present=pin.names)
    raise errors.BadDataError(f"{pin.label} has no {described}", pointer=pointer)


def _find_time(name: str, pin: contract.DatasetPin, *, pointer: str) -> contract.Column:
    column = find_column(name, pin, pointer=pointer)
    if column.type not in contract.TEMPORAL:
        raise errors.BadDataError(
            f"the time {_describe(column, pin)}; it must be a timestamp or a date: cast it by the recipe step "
            f'{{"op": "cast", "columns": ["{name}"], "to": "timestamp"}}, or load it with that type',
            pointer=pointer,
        )
    return column


def _describe(column: contract.Column, pin: contract.DatasetPin) -> str:
    return f"{column.name!r} of {pin.label} is of type {column.type}"


def _show_difference(left: contract.Column, right: contract.Column) -> str:
    return ' ("007" is not 7)' if {left.type, right.type} == {"string", "integer"} else ""


def _suggest_cast(column: contract.Column, pin: contract.DatasetPin, *, to: contract.Column) -> str:
    step = f'{{"op": "cast", "columns": ["{column.name}"], "to": "{to.type}"}}'
    return f"cast {column.name!r} of {pin.label} by the recipe step {step}"
