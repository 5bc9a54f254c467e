"""What must hold for a table before it becomes a dataset's version."""

import datetime
from typing import Annotated, Literal, Self

import pydantic

from shared import contract

ColumnName = Annotated[str, pydantic.Field(min_length=1, max_length=500)]
Number = int | Annotated[float, pydantic.Field(allow_inf_nan=False)]
Scalar = bool | Number | Annotated[str, pydantic.Field(max_length=10_000)]
OnFailure = Literal["reject", "quarantine", "warn"]
_ON_FAILURE = (
    "`reject` fails the job; `quarantine` keeps the rows out and stores them as `<name>.quarantine`; "
    "`warn` stores them and adds a note."
)


def _require_bounds(least: Number | str | None, most: Number | str | None) -> None:
    """Refuse bounds that are both omitted, or between which no value lies."""
    if least is None and most is None:
        raise ValueError("give min, max or both")
    if least is None or most is None:
        return
    if isinstance(least, str) and isinstance(most, str):
        is_crossed = least > most and not _is_no_earlier(most, least)
    elif isinstance(least, str) or isinstance(most, str):
        raise ValueError("one of min and max is a number and the other a text; give both in the same form")
    else:
        is_crossed = least > most
    if is_crossed:
        raise ValueError(f"min is greater than max: {str(least)[:100]!r} and {str(most)[:100]!r}")


def _is_no_earlier(text: str, other: str) -> bool:
    """Check whether both are times, the first no earlier than the second; as texts they may sort differently."""
    try:
        times = [datetime.datetime.fromisoformat(time) for time in (text, other)]
    except ValueError:
        return False
    first, second = (time if time.tzinfo else time.replace(tzinfo=datetime.UTC) for time in times)
    return first >= second


class _ColumnExpectation(contract.Document):
    """An expectation that each value of a column must meet."""

    column: ColumnName = pydantic.Field(description="The column whose values are checked.")
    on_failure: OnFailure = pydantic.Field(default="reject", description=_ON_FAILURE)

    @property
    def columns(self) -> list[str]:
        """The columns that it checks."""
        return [self.column]


class NotNull(_ColumnExpectation):
    """No value is missing."""

    type: Literal["not_null"] = pydantic.Field(description="The kind of expectation.")


class Unique(contract.Document):
    """No two rows have the same values: all but the first of equal rows fail. Rows with a missing value never fail."""

    type: Literal["unique"] = pydantic.Field(description="The kind of expectation.")
    columns: list[ColumnName] = pydantic.Field(
        min_length=1, max_length=100, description="The columns that are unique together."
    )
    on_failure: OnFailure = pydantic.Field(default="reject", description=_ON_FAILURE)


class Between(_ColumnExpectation):
    """Every value lies between two bounds, both included; missing values are allowed."""

    type: Literal["between"] = pydantic.Field(description="The kind of expectation.")
    min: Number | str | None = pydantic.Field(
        default=None, description="The least value: a number, or text for text, dates and times (ISO 8601)."
    )
    max: Number | str | None = pydantic.Field(default=None, description="The greatest value, in the same form.")

    @pydantic.model_validator(mode="after")
    def _has_bounds(self) -> Self:
        _require_bounds(self.min, self.max)
        return self


class InSet(_ColumnExpectation):
    """Every value is in a list; missing values are allowed."""

    type: Literal["in_set"] = pydantic.Field(description="The kind of expectation.")
    values: list[Scalar] = pydantic.Field(
        min_length=1, max_length=10_000, description="The allowed values; dates and times as ISO 8601 text."
    )


class Matches(_ColumnExpectation):
    """Every text matches a regular expression from its start to its end; missing values are allowed."""

    type: Literal["matches"] = pydantic.Field(description="The kind of expectation.")
    pattern: str = pydantic.Field(
        min_length=1,
        max_length=1000,
        description="A regular expression in RE2's syntax, which has neither look-around nor back references.",
        examples=["[A-Z]{2}[0-9]{6}"],
    )


class RowCountBetween(contract.Document):
    """The number of rows lies between two bounds; rows already left out or quarantined are not counted."""

    type: Literal["row_count_between"] = pydantic.Field(description="The kind of expectation.")
    min: int | None = pydantic.Field(default=None, ge=0, description="The least number of rows.")
    max: int | None = pydantic.Field(default=None, ge=0, description="The greatest number of rows.")
    on_failure: Literal["reject", "warn"] = pydantic.Field(
        default="reject", description="`reject` fails the job, `warn` adds a note; there are no rows to quarantine."
    )

    @property
    def columns(self) -> list[str]:
        """The columns that it checks: none."""
        return []

    @pydantic.model_validator(mode="after")
    def _has_bounds(self) -> Self:
        _require_bounds(self.min, self.max)
        return self


RowExpectation = NotNull | Unique | Between | InSet | Matches
AnyExpectation = Annotated[RowExpectation | RowCountBetween, pydantic.Field(discriminator="type")]


class Example(contract.Document):
    """A row that fails."""

    row: int | None = pydantic.Field(
        description="The row's number in the data that was read, from 1; null for a row of the version appended to."
    )
    values: list[bool | int | float | str | None] = pydantic.Field(
        description="Its values in the expectation's columns; times and dates as ISO 8601 text, long text cut short."
    )


class Outcome(contract.Document):
    """Whether an expectation was met, and which rows fail it."""

    type: str = pydantic.Field(description="The kind of expectation.")
    columns: list[str] = pydantic.Field(description="The columns that it checked.")
    on_failure: OnFailure = pydantic.Field(description="What to do with rows that fail.")
    met: bool = pydantic.Field(description="Whether the expectation was met.")
    failed_rows: int = pydantic.Field(
        description="How many rows fail; for `row_count_between`, how many rows there are too few or too many."
    )
    rows: int | None = pydantic.Field(
        default=None, description="For `row_count_between`, how many rows there are; null for other expectations."
    )
    examples: list[Example] = pydantic.Field(description="The first rows that fail, at most five.")
