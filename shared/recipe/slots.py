"""Columns on their way through a recipe: what is known of each without the data."""

import dataclasses
from typing import Literal

from shared import contract

Group = Literal["numeric", "categorical", "temporal"]


@dataclasses.dataclass(eq=False)
class Slot:
    """A column as the steps have left it, or, with a `stem`, those whose names and number the data gives.

    `group` is the selector that stands for it, `origins` are the names of what it was made of, which stand for it too.
    `raw` is the dataset's column whose values it still holds untouched, `source` the one that it was made of alone.
    `width` is how many columns it can come to; with `by_level` no more than the source has values, and one. Not `sure`:
    a step may leave it out by the data.
    """

    name: str
    type: contract.ColumnType
    group: Group | None
    origins: frozenset[str] = frozenset()
    stem: str | None = None
    raw: str | None = None
    source: str | None = None
    sure: bool = True
    width: int = 1
    by_level: bool = False

    @property
    def kind(self) -> Group:
        """Which group of types its values belong to by now."""
        return group_of(self.type)

    def become(self, **changes: object) -> "Slot":
        """Make the slot that a step makes of this one; its values are no longer the dataset's."""
        return dataclasses.replace(self, **({"raw": None} | changes))  # type: ignore[arg-type]  # Names are fields.

    def fan(self, names: list[str]) -> list["Slot"]:
        """Make several columns of numbers of this one, whose name stands for them from now on."""
        origins = self.origins | {self.name}
        return [self.become(name=name, type="number", origins=origins) for name in names]

    def spread(self, width: int, *, by_level: bool = False) -> "Slot":
        """Make at most `width` columns of numbers of this one, whose names the data gives."""
        return self.become(
            type="number",
            stem=self.stem or f"{self.name}_",
            width=self.width * width,
            by_level=by_level and self.width == 1,
        )


def group_of(type_: contract.ColumnType) -> Group:
    """Say which selector stands for a type."""
    if type_ in contract.NUMERIC:
        return "numeric"
    return "temporal" if type_ in contract.TEMPORAL else "categorical"


def number(name: str, origins: frozenset[str]) -> Slot:
    """Make a column of numbers that a step adds."""
    return Slot(name, "number", "numeric", origins)


def added(name: str, type_: contract.ColumnType) -> Slot:
    """Make a column that a step adds."""
    return Slot(name, type_, group_of(type_))
