"""How a model may be validated: which rows are held out, and by which rule."""

from typing import Annotated, Literal

import pydantic

from shared import contract

MAX_FITS = 100
ColumnName = Annotated[str, pydantic.StringConstraints(min_length=1, max_length=1000)]
Seed = Annotated[int, pydantic.Field(ge=0, le=2**32 - 1)]


class CrossValidation(contract.Document):
    """Fit on all folds but one and score on that one, for each fold; then fit on all rows."""

    method: Literal["cross_validation"]
    folds: int = pydantic.Field(default=5, ge=2, le=50, description="How many folds.")
    seed: Seed = pydantic.Field(default=0, description="Seeds the shuffling.")
    stratified: bool | None = pydantic.Field(
        default=None,
        description="Whether each fold has its share of each class; true for classification when left out.",
    )
    group: ColumnName | None = pydantic.Field(
        default=None,
        description="A column whose equal values are never on both sides of a split; it is not a feature.",
    )
    repeats: int = pydantic.Field(default=1, ge=1, le=50, description="How often to repeat it all, reshuffled.")

    @pydantic.model_validator(mode="after")
    def _is_affordable(self) -> "CrossValidation":
        if self.folds * self.repeats > MAX_FITS:
            raise ValueError(
                f"{self.folds} folds {self.repeats} times are {self.folds * self.repeats} fits; "
                f"at most {MAX_FITS} are allowed"
            )
        if self.group is not None and self.repeats > 1:
            raise ValueError("`repeats` can't be combined with `group`: scikit-learn has no repeated grouped folds")
        return self


class HoldOut(contract.Document):
    """Fit on some of the rows and score on the others; then fit on all rows."""

    method: Literal["hold_out"]
    test_fraction: float = pydantic.Field(default=0.2, gt=0, lt=1, description="The share of rows that is held out.")
    seed: Seed = pydantic.Field(default=0, description="Seeds the shuffling.")
    stratified: bool | None = pydantic.Field(
        default=None, description="Whether both sides have their share of each class; true for classification."
    )
    group: ColumnName | None = pydantic.Field(
        default=None,
        description="A column whose equal values are never on both sides of a split; it is not a feature.",
    )
    repeats: int = pydantic.Field(default=1, ge=1, le=50, description="How often to repeat it, reshuffled.")

    @pydantic.model_validator(mode="after")
    def _is_possible(self) -> "HoldOut":
        if self.group is not None and self.stratified:
            raise ValueError("`stratified` can't be combined with `group` in hold_out; cross_validation allows both")
        return self


class TimeSeries(contract.Document):
    """Fit on earlier rows and score on later ones, several times; nothing is shuffled.

    Rows of the same time are never separated: a cut that would do so is moved to the nearest place where the time
    changes.
    """

    method: Literal["time_series"]
    time: ColumnName = pydantic.Field(description="The column to order the rows by: a time, a date or a number.")
    folds: int = pydantic.Field(
        default=5,
        ge=2,
        le=50,
        description=(
            "How many folds are scored, one after another; fewer, with a note, when there are too few different times."
        ),
    )
    gap: int = pydantic.Field(
        default=0, ge=0, le=10**9, description="How many rows to leave out at least between fitting and scoring."
    )
    test_rows: int | None = pydantic.Field(
        default=None,
        ge=1,
        le=10**9,
        description="About how many rows each scored fold has; an equal share when left out.",
    )
    max_train_rows: int | None = pydantic.Field(
        default=None,
        ge=1,
        le=10**9,
        description="How many of the latest rows to fit on at most; all earlier when left out.",
    )


Validation = Annotated[CrossValidation | HoldOut | TimeSeries, pydantic.Field(discriminator="method")]


class UndefinedFold(contract.Document):
    """A fold on which a metric has no value."""

    fold: int = pydantic.Field(description="The fold's number, from 1.")
    reason: str = pydantic.Field(description="Why the metric is undefined on the fold's held-out rows.")


class Metric(contract.Document):
    """A metric over the folds."""

    mean: float | None = pydantic.Field(
        description="The mean over the folds on which the metric is defined; null when there is none."
    )
    std: float | None = pydantic.Field(description="The standard deviation over the same folds (population).")
    folds: list[float | None] = pydantic.Field(
        description="The value on each fold's held-out rows; null where it is undefined."
    )
    undefined: list[UndefinedFold] = pydantic.Field(
        default=[], description="The folds on which the metric is undefined, so that they are not in the mean."
    )
