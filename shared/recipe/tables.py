"""Steps that look at whole tables: which rows there are, and the rows before each."""

from typing import Annotated, ClassVar, Literal

import pydantic

from shared.recipe import expressions
from shared.recipe.slots import Slot, added
from shared.recipe.step import ColumnName, ColumnNames, Scope, Step, Takes, example

_BY = "The columns whose values make a group; all rows are one group when left out."
_ORDER = "The column that says which row is earlier: a timestamp, a date or a number."


class Filter(Step):
    """Keep the rows for which a condition is true; where it is false or missing they are left out."""

    model_config = example({"op": "filter", "where": "age >= 18 and not is_null(town)"})
    family: ClassVar[str] = "Rows"
    scope: ClassVar[Scope] = "table-wise"

    op: Literal["filter"]
    where: expressions.Text = pydantic.Field(description="The condition, in the expression language.")


class Windowed(Step):
    """What steps over earlier rows have in common."""

    takes: ClassVar[Takes] = "anything"
    scope: ClassVar[Scope] = "table-wise"

    columns: ColumnNames = pydantic.Field(description="The columns to look back on.")
    order: ColumnName = pydantic.Field(description=_ORDER)
    by: list[ColumnName] = pydantic.Field(default=[], max_length=20, description=_BY)

    def adds(self, chosen: list[Slot]) -> list[Slot]:
        """Name the columns that the step adds, in their order."""
        raise NotImplementedError


class Lag(Windowed):
    """Add what a column held in strictly earlier rows of the same group, as `<column>_lag<n>`."""

    model_config = example({"op": "lag", "columns": ["sales"], "by": ["shop"], "order": "day", "lags": [1, 7]})
    family: ClassVar[str] = "Rows"

    op: Literal["lag"]
    lags: list[Annotated[int, pydantic.Field(ge=1, le=10_000)]] = pydantic.Field(
        default=[1],
        min_length=1,
        max_length=100,
        description="How many rows to look back; rows of the same time are all later.",
    )

    def adds(self, chosen: list[Slot]) -> list[Slot]:
        """Name a column for each lag."""
        return [added(f"{slot.name}_lag{lag}", slot.type) for slot in chosen for lag in dict.fromkeys(self.lags)]


class Rolling(Windowed):
    """Add what strictly earlier rows of the same group come to, as `<column>_<function>_<window>`."""

    model_config = example(
        {
            "op": "rolling",
            "columns": ["sales"],
            "by": ["shop"],
            "order": "day",
            "window": 7,
            "functions": ["mean", "max"],
        }
    )
    family: ClassVar[str] = "Rows"
    takes: ClassVar[Takes] = "numbers"

    op: Literal["rolling"]
    window: int = pydantic.Field(
        ge=1, le=100_000_000, description="How far to look back: in rows, or in the `unit` of time."
    )
    unit: Literal["rows", "seconds", "days"] = pydantic.Field(
        default="rows", description="What `window` counts; seconds and days need an `order` of time."
    )
    functions: list[Literal["mean", "sum", "min", "max", "std", "median", "count"]] = pydantic.Field(
        default=["mean"],
        min_length=1,
        max_length=7,
        description="What to compute of the values that are there; missing when there are none, `count` is 0.",
    )

    def adds(self, chosen: list[Slot]) -> list[Slot]:
        """Name a column for each function."""
        functions = dict.fromkeys(self.functions)
        return [added(self.column(slot.name, function), "number") for slot in chosen for function in functions]

    def column(self, name: str, function: str) -> str:
        """Name what a function over a window makes of a column."""
        return f"{name}_{function}_{self.window}{'' if self.unit == 'rows' else self.unit[0]}"
