"""What the steps of a recipe have in common."""

from typing import Annotated, ClassVar, Literal

import pydantic

from shared import contract

ColumnName = Annotated[str, pydantic.Field(min_length=1, max_length=1000)]
ColumnNames = Annotated[list[ColumnName], pydantic.Field(min_length=1, max_length=10_000)]
Selector = ColumnNames | Literal["numeric", "categorical", "temporal", "all"]
Seed = Annotated[int, pydantic.Field(ge=0, le=2**32 - 1)]

Scope = Literal["row-wise", "fitted", "table-wise"]
"""What a step looks at: the row alone; what fitting has learned too; other rows, or which rows there are."""


class Step(contract.Document):
    """One step of a recipe."""

    op: str
    scope: ClassVar[Scope] = "fitted"

    @property
    def is_fitted(self) -> bool:
        """Whether the step learns from data, and so may see the training part only."""
        return self.scope == "fitted"

    @property
    def is_table_wise(self) -> bool:
        """Whether the step looks at other rows or leaves rows out, and so needs whole tables."""
        return self.scope == "table-wise"

    @property
    def needs_target(self) -> bool:
        """Whether the step learns from the target too."""
        return False


class ColumnsStep(Step):
    """A step that works on chosen columns."""

    columns: Selector = pydantic.Field(
        description="Column names, or all columns of a sort: `numeric` (integer, number, boolean), "
        "`categorical` (string), `temporal` (timestamp, date), by the type that they have in the data or that "
        "`cast` or `derive` gave them; or `all` columns as they are by now. The name of a column that a step has "
        "replaced stands for what was made of it."
    )


def example(document: dict[str, pydantic.JsonValue]) -> pydantic.ConfigDict:
    """Give a step's configuration: its example, which the JSON Schema and the handbook show."""
    return pydantic.ConfigDict(json_schema_extra={"examples": [document]})
