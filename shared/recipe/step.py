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
"""What a step looks at: the row alone; also what fitting has learned; other rows, or the set of rows."""

Takes = Literal["anything", "values", "numbers", "texts", "times"]
"""Which columns a step works on; values are numbers and texts."""


class Step(contract.Document):
    """One step of a recipe."""

    op: str
    family: ClassVar[str]
    """The step's heading in docs/recipe.md."""
    scope: ClassVar[Scope] = "fitted"
    takes: ClassVar[Takes] = "values"
    keeps_missing: ClassVar[bool] = False
    """Whether missing values stay missing and present ones stay present."""

    fewer_by: ClassVar[str] = "choose fewer columns"
    """What to do about a step that would make too many columns, for messages."""

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

    def find_mismatch(self, slot: Slot) -> str | None:
        """Return why the step can't work on a column of this type; None when it can."""
        group = slot.type_group
        if self.takes == "anything":
            return None
        if self.takes == "times":
            made = ", which parse_dates makes of text" if group == "categorical" else ""
            return None if group == "temporal" else f"is {group}; {self.op} needs a timestamp or a date{made}"
        if group == "temporal":
            return "is temporal; do date_parts first, then this step"
        if self.takes == "texts":
            return None if group == "categorical" else f"is {group}; {self.op} needs text"
        if self.takes == "numbers" and group != "numeric":
            return f"is categorical; {self.op} needs numbers, which one_hot or ordinal make"
        return None

    def plan_one(self, slot: Slot) -> list[Slot]:
        """Plan the columns that the step makes of one column, as far as they are known without the data."""
        return [slot.become(type="number")]


class ColumnsStep(Step):
    """A step that works on chosen columns."""

    columns: Selector = pydantic.Field(
        description="Column names, or all columns of a type: `numeric` (integer, number, boolean), "
        "`categorical` (string), `temporal` (timestamp, date), by the type that they have in the data or that "
        "`cast` or `derive` gave them; or `all` columns that the earlier steps have left. The name of a column that a "
        "step has replaced stands for the columns that were made of it."
    )

    @property
    def is_joint(self) -> bool:
        """Whether the step looks at several columns at once."""
        return False

    def plan_jointly(self, slots: list[Slot]) -> list[Slot]:
        """Plan the columns that a joint step makes of all these together."""
        return [slot.become(type="number") for slot in slots]


def with_example(document: dict[str, pydantic.JsonValue]) -> pydantic.ConfigDict:
    """Build a step's configuration from its example, which the JSON Schema and docs/recipe.md show."""
    return pydantic.ConfigDict(json_schema_extra={"examples": [document]})
