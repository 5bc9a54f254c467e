"""Steps that look at whole tables: they choose rows, or look at the rows before each."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import pydantic

from shared.recipe import expressions
from shared.recipe.slots import Slot, new_slot
from shared.recipe.step import ColumnName, ColumnNames, Scope, Step, Takes, with_example

_BY = "The columns whose values make a group; all rows are one group when left out."
_ORDER = "The column that says which row is earlier: a timestamp, a date or a number."


class Filter(Step):
    """Keep the rows for which a condition is true; rows for which it is false or missing are left out."""

    model_config = with_example({"op": "filter", "where": "age >= 18 and not is_null(town)"})
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

    def plan_added(self, slots: list[Slot]) -> Iterator[Slot]:
        """Plan the columns that the step adds, in their order, one by one: there can be a hundred for each."""
        raise NotImplementedError


class Lag(Windowed):
    """Add a column's values in strictly earlier rows of the same group, as `<column>_lag<n>`."""

    model_config = with_example({"op": "lag", "columns": ["sales"], "by": ["shop"], "order": "day", "lags": [1, 7]})
    family: ClassVar[str] = "Rows"
    fewer_by: ClassVar[str] = "give fewer `lags`"

    op: Literal["lag"]
    lags: list[Annotated[int, pydantic.Field(ge=1, le=10_000)]] = pydantic.Field(
        default=[1],
        min_length=1,
        max_length=100,
        description="How many rows to look back; rows of the same time are not earlier than each other.",
    )

    def plan_added(self, slots: list[Slot]) -> Iterator[Slot]:
        """Plan a column for each lag."""
        lags = dict.fromkeys(self.lags)
        return (new_slot(f"{slot.name}_lag{lag}", slot.type) for slot in slots for lag in lags)


class Rolling(Windowed):
    """Add functions of the strictly earlier rows of the same group, as `<column>_<function>_<window>`."""

    model_config = with_example(
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
    fewer_by: ClassVar[str] = "give fewer `functions`"
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
        description="What to compute of the values that are not missing; without any the result is missing, and "
        "`count` is 0.",
    )

    def plan_added(self, slots: list[Slot]) -> Iterator[Slot]:
        """Plan a column for each function."""
        functions = dict.fromkeys(self.functions)
        return (new_slot(self.name_output(slot.name, function), "number") for slot in slots for function in functions)

    def name_output(self, name: str, function: str) -> str:
        """Name the column that a function over the window makes of a column."""
        return f"{name}_{function}_{self.window}{'' if self.unit == 'rows' else self.unit[0]}"
