"""The plan of a recipe: stages of branches, each of which takes some columns and makes others.

All branches of a stage work side by side on the stage's columns, so a stage is one ColumnTransformer; a step that must
see what an earlier one made of several columns opens the next stage. A step on whole tables is a stage of its own.
docs/decisions/models.md, "A recipe is as few ColumnTransformers as keep its order".
"""

import dataclasses
import itertools
from collections.abc import Sequence

from shared.recipe.slots import Slot
from shared.recipe.step import Step


@dataclasses.dataclass(eq=False)
class Branch:
    """Steps, by their numbers, that are applied one after another to the branch's inputs.

    `step_inputs` are, for each step, the columns as it finds them. A branch that does not `consume` leaves its inputs
    in place. `is_indicator`: its output says which values of its input are missing.
    """

    inputs: list[Slot]
    outputs: list[Slot]
    steps: list[int] = dataclasses.field(default_factory=list)
    step_inputs: list[list[Slot]] = dataclasses.field(default_factory=list)
    consumes: bool = True
    is_indicator: bool = False

    def add_step(self, number: int) -> None:
        """Add a step on the branch's present outputs."""
        self.steps.append(number)
        self.step_inputs.append(list(self.outputs))


@dataclasses.dataclass(eq=False)
class Stage:
    """Branches that work side by side, or the step, by its number, that works on the whole table.

    `branch_of` is the branch that makes each output. `kept` are the input columns that the stage passes on unchanged.
    """

    inputs: list[Slot]
    branches: list[Branch] = dataclasses.field(default_factory=list)
    table_step: int | None = None
    kept: list[Slot] = dataclasses.field(default_factory=list)
    branch_of: dict[Slot, Branch] = dataclasses.field(default_factory=dict)

    def add(self, branch: Branch) -> Branch:
        """Add a branch."""
        self.branches.append(branch)
        self.set_outputs(branch, branch.outputs)
        return branch

    def set_outputs(self, branch: Branch, outputs: list[Slot]) -> None:
        """Replace the outputs of a branch."""
        for slot in branch.outputs:
            self.branch_of.pop(slot, None)
        branch.outputs = outputs
        self.branch_of.update(dict.fromkeys(outputs, branch))

    def keeps_missing(self, slot: Slot, *, steps: Sequence[Step], joint: bool) -> bool:
        """Return whether a column still has the missing values of the stage's input; `joint` steps see none."""
        branch = self.branch_of.get(slot)
        if branch is None:
            return True
        return not joint and all(steps[number].keeps_missing for number in branch.steps)

    def is_indicator(self, slot: Slot) -> bool:
        """Return whether a column says which values of another are missing."""
        branch = self.branch_of.get(slot)
        return branch is not None and branch.is_indicator

    @property
    def outputs(self) -> list[Slot]:
        """The columns after the stage."""
        return [*self.kept, *(slot for branch in self.branches for slot in branch.outputs)]


@dataclasses.dataclass(frozen=True)
class Plan:
    """A recipe's stages, its input and output columns, and the column names that its steps mention (`named`)."""

    steps: list[Step]
    stages: list[Stage]
    inputs: list[Slot]
    outputs: list[Slot]
    named: frozenset[str]

    @property
    def table_stages(self) -> int:
        """How many of the first stages need whole tables: those up to the last step that looks at other rows."""
        return max((n for n, stage in enumerate(self.stages, start=1) if stage.table_step is not None), default=0)


def find_ambiguous(slots: list[Slot]) -> tuple[Slot, Slot] | None:
    """Find the first slot whose stem another slot's stem begins with, and that other; None when all are distinct."""
    families = [slot for slot in slots if slot.stem]
    in_order = sorted(families, key=lambda slot: slot.stem or "")
    # In sorted order, a stem that begins with another one follows it directly.
    ambiguous = {
        slot for slot, following in itertools.pairwise(in_order) if (following.stem or "").startswith(slot.stem or "")
    }
    first = next((slot for slot in families if slot in ambiguous), None)
    if first is None:
        return None
    return first, next(
        slot for slot in families if slot is not first and (slot.stem or "").startswith(first.stem or "")
    )


def trim(stages: list[Stage], *, outputs: list[Slot]) -> list[Slot]:
    """Remove, from the end backwards, what no output needs; return the first stage's columns that are needed."""
    needed = set(outputs)
    for stage in reversed(stages):
        if stage.table_step is None:
            stage.branches = [branch for branch in stage.branches if needed.intersection(branch.outputs)]
        # What a step on tables reads is needed even when nothing needs what it makes.
        stage.kept = [slot for slot in stage.inputs if slot in needed]
        needed = set(stage.kept).union(*(branch.inputs for branch in stage.branches))
    return [slot for slot in stages[0].inputs if slot in needed]


def drop_idle(stages: list[Stage]) -> list[Stage]:
    """Leave out stages that add nothing to the stage before; the last stage that is kept can be fitted."""
    busy: list[Stage] = []
    for stage in stages:
        is_idle = not stage.branches and stage.table_step is None
        is_needed = stage is stages[-1] and busy and busy[-1].table_step is not None
        if is_idle and busy and not is_needed and set(busy[-1].outputs) == set(stage.kept):
            continue
        busy.append(stage)
    return busy
