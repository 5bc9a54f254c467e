"""What a table must be like before it becomes a dataset's version."""

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
    "`warn` stores them and says so."
)


def _require_bounds(least: Number | str | None, most: Number | str | None) -> None:
    """Refuse bounds that are both left out, or between which nothing lies."""
    if least is None and most is None:
        raise ValueError("give min, max or both")
    if least is None or most is None:
        return
    if isinstance(least, str) and isinstance(most, str):
        is_crossed = least > most and not _is_later(most, least)
    elif isinstance(least, str) or isinstance(most, str):
        raise ValueError("min and max are a number and a text; give both in the same form")
    else:
        is_crossed = least > most
    if is_crossed:
        raise ValueError(f"min is greater than max: {str(least)[:100]!r} and {str(most)[:100]!r}")


def _is_later(text: str, other: str) -> bool:
    """Tell whether both are times, and the first no earlier; their order can be another than that of the texts."""
    try:
        moments = [datetime.datetime.fromisoformat(one) for one in (text, other)]
    except ValueError:
        return False
    first, second = (one if one.tzinfo else one.replace(tzinfo=datetime.UTC) for one in moments)
    return first >= second


class _OfOneColumn(contract.Document):
    """An expectation of each value of a column."""

    column: ColumnName = pydantic.Field(description="The column whose values are looked at.")
    on_failure: OnFailure = pydantic.Field(default="reject", description=_ON_FAILURE)

    @property
    def columns(self) -> list[str]:
        """The columns that it looks at."""
        return [self.column]


class NotNull(_OfOneColumn):
    """No value is missing."""

    type: Literal["not_null"] = pydantic.Field(description="The kind of expectation.")


class Unique(contract.Document):
    """No two rows have the same values; all but the first of them fail. Rows that lack one of the values never do."""

    type: Literal["unique"] = pydantic.Field(description="The kind of expectation.")
    columns: list[ColumnName] = pydantic.Field(
        min_length=1, max_length=100, description="The columns that are unique together."
    )
    on_failure: OnFailure = pydantic.Field(default="reject", description=_ON_FAILURE)


class Between(_OfOneColumn):
    """Every value lies between two bounds, which are allowed themselves; missing values are."""

    type: Literal["between"] = pydantic.Field(description="The kind of expectation.")
    min: Number | str | None = pydantic.Field(
        default=None, description="The least value: a number, or text for text, dates and times (ISO 8601)."
    )
    max: Number | str | None = pydantic.Field(default=None, description="The greatest value, in the same form.")

    @pydantic.model_validator(mode="after")
    def _has_bounds(self) -> Self:
        _require_bounds(self.min, self.max)
        return self


class InSet(_OfOneColumn):
    """Every value is one of those listed; missing values are allowed."""

    type: Literal["in_set"] = pydantic.Field(description="The kind of expectation.")
    values: list[Scalar] = pydantic.Field(
        min_length=1, max_length=10_000, description="What is allowed; dates and times as ISO 8601 text."
    )


class Matches(_OfOneColumn):
    """Every text matches a regular expression as a whole; missing values are allowed."""

    type: Literal["matches"] = pydantic.Field(description="The kind of expectation.")
    pattern: str = pydantic.Field(
        min_length=1,
        max_length=1000,
        description="A regular expression in RE2's syntax, which has neither look-around nor back references.",
        examples=["[A-Z]{2}[0-9]{6}"],
    )


class RowCountBetween(contract.Document):
    """The table has so many rows, those left out or put into quarantine before not counted."""

    type: Literal["row_count_between"] = pydantic.Field(description="The kind of expectation.")
    min: int | None = pydantic.Field(default=None, ge=0, description="The least number of rows.")
    max: int | None = pydantic.Field(default=None, ge=0, description="The greatest number of rows.")
    on_failure: Literal["reject", "warn"] = pydantic.Field(
        default="reject", description="`reject` fails the job, `warn` says so; there are no rows to keep out."
    )

    @property
    def columns(self) -> list[str]:
        """The columns that it looks at: none."""
        return []

    @pydantic.model_validator(mode="after")
    def _has_bounds(self) -> Self:
        _require_bounds(self.min, self.max)
        return self


OfRows = NotNull | Unique | Between | InSet | Matches
AnyExpectation = Annotated[OfRows | RowCountBetween, pydantic.Field(discriminator="type")]


class Example(contract.Document):
    """A row that fails."""

    row: int | None = pydantic.Field(
        description="The row in the data that was read, counted from 1; null for one of the version that was extended."
    )
    values: list[bool | int | float | str | None] = pydantic.Field(
        description="What it holds in the expectation's columns; times and dates as ISO 8601 text, text cut."
    )


class Outcome(contract.Document):
    """How an expectation fared."""

    type: str = pydantic.Field(description="The kind of expectation.")
    columns: list[str] = pydantic.Field(description="The columns that it looked at.")
    on_failure: OnFailure = pydantic.Field(description="What was to be done with rows that fail.")
    met: bool = pydantic.Field(description="Whether the table is as expected.")
    failed_rows: int = pydantic.Field(description="How many rows fail; for a number of rows: how far it is off.")
    rows: int | None = pydantic.Field(
        default=None, description="For a number of rows: how many there are; null for other expectations."
    )
    examples: list[Example] = pydantic.Field(description="The first rows that fail, at most five.")
