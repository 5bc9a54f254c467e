"""The command and the result of an aggregation, and which columns it makes."""

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

import pydantic

from shared import column_names, contract, errors
from shared.processing import periods
from shared.processing.measures import OF_ROWS, ColumnName, Measure, find_type
from shared.recipe import time_zones

MAX_BY = 20
MAX_MEASURES = 200
MAX_WINDOWS_PER_ROW = 1_000
MAX_YEARS = 9_999
MAX_WINDOWED_ROWS = 2_000_000_000
MAX_ROWS = 200_000_000
MAX_CELLS = 5_000_000_000
START, END = "window_start", "window_end"


class Window(contract.Document):
    """Windows of time: with `every` one row for each window of a group, without it measures of the rows before each."""

    time: ColumnName = pydantic.Field(description="The time of a row: a timestamp or a date.")
    every: periods.Text | None = pydantic.Field(
        default=None,
        description="How far windows are apart, such as 1h, 1d, 1w or 1mo; a window begins at its start and ends "
        "before its end. Days, weeks (from Monday), months and years are those of the calendar in `timezone`.",
    )
    length: periods.Text | None = pydantic.Field(
        default=None,
        description="How long a window is: a multiple of `every`, which it equals when left out; a row is in each "
        "window that holds its time. Without `every`: how far each row looks back, a day being 24 hours.",
    )
    include_row: bool = pydantic.Field(
        default=False,
        description="Without `every`: whether the row itself counts beside those before it. Other rows of its time "
        "never do.",
    )
    origin: str | None = pydantic.Field(
        default=None,
        max_length=10,
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        description="A day on which a window begins; 1970-01-01 when left out, for weeks 1970-01-05, a Monday.",
    )
    timezone: str | None = pydantic.Field(
        default=None, max_length=100, description="Whose calendar counts, such as Europe/Berlin; UTC when left out."
    )

    @pydantic.field_validator("every", "length")
    @classmethod
    def _fits_in_calendar(cls, text: str | None) -> str | None:
        period = None if text is None else periods.parse(text)
        if period is not None and period.family == "months" and period.count > MAX_YEARS * 12:
            raise ValueError(f"a window is at most {MAX_YEARS:,} years long, not {text}")
        return text

    @pydantic.field_validator("origin")
    @classmethod
    def _is_day(cls, origin: str | None) -> str | None:
        try:
            datetime.date.fromisoformat(origin or "1970-01-01")
        except ValueError as error:
            raise ValueError(f"there is no day {origin}") from error
        return origin

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> "Window":
        if self.every is None:
            return self._check_trailing()
        every = periods.parse(self.every)
        length = periods.parse(self.length or self.every)
        if self.include_row:
            raise ValueError("`include_row` is for windows before each row, which have no `every`")
        if length.family != every.family or length.count % every.count:
            raise ValueError(
                f"`length` must be a multiple of `every` in the same units, as 7d is of 1d, not {self.length}"
            )
        if self.windows_per_row > MAX_WINDOWS_PER_ROW:
            raise ValueError(
                f"a row would be in {self.windows_per_row:,} windows; at most {MAX_WINDOWS_PER_ROW:,} may be"
            )
        if self.timezone is not None and every.family == "microseconds":
            raise ValueError("`timezone` is for windows of days and longer: hours are the same everywhere")
        if self.timezone is not None and self.timezone not in time_zones.list_names():
            raise ValueError(f"there is no time zone {self.timezone!r}; write it like Europe/Berlin")
        if every.family == "months" and self.first_day.day > 28:
            raise ValueError("months can't begin on a day that not every month has; choose one up to the 28th")
        return self

    def _check_trailing(self) -> "Window":
        if self.length is None:
            raise ValueError("a window needs `every`, or `length` for the rows before each row, or both")
        if periods.parse(self.length).microseconds is None:
            raise ValueError("months have several lengths; write how far each row looks back in days or hours")
        if self.origin is not None or self.timezone is not None:
            raise ValueError("`origin` and `timezone` are for windows with `every`")
        return self

    @property
    def windows_per_row(self) -> int:
        """How many windows a row is in; without `every` a row has one, which looks back from it."""
        if self.every is None or self.length is None:
            return 1
        return periods.parse(self.length).count // periods.parse(self.every).count

    @property
    def first_day(self) -> datetime.date:
        """The day on which a window begins."""
        if self.origin is not None:
            return datetime.date.fromisoformat(self.origin)
        return datetime.date(1970, 1, 5 if self.every is not None and self.every.endswith("w") else 1)


