"""Steps that choose, name, convert and compute columns."""

from typing import ClassVar, Literal

import pydantic

from shared import contract
from shared.recipe import expressions
from shared.recipe.slots import Slot, group_of
from shared.recipe.step import ColumnName, ColumnsStep, Scope, Step, Takes, example


class Select(ColumnsStep):
    """Keep these columns, and leave all others out."""

    model_config = example({"op": "select", "columns": ["age", "town"]})
    family: ClassVar[str] = "Columns"
    takes: ClassVar[Takes] = "anything"
    scope: ClassVar[Scope] = "row-wise"

    op: Literal["select"]


class Drop(ColumnsStep):
    """Leave columns out."""

    model_config = example({"op": "drop", "columns": ["customer_id"]})
    family: ClassVar[str] = "Columns"
    takes: ClassVar[Takes] = "anything"
    scope: ClassVar[Scope] = "row-wise"

    op: Literal["drop"]


class Rename(Step):
    """Give columns other names."""

    model_config = example({"op": "rename", "names": {"Total Charges": "total_charges"}})
    family: ClassVar[str] = "Columns"
    scope: ClassVar[Scope] = "row-wise"

    op: Literal["rename"]
    names: dict[ColumnName, ColumnName] = pydantic.Field(
        min_length=1, max_length=10_000, description="The new name by the old one."
    )

    @pydantic.model_validator(mode="after")
    def _has_each_name_once(self) -> "Rename":
        twice = sorted({name for name in self.names.values() if list(self.names.values()).count(name) > 1})
        if twice:
            raise ValueError(f"two columns can't both be called {twice[0]!r}")
        return self

    def of_one(self, slot: Slot) -> list[Slot]:
        """Say that the column has another name; its values stay the dataset's."""
        return [slot.become(name=self.names[slot.name], origins=frozenset(), raw=slot.raw)]


class Cast(ColumnsStep):
    """Convert columns to another type; a text is read as ISO 8601 for times, and as true/false, yes/no or 1/0."""

    model_config = example({"op": "cast", "columns": ["price"], "to": "number", "on_error": "null"})
    family: ClassVar[str] = "Columns"
    takes: ClassVar[Takes] = "anything"
    scope: ClassVar[Scope] = "row-wise"

    op: Literal["cast"]
    to: contract.ColumnType = pydantic.Field(description="The type to give them.")
    on_error: Literal["fail", "null"] = pydantic.Field(
        default="fail", description="What becomes of a value that can't be converted: the job fails, or it is missing."
    )

    def of_one(self, slot: Slot) -> list[Slot]:
        """Say that the column has another type."""
        return [slot.become(type=self.to, group=group_of(self.to), width=1)]


class Derive(Step):
    """Compute a column from others by an expression."""

    model_config = example({"op": "derive", "name": "bmi", "expression": 'weight / (col("height in cm") / 100) ** 2'})
    family: ClassVar[str] = "Columns"
    scope: ClassVar[Scope] = "row-wise"

    op: Literal["derive"]
    name: ColumnName = pydantic.Field(description="The column to make; one that is there already is replaced.")
    expression: expressions.Text = pydantic.Field(
        description="What to compute, in the expression language; a number that is not finite becomes missing."
    )
