"""The command `processing.split` and its result: one dataset becomes several, each row in exactly one of them."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic

from shared import column_names, contract, errors

MIN_PARTS, MAX_PARTS = 2, 10
TOLERANCE = 0.001
"""How far the sum of shares may be from 1: people write 0.333 three times."""
TIME_TYPES = frozenset({"timestamp", "date", "integer", "number"})
PARTS_PIN = "parts"
"""The pin that holds the parts' names in the order of the request: PostgreSQL keeps no order of an object's keys."""
Rule = Literal["random", "stratify", "group", "time"]
PartName = Annotated[str, pydantic.StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=40)]
_ColumnName = Annotated[str, pydantic.StringConstraints(min_length=1, max_length=1000)]
_Share = Annotated[float, pydantic.Field(gt=0, lt=1)]


class SplitBy(contract.Document):
    """What decides which rows go together; exactly one of these."""

    stratify: _ColumnName | None = pydantic.Field(
        default=None,
        description="A column with classes: each class is divided by the same shares, as near as whole rows allow.",
    )
    group: _ColumnName | None = pydantic.Field(
        default=None,
        description="A column whose equal values are never in two parts. Rows without a value are one group.",
    )
    time: _ColumnName | None = pydantic.Field(
        default=None,
        description="A column to order the rows by (a time, a date or a number, with a value in every row): the "
        "first part gets the earliest rows, the last one the latest, and equal times are never in two parts.",
    )

    @pydantic.model_validator(mode="after")
    def _is_one_rule(self) -> "SplitBy":
        if len(self.model_dump(exclude_none=True)) != 1:
            raise ValueError("name exactly one of `stratify`, `group` and `time`")
        return self

    @property
    def rule(self) -> Rule:
        """The rule that is asked for."""
        return "stratify" if self.stratify else "group" if self.group else "time"

    @property
    def column(self) -> str:
        """The column that the rule looks at."""
        return self.stratify or self.group or self.time or ""


Parts = Annotated[
    dict[PartName, _Share],
    pydantic.Field(
        min_length=MIN_PARTS,
        max_length=MAX_PARTS,
        description="The parts by name, each with its share of the rows; the shares must sum to 1 (to within 0.001). "
        "The dataset of a part is called `<name>-<part>`.",
        examples=[{"train": 0.8, "test": 0.2}],
    ),
]
By = Annotated[
    SplitBy | None,
    pydantic.Field(default=None, description="What decides which rows go together; rows are drawn at random without."),
]
Seed = Annotated[
    int | None,
    pydantic.Field(
        default=None,
        ge=0,
        le=2**32 - 1,
        description="Seeds the draw, 0 when left out: the same seed on the same version makes the same parts on any "
        "machine. A split by time draws nothing.",
    ),
]
Name = Annotated[
    contract.Name | None,
    pydantic.Field(default=None, description="What the names of the parts begin with; the dataset's name by default."),
]


class SplitDataset(contract.Command):
    """Split a dataset's version into parts, each a version of a dataset of its own, with every row in one of them."""

    dataset: contract.DatasetRef
    parts: Parts
    by: By = None
    seed: Seed = None
    name: Name = None

    @pydantic.model_validator(mode="after")
    def _is_possible(self) -> "SplitDataset":
        total = math.fsum(self.parts.values())
        if round(abs(total - 1), 9) > TOLERANCE:
            raise ValueError(f"the shares of `parts` sum to {total:.6g}; they must sum to 1")
        if self.seed is not None and self.rule == "time":
            raise ValueError("a split by time draws nothing at random; leave `seed` out")
        return self

    @property
    def rule(self) -> Rule:
        """The rule by which rows are divided."""
        return self.by.rule if self.by else "random"

    def name_of(self, part: str) -> str:
        """Return the name of a part's dataset."""
        return f"{self.name or self.dataset.partition('@')[0]}-{part}"

    @property
    def datasets(self) -> tuple[str, ...]:
        """The datasets that the parts become."""
        return tuple(self.name_of(part) for part in self.parts)

    def check(self, pinned: Mapping[str, Any]) -> None:
        """Refuse a column that the dataset lacks or that is no time, and fewer rows than parts."""
        dataset = contract.DatasetPin.model_validate(pinned["dataset"])
        if self.by:
            pointer = f"#/params/by/{self.by.rule}"
            column_names.require([self.by.column], present=dataset.names, pointer=pointer)
            if self.by.time:
                require_time(next(known for known in dataset.columns if known.name == self.by.time), pointer=pointer)
        require_rows(dataset.rows, parts=len(self.parts))


def require_rows(rows: int, *, parts: int) -> None:
    """Raise BadDataError for fewer rows than parts."""
    if rows < parts:
        counted = "1 row" if rows == 1 else f"{rows} rows"
        raise errors.BadDataError(f"the dataset has {counted}, too few for {parts} parts", pointer="#/params/parts")


def require_time(column: contract.Column, *, pointer: str) -> None:
    """Raise BadDataError for a column whose values have no order in time."""
    if column.type not in TIME_TYPES:
        reason = "text" if column.type == "string" else column.type
        raise errors.BadDataError(
            f"the column {column.name!r} is {reason}, which has no order in time; load it as a timestamp, a date or a "
            "number (`types`, `date_format`)",
            pointer=pointer,
        )


class SplitPart(contract.Result):
    """A part of a dataset."""

    dataset: contract.DatasetVersion = pydantic.Field(description="The version that holds the part's rows.")
    share: float = pydantic.Field(description="The share of the rows that it got.")
    asked: float = pydantic.Field(description="The share that was asked for.")


class SplitParts(contract.Result):
    """The parts of a dataset."""

    parts: dict[str, SplitPart] = pydantic.Field(description="The parts, by name.")
    seed: int | None = pydantic.Field(description="The seed of the draw; null for a split by time.")
    notes: list[str] = pydantic.Field(description="Notes on the parts, a sentence each.")


SPLIT = contract.Kind(
    name="processing.split",
    command=SplitDataset,
    result=SplitParts,
    description="Split a dataset into parts, such as for training and testing: at random, by classes, groups or time.",
)
