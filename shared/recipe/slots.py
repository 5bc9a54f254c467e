"""Columns on their way through a recipe: what is known of each without the data."""

import dataclasses
import itertools
import operator
from collections.abc import Iterable
from typing import Literal

from shared import contract

Group = Literal["numeric", "categorical", "temporal"]


@dataclasses.dataclass(eq=False)
class Slot:
    """A column as the steps have left it or, with a `stem`, a family of columns whose names and number the data gives.

    `selector` is the group by which a recipe can select it, `origins` are the names of the columns that it was made
    of, by which it can be selected too. `raw` is the dataset's column whose values it still holds unchanged, `source`
    the column that it was made of alone. `width` is the most columns that it can become; `by_category`, there are no
    more than one for each category of the source and one for missing values. It is not `certain` when a step may leave
    it out, depending on the data.
    """

    name: str
    type: contract.ColumnType
    selector: Group | None
    origins: frozenset[str] = frozenset()
    stem: str | None = None
    raw: str | None = None
    source: str | None = None
    certain: bool = True
    width: int = 1
    by_category: bool = False

    @property
    def type_group(self) -> Group:
        """The group of types that its present type belongs to."""
        return group_of(self.type)

    def become(self, **changes: object) -> "Slot":
        """Build the slot that a step makes of this one; its values are no longer the dataset's."""
        return dataclasses.replace(self, **({"raw": None} | changes))  # type: ignore[arg-type]  # Names are fields.

    def fan_out(self, names: list[str]) -> list["Slot"]:
        """Build a numeric slot for each of these names; this slot's name selects them all from now on."""
        origins = self.origins | {self.name}
        return [self.become(name=name, type="number", origins=origins) for name in names]

    def spread(self, width: int, *, by_category: bool = False) -> "Slot":
        """Build the slot of at most `width` numeric columns made of this one, whose names the data gives."""
        return self.become(
            type="number",
            stem=self.stem or f"{self.name}_",
            width=self.width * width,
            by_category=by_category and self.width == 1,
        )


_Group = list[tuple[int, Slot]]
"""Columns that were made of the same columns, each with its place among all."""


def group_of(type_: contract.ColumnType) -> Group:
    """Return the group of types, and so the selector, that a type belongs to."""
    if type_ in contract.NUMERIC:
        return "numeric"
    return "temporal" if type_ in contract.TEMPORAL else "categorical"


def new_number_slot(name: str, origins: frozenset[str]) -> Slot:
    """Build the slot of a numeric column that a step adds."""
    return Slot(name, "number", "numeric", origins)


def new_slot(name: str, type_: contract.ColumnType) -> Slot:
    """Build the slot of a column that a step adds."""
    return Slot(name, type_, group_of(type_))


def names_of(slots: Iterable[Slot]) -> frozenset[str]:
    """Collect all names by which columns can be selected: their own, and those of the columns they were made of."""
    own: set[str] = set()
    # Most columns that a step makes together share one set of origins, which is looked at once.
    origins: set[frozenset[str]] = set()
    for slot in slots:
        own.add(slot.name)
        origins.add(slot.origins)
    return frozenset(own.union(*origins))


class SlotIndex:
    """Finds columns by their names, or by those of the columns that they were made of."""

    def __init__(self, slots: Iterable[Slot]) -> None:
        """Index columns, in their order."""
        self._by_name: dict[str, list[Slot]] = {}
        groups: dict[frozenset[str], _Group] = {}
        for place, slot in enumerate(slots):
            self._by_name.setdefault(slot.name, []).append(slot)
            groups.setdefault(slot.origins, []).append((place, slot))
        self._by_origin: dict[str, list[_Group]] = {}
        for origins, group in groups.items():
            for origin in origins:
                self._by_origin.setdefault(origin, []).append(group)

    def find(self, names: Iterable[str]) -> list[Slot]:
        """Find the columns of these names, each once; KeyError, with the name, for one that stands for no column."""
        found: dict[Slot, None] = {}
        seen: set[int] = set()
        for name in dict.fromkeys(names):
            if name in self._by_name:
                found |= dict.fromkeys(self._by_name[name])
                continue
            # A group that another name has found is not walked again, however many names stand for it.
            groups = [group for group in self._by_origin[name] if id(group) not in seen]
            seen.update(map(id, groups))
            found |= dict.fromkeys(slot for _, slot in sorted(itertools.chain(*groups), key=operator.itemgetter(0)))
        return list(found)