class AggregateRules(contract.Document):
    """What makes a group of rows, and what is computed of each."""

    name: contract.Name = pydantic.Field(description="The dataset that the groups become a version of.")
    by: list[ColumnName] = pydantic.Field(
        default=[],
        max_length=MAX_BY,
        description="The columns whose values make a group; rows without a value are a group as well, and all rows are "
        "one when left out.",
    )
    window: Window | None = pydantic.Field(default=None, description="Windows of time within each group.")
    measures: list[Measure] = pydantic.Field(
        min_length=1, max_length=MAX_MEASURES, description="What is computed of each group, each a column."
    )

    @property
    def is_per_row(self) -> bool:
        """Whether each row gets measures of those before it, instead of each group becoming a row."""
        return self.window is not None and self.window.every is None

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> "AggregateRules":
        if repeated := column_names.list_repeated(self.by):
            raise ValueError(f"the column {repeated[0]!r} is in `by` twice")
        if repeated := column_names.list_repeated(measure.output for measure in self.measures):
            raise ValueError(f"several measures would be called {repeated[0]!r}; give them a `name`")
        unfit = [measure.function for measure in self.measures if measure.function not in OF_ROWS]
        if self.is_per_row and unfit:
            raise ValueError(
                f"of the rows before each row {unfit[0]} can't be computed, only {', '.join(sorted(OF_ROWS))}; "
                "the last value before a row is what processing.join with `as_of` finds"
            )
        return self


class AggregateDataset(AggregateRules, contract.Command):
    """Compute measures of groups of rows, also by windows of time, or for each row of those before it.

    Groups are ordered by their columns and the window's start, missing values last; rows keep their order.
    """

    dataset: contract.DatasetRef

    @property
    def datasets(self) -> tuple[str, ...]:
        """The dataset that the groups become."""
        return (self.name,)

    def check(self, pinned: Mapping[str, Any]) -> None:
        """Refuse columns that are absent or of unfit types, and names that clash."""
        plan(self, dataset=contract.DatasetPin.model_validate(pinned["dataset"]))


class AggregatedDataset(contract.Result):
    """The dataset that an aggregation made."""

    dataset: contract.DatasetVersion = pydantic.Field(description="The version that was made.")
    source_rows: int = pydantic.Field(description="How many rows the dataset has that was aggregated.")
    without_time: int = pydantic.Field(description="How many of them have no time, and so are in no window.")
    notes: list[str] = pydantic.Field(description="Notes on the data, a sentence each.")


AGGREGATE = contract.Kind(
    name="processing.aggregate",
    command=AggregateDataset,
    result=AggregatedDataset,
    description="Compute measures of groups of rows and of windows of time, as a new version of a dataset.",
)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What follows from an aggregation's command and from the dataset's columns."""

    kept: list[contract.Column]
    """The columns that the result has of the dataset."""
    windows: list[contract.Column]
    """The window's start and end, where each window is a row."""
    measured: list[contract.Column]
    """A column for each measure."""
    notes: list[str]

    @property
    def columns(self) -> list[contract.Column]:
        """The columns of the result."""
        return [*self.kept, *self.windows, *self.measured]


def plan(command: AggregateDataset, *, dataset: contract.DatasetPin) -> Plan:
    """Plan an aggregation's columns; BadDataError, with a pointer, where the dataset's columns don't allow it."""
    columns = {column.name: column for column in dataset.columns}
    for position, name in enumerate(command.by):
        _require(name, columns, label=dataset.label, pointer=f"#/params/by/{position}")
    windows = [] if command.window is None else _plan_window(command.window, columns, label=dataset.label)
    measured = [
        contract.Column(
            name=measure.output,
            type=find_type(measure, columns, label=dataset.label, pointer=f"#/params/measures/{position}"),
        )
        for position, measure in enumerate(command.measures)
    ]
    kept = dataset.columns if command.is_per_row else [columns[name] for name in command.by]
    clashes = column_names.list_repeated(column.name for column in (*kept, *windows, *measured))
    if clashes:
        raise errors.BadDataError(
            f"the result would have two columns called {clashes[0]!r}; give the measure another `name`, or rename the "
            "dataset's column",
            pointer="#/params",
        )
    notes = [
        f"The groups of {name!r} are of numbers with fractions, which are equal only in every digit."
        for name in command.by
        if columns[name].type == "number"
    ]
    return Plan(list(kept), windows, measured, notes)


def _plan_window(window: Window, columns: Mapping[str, contract.Column], *, label: str) -> list[contract.Column]:
    _require(window.time, columns, label=label, pointer="#/params/window/time")
    kind = columns[window.time].type
    if kind not in contract.TEMPORAL:
        raise errors.BadDataError(
            f"the time {window.time!r} of {label} is of type {kind}; it must be a timestamp or a date: cast it first",
            pointer="#/params/window/time",
        )
    if window.every is None:
        return []
    if kind == "date" and periods.parse(window.every).family == "microseconds":
        raise errors.BadDataError(
            f"{window.time!r} holds dates, which have no hours; use windows of days or longer",
            pointer="#/params/window/every",
        )
    if kind == "date" and window.timezone is not None:
        raise errors.BadDataError(
            f"{window.time!r} holds dates, which are the same in every time zone; leave `timezone` out",
            pointer="#/params/window/timezone",
        )
    return [contract.Column(name=name, type=kind, nullable=False) for name in (START, END)]


def _require(name: str, columns: Mapping[str, contract.Column], *, label: str, pointer: str) -> None:
    if name not in columns:
        described = column_names.describe_absent(name, present=columns)
        raise errors.BadDataError(f"{label} has no {described}", pointer=pointer)
