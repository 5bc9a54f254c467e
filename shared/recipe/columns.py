"""Steps that choose, name, convert and compute columns."""

from typing import ClassVar, Literal

import pydantic

from shared import column_names, contract
from shared.recipe import expressions
from shared.recipe.slots import Slot, group_of
from shared.recipe.step import ColumnName, ColumnsStep, Scope, Step, Takes, with_example


class Select(ColumnsStep):
    """Keep these columns, and drop all others."""

    model_config = with_example({"op": "select", "columns": ["age", "town"]})
    family: ClassVar[str] = "Columns"
    takes: ClassVar[Takes] = "anything"
    scope: ClassVar[Scope] = "row-wise"

    op: Literal["select"]


class Drop(ColumnsStep):
    """Drop columns."""

    model_config = with_example({"op": "drop", "columns": ["customer_id"]})
    family: ClassVar[str] = "Columns"
    takes: ClassVar[Takes] = "anything"
    scope: ClassVar[Scope] = "row-wise"

    op: Literal["drop"]


class Rename(Step):
    """Rename columns."""

    model_config = with_example({"op": "rename", "names": {"Total Charges": "total_charges"}})
    family: ClassVar[str] = "Columns"
    scope: ClassVar[Scope] = "row-wise"

    op: Literal["rename"]
    names: dict[ColumnName, ColumnName] = pydantic.Field(
        min_length=1, max_length=10_000, description="The new name of each column, by its old name."
    )

    @pydantic.model_validator(mode="after")
    def _has_each_name_once(self) -> "Rename":
        twice = column_names.list_repeated(self.names.values())
        if twice:
            raise ValueError(f"two columns can't both be called {min(twice)!r}")
        return self

    def plan_one(self, slot: Slot) -> list[Slot]:
        """Plan the column under its new name; its values stay the dataset's."""
        return [slot.become(name=self.names[slot.name], origins=frozenset(), raw=slot.raw)]


class Cast(ColumnsStep):
    """Convert columns to another type; text is read as ISO 8601 for times, and as true/false, yes/no or 1/0.

    Dates that are written otherwise are read by `parse_dates`.
    """

    model_config = with_example({"op": "cast", "columns": ["price"], "to": "number", "on_error": "null"})
    family: ClassVar[str] = "Columns"
    takes: ClassVar[Takes] = "anything"
    scope: ClassVar[Scope] = "row-wise"

    op: Literal["cast"]
    to: contract.ColumnType = pydantic.Field(description="The type to convert them to.")
    on_error: Literal["fail", "null"] = pydantic.Field(
        default="fail",
        description="What happens to a value that can't be converted: the job fails, or the value becomes missing, "
        "and a note counts them.",
    )

    def plan_one(self, slot: Slot) -> list[Slot]:
        """Plan the column with its new type."""
        return [slot.become(type=self.to, selector=group_of(self.to), width=1)]


class Derive(Step):
    """Compute a column from others by an expression."""

    model_config = with_example(
        {"op": "derive", "name": "bmi", "expression": 'weight / (col("height in cm") / 100) ** 2'}
    )
    family: ClassVar[str] = "Columns"
    scope: ClassVar[Scope] = "row-wise"

    op: Literal["derive"]
    name: ColumnName = pydantic.Field(description="The column to make; an existing one of that name is replaced.")
    expression: expressions.Text = pydantic.Field(
        description="What to compute, in the expression language; a number that is not finite becomes missing."
    )
