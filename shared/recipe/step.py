"""What the steps of a recipe have in common."""

from typing import Annotated, ClassVar, Literal

import pydantic

from shared import contract
from shared.recipe.slots import Slot

ColumnName = Annotated[str, pydantic.Field(min_length=1, max_length=1000)]
ColumnNames = Annotated[list[ColumnName], pydantic.Field(min_length=1, max_length=10_000)]
Selector = ColumnNames | Literal["numeric", "categorical", "temporal", "all"]
Seed = Annotated[int, pydantic.Field(ge=0, le=2**32 - 1)]

Scope = Literal["row-wise", "fitted", "table-wise"]
"""What a step looks at: the row alone; what fitting has learned too; other rows, or which rows there are."""

Takes = Literal["anything", "values", "numbers", "texts", "times"]
"""Which columns a step can be done to; values are numbers and texts."""


class Step(contract.Document):
    """One step of a recipe."""

    op: str
    family: ClassVar[str]
    """Under which heading the handbook has it."""
    scope: ClassVar[Scope] = "fitted"
    takes: ClassVar[Takes] = "values"
    keeps_gaps: ClassVar[bool] = False
    """Whether what is missing stays missing and what is there stays there."""

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

    def fault(self, slot: Slot) -> str | None:
        """Say why the step can't be done to a column as it is by now; None when it can."""
        kind = slot.kind
        if self.takes == "anything":
            return None
        if self.takes == "times":
            return None if kind == "temporal" else f"is {kind}; {self.op} needs a timestamp or a date"
        if kind == "temporal":
            return "is temporal; do date_parts first, then this step"
        if self.takes == "texts":
            return None if kind == "categorical" else f"is {kind}; {self.op} needs text"
        if self.takes == "numbers" and kind != "numeric":
            return f"is categorical; {self.op} needs numbers, which one_hot or ordinal make"
        return None

    def of_one(self, slot: Slot) -> list[Slot]:
        """Say which columns the step makes of one, as far as that is known without the data."""
        return [slot.become(type="number")]


class ColumnsStep(Step):
    """A step that works on chosen columns."""

    columns: Selector = pydantic.Field(
        description="Column names, or all columns of a type: `numeric` (integer, number, boolean), "
        "`categorical` (string), `temporal` (timestamp, date), by the type that they have in the data or that "
        "`cast` or `derive` gave them; or `all` columns as they are by now. The name of a column that a step has "
        "replaced stands for what was made of it."
    )

    @property
    def is_joint(self) -> bool:
        """Whether the step looks at several columns at once."""
        return False

    def of_several(self, chosen: list[Slot]) -> list[Slot]:
        """Say which columns a step that looks at several at once makes of them."""
        return [slot.become(type="number") for slot in chosen]


def example(document: dict[str, pydantic.JsonValue]) -> pydantic.ConfigDict:
    """Give a step's configuration: its example, which the JSON Schema and the handbook show."""
    return pydantic.ConfigDict(json_schema_extra={"examples": [document]})
