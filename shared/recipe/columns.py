"""Steps that choose, name, convert and compute columns."""

from typing import ClassVar, Literal

import pydantic

from shared import contract
from shared.recipe import expressions, step


class Select(step.ColumnsStep):
    """Keep these columns, and leave all others out."""

    model_config = step.example({"op": "select", "columns": ["age", "town"]})
    scope: ClassVar[step.Scope] = "row-wise"

    op: Literal["select"]


class Drop(step.ColumnsStep):
    """Leave columns out."""

    model_config = step.example({"op": "drop", "columns": ["customer_id"]})
    scope: ClassVar[step.Scope] = "row-wise"

    op: Literal["drop"]


class Rename(step.Step):
    """Give columns other names."""

    model_config = step.example({"op": "rename", "names": {"Total Charges": "total_charges"}})
    scope: ClassVar[step.Scope] = "row-wise"

    op: Literal["rename"]
    names: dict[step.ColumnName, step.ColumnName] = pydantic.Field(
        min_length=1, max_length=10_000, description="The new name by the old one."
    )

    @pydantic.model_validator(mode="after")
    def _has_each_name_once(self) -> "Rename":
        twice = sorted({name for name in self.names.values() if list(self.names.values()).count(name) > 1})
        if twice:
            raise ValueError(f"two columns can't both be called {twice[0]!r}")
        return self


class Cast(step.ColumnsStep):
    """Convert columns to another type; a text is read as ISO 8601 for times, and as true/false, yes/no or 1/0."""

    model_config = step.example({"op": "cast", "columns": ["price"], "to": "number", "on_error": "null"})
    scope: ClassVar[step.Scope] = "row-wise"

    op: Literal["cast"]
    to: contract.ColumnType = pydantic.Field(description="The type to give them.")
    on_error: Literal["fail", "null"] = pydantic.Field(
        default="fail", description="What becomes of a value that can't be converted: the job fails, or it is missing."
    )


class Derive(step.Step):
    """Compute a column from others by an expression."""

    model_config = step.example(
        {"op": "derive", "name": "bmi", "expression": 'weight / (col("height in cm") / 100) ** 2'}
    )
    scope: ClassVar[step.Scope] = "row-wise"

    op: Literal["derive"]
    name: step.ColumnName = pydantic.Field(description="The column to make; one that is there already is replaced.")
    expression: expressions.Text = pydantic.Field(
        description="What to compute, in the expression language; a number that is not finite becomes missing."
    )
