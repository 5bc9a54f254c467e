"""What a recipe comes to: stages of parts, each of which takes some columns and gives others.

All parts of a stage work side by side on the stage's columns, so a stage is one ColumnTransformer; a step that must see
what an earlier one made of several columns opens the next stage. A step on whole tables is a stage of its own.
"""

import dataclasses
import itertools

from shared.recipe.slots import Slot
from shared.recipe.step import Step


@dataclasses.dataclass(eq=False)
class Part:
    """Steps, by their numbers, that are done one after the other to what they take.

    `seen` are, for each step, the columns as it finds them. A part that does not `consume` leaves what it takes in
    place. `is_flag`: it says what is missing.
    """

    takes: list[Slot]
    gives: list[Slot]
    steps: list[int] = dataclasses.field(default_factory=list)
    seen: list[list[Slot]] = dataclasses.field(default_factory=list)
    consumes: bool = True
    is_flag: bool = False

    def do(self, number: int) -> None:
        """Add a step on what the part gives by now."""
        self.steps.append(number)
        self.seen.append(list(self.gives))


@dataclasses.dataclass(eq=False)
class Stage:
    """Parts that work side by side, or the step, by its number, that works on the whole table.

    `makers` are the parts by what they give; what is not among these the stage has not touched, and `kept` is what it
    passes on.
    """

    inputs: list[Slot]
    parts: list[Part] = dataclasses.field(default_factory=list)
    table_step: int | None = None
    kept: list[Slot] = dataclasses.field(default_factory=list)
    makers: dict[Slot, Part] = dataclasses.field(default_factory=dict)

    def add(self, part: Part) -> Part:
        """Add a part."""
        self.parts.append(part)
        self.give(part, part.gives)
        return part

    def give(self, part: Part, gives: list[Slot]) -> None:
        """Let a part give other columns than before."""
        for slot in part.gives:
            self.makers.pop(slot, None)
        part.gives = gives
        self.makers.update(dict.fromkeys(gives, part))

    @property
    def outputs(self) -> list[Slot]:
        """What there is after the stage."""
        return [*self.kept, *(slot for part in self.parts for slot in part.gives)]


@dataclasses.dataclass(frozen=True)
class Plan:
    """A recipe's stages, the columns at both ends, and the names by which its steps have asked for columns."""

    steps: list[Step]
    stages: list[Stage]
    inputs: list[Slot]
    outputs: list[Slot]
    named: frozenset[str]

    @property
    def table_stages(self) -> int:
        """How many of the stages need whole tables: those up to the last step that does."""
        return max((n for n, stage in enumerate(self.stages, start=1) if stage.table_step is not None), default=0)


def alike(slots: list[Slot]) -> tuple[Slot, Slot] | None:
    """Give the first slot with whose stem another one's begins, and that other; None when all can be told apart."""
    stems = [slot for slot in slots if slot.stem]
    in_order = sorted(stems, key=lambda slot: slot.stem or "")
    # What begins with a stem comes right behind it.
    begun = {one for one, after in itertools.pairwise(in_order) if (after.stem or "").startswith(one.stem or "")}
    first = next((slot for slot in stems if slot in begun), None)
    if first is None:
        return None
    return first, next(slot for slot in stems if slot is not first and (slot.stem or "").startswith(first.stem or ""))


def trim(stages: list[Stage], *, outputs: list[Slot]) -> list[Slot]:
    """Take out, from the end backwards, what nothing needs; gives what is needed of the first stage's columns."""
    needed = set(outputs)
    for stage in reversed(stages):
        if stage.table_step is None:
            stage.parts = [part for part in stage.parts if needed.intersection(part.gives)]
        # What a step on tables reads is needed whatever becomes of what it makes.
        stage.kept = [slot for slot in stage.inputs if slot in needed]
        needed = set(stage.kept).union(*(part.takes for part in stage.parts))
    return [slot for slot in stages[0].inputs if slot in needed]


def without_idle(stages: list[Stage]) -> list[Stage]:
    """Leave out stages that would give just what the one before gives; the last is one that can be fitted."""
    made: list[Stage] = []
    for stage in stages:
        idle = not stage.parts and stage.table_step is None
        is_needed = stage is stages[-1] and made and made[-1].table_step is not None
        if idle and made and not is_needed and set(made[-1].outputs) == set(stage.kept):
            continue
        made.append(stage)
    return made
