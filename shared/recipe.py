"""The recipe language: declarative feature engineering, the same for every role that speaks it."""

from typing import Annotated, Literal

import pydantic

from shared import contract

ColumnName = Annotated[str, pydantic.Field(min_length=1, max_length=1000)]
Selector = (
    Annotated[list[ColumnName], pydantic.Field(min_length=1, max_length=10_000)]
    | Literal["numeric", "categorical", "temporal"]
)


class Step(contract.Document):
    """What every step has: the columns that it works on."""

    columns: Selector = pydantic.Field(
        description="Column names, or all columns of a sort: `numeric` (integer, number, boolean), "
        "`categorical` (string), `temporal` (timestamp, date)."
    )


class Impute(Step):
    """Fill missing values."""

    op: Literal["impute"]
    strategy: Literal["mean", "median", "most_frequent", "constant"] = pydantic.Field(
        default="median", description="What to fill with; `mean` and `median` are for numbers."
    )
    value: str | float | int | None = pydantic.Field(default=None, description="The constant, for `constant`.")
    indicator: bool = pydantic.Field(default=False, description="Add a column that says which values were missing.")


class Scale(Step):
    """Bring numbers to a common scale."""

    op: Literal["scale"]
    method: Literal["standard", "min_max", "robust"] = pydantic.Field(
        default="standard",
        description="`standard`: mean 0, variance 1; `min_max`: 0 to 1; `robust`: median 0, quartile range 1.",
    )


class OneHot(Step):
    """Make a 0/1 column of each category; one unseen in fitting becomes all zeros."""

    op: Literal["one_hot"]
    max_categories: int = pydantic.Field(
        default=100, ge=2, le=1000, description="The most columns made of one; rarer categories share one."
    )


class Ordinal(Step):
    """Number the categories; one unseen in fitting becomes -1."""

    op: Literal["ordinal"]
    categories: list[str] | None = pydantic.Field(
        default=None, max_length=10_000, description="The categories in their order; sorted when left out."
    )


class Log1p(Step):
    """Take log(1 + x); values below 0 are refused."""

    op: Literal["log1p"]


class DateParts(Step):
    """Make numbers of a date's parts, in UTC."""

    op: Literal["date_parts"]
    parts: list[Literal["year", "month", "day", "weekday", "hour", "minute", "day_of_year"]] = pydantic.Field(
        default=["year", "month", "day", "weekday"], min_length=1, description="Which parts to make a column of."
    )


class Drop(Step):
    """Leave columns out."""

    op: Literal["drop"]


AnyStep = Annotated[Impute | Scale | OneHot | Ordinal | Log1p | DateParts | Drop, pydantic.Field(discriminator="op")]


class Recipe(contract.Document):
    """Steps in the order in which they are done; a column that no step names stays as it is."""

    steps: list[AnyStep] = pydantic.Field(min_length=1, max_length=200, description="The steps, in order.")
