"""Follows a recipe step by step, and works out what it does to which columns, or why it can't."""

import math
from collections.abc import Collection, Iterable

from shared import budget, column_names, contract, errors
from shared.recipe import expressions, functions, kinds, plans
from shared.recipe.columns import Derive, Drop, Rename, Select
from shared.recipe.features import Projection
from shared.recipe.language import Recipe
from shared.recipe.numbers import Impute
from shared.recipe.slots import Slot, SlotIndex, group_of, names_of, new_slot
from shared.recipe.step import ColumnsStep, Step
from shared.recipe.tables import Filter, Rolling, Windowed


class TooLongError(Exception):
    """Following a recipe would look at more columns than the caller allows."""


def make_plan(
    recipe: Recipe, *, columns: list[contract.Column], targets: Collection[str] = (), max_columns: int | None = None
) -> plans.Plan:
    """Follow a recipe over a dataset's columns; BadRecipeError when a step doesn't fit them, or names one of `targets`.

    TooLongError when there are more than `max_columns` columns to look at, counted again before each step.
    """
    planner = _Planner(recipe, columns, targets, max_columns=max_columns)
    for number, step in enumerate(recipe.steps):
        planner.follow(number, step)
    return planner.plan()


class _Planner:
    """The columns as the steps so far have left them, and the stages so far."""

    def __init__(
        self, recipe: Recipe, columns: list[contract.Column], targets: Collection[str], *, max_columns: int | None
    ) -> None:
        self._steps = recipe.steps
        self._targets = targets
        self._max_columns = math.inf if max_columns is None else max_columns
        self._looked_at = self._made = 0
        self._slots = [
            Slot(column.name, column.type, group_of(column.type), raw=column.name, source=column.name)
            for column in columns
        ]
        self._stages = [plans.Stage(list(self._slots))]
        self._dropped: dict[str, int] = {}
        self._mentioned: set[str] = set()
        self._number = 0

    def plan(self) -> plans.Plan:
        """Build the plan, without what no output needs."""
        inputs = plans.trim(self._stages, outputs=self._slots)
        stages = plans.drop_idle(self._stages)
        return plans.Plan(self._steps, stages, inputs, self._slots, named=frozenset(self._mentioned))

    def follow(self, number: int, step: Step) -> None:
        """Follow one step."""
        self._number = number
        # A family of columns counts as one, and what they were made of once for all that were made of it together.
        self._looked_at += len(self._slots) + sum(map(len, {slot.origins for slot in self._slots}))
        self._made = 0
        self._require_affordable()
        self._index = SlotIndex(self._slots)
        match step:
            case Filter():
                self._filter(step)
            case Windowed():
                self._look_back(step)
            case Derive():
                self._derive(step)
            case Rename():
                self._plan_one_by_one(step, [self._find_single(name) for name in step.names])
            case ColumnsStep():
                self._choose(step)
        self._require_distinct(step)

    def _require_affordable(self) -> None:
        """Raise TooLongError when there are too many columns to look at, or the time for checks is used up."""
        is_too_long = max(self._looked_at, self._made) > self._max_columns
        if is_too_long or (self._max_columns < math.inf and budget.is_used_up()):
            raise TooLongError

    def _take(self, slots: Iterable[Slot]) -> list[Slot]:
        """List the columns that a step makes; those that no next step could look at are not even made."""
        taken: list[Slot] = []
        origins: frozenset[str] = frozenset()
        for slot in slots:
            self._made += 1 + len(slot.name) // 1000 + (0 if slot.origins is origins else len(slot.origins))
            self._require_affordable()
            origins = slot.origins
            taken.append(slot)
        return taken

    def _choose(self, step: ColumnsStep) -> None:
        """Follow a step that works on chosen columns."""
        chosen = self._select(step.columns)
        for slot in chosen:
            self._require_match(step, slot)
        if isinstance(step, Drop):
            self._drop(chosen)
        elif isinstance(step, Select):
            selected = set(chosen)
            self._drop([slot for slot in self._slots if slot not in selected])
        elif chosen:
            if isinstance(step, Impute) and step.indicator:
                self._add_indicators(step, chosen)
            if step.is_joint:
                self._plan_jointly(step, chosen)
            else:
                self._plan_one_by_one(step, chosen)

    # Which columns a step means.

    def _select(self, selector: list[str] | str) -> list[Slot]:
        if selector == "all":
            return list(self._slots)
        if isinstance(selector, str):
            return [slot for slot in self._slots if slot.selector == selector]
        return self._find(selector)

    def _find(self, names: list[str]) -> list[Slot]:
        """Find the columns of these names or, where a step has replaced one, the columns that were made of it."""
        self._mentioned.update(names)
        try:
            return self._index.find(names)
        except KeyError as absent:
            raise self._absence(absent.args[0]) from None

    def _absence(self, name: str) -> Exception:
        if name in self._dropped:
            return self._mismatch(f"column {name!r} was dropped by step {self._dropped[name] + 1}")
        if name in self._targets:
            return self._mismatch(f"there is no column {name!r} for steps, because it is the target; leave it out here")
        of = next((slot.name for slot in self._slots if slot.stem and name.startswith(slot.stem)), None)
        if of is not None:
            return self._mismatch(
                f"column {name!r} may be made of {of!r}, which depends on the data; name {of!r} to select all of them"
            )
        return self._mismatch(
            f"there is no {column_names.describe_absent(name, present=[s.name for s in self._slots])}"
        )

    def _find_single(self, name: str) -> Slot:
        """Find the one column of a name, which must be certain to exist."""
        slots = self._find([name])
        if len(slots) > 1 or slots[0].stem or not slots[0].certain:
            raise self._mismatch(f"{name!r} is not a single column that is certain to exist")
        return slots[0]

    def _require_match(self, step: Step, slot: Slot) -> None:
        reason = step.find_mismatch(slot)
        if reason:
            raise self._mismatch(f"column {slot.name!r} {reason}")

    def _mismatch(self, reason: str, kind: type[errors.PermanentError] = errors.BadRecipeError) -> Exception:
        step, number = self._steps[self._number], self._number
        return kind(f"step {number + 1} ({step.op}): {reason}", pointer=f"#/params/recipe/steps/{number}")

    # What steps do.

    def _plan_one_by_one(self, step: Step, chosen: list[Slot]) -> None:
        self._require_complete(chosen)
        changed: dict[plans.Branch, list[Slot]] = {}
        for slot in chosen:
            branch = self._stage.branch_of.get(slot) or self._stage.add(plans.Branch([slot], [slot]))
            if branch not in changed:
                branch.add_step(self._number)
                changed[branch] = self._take(new for old in branch.outputs for new in step.plan_one(old))
        self._replace(changed)

    def _plan_jointly(self, step: ColumnsStep, chosen: list[Slot]) -> None:
        branches = {self._stage.branch_of.get(slot) for slot in chosen}
        branch = branches.pop() if len(branches) == 1 else None
        if branch is None or branch.is_indicator or set(branch.outputs) != set(chosen):
            if any(slot in self._stage.branch_of for slot in chosen):
                self._next_stage()
            branch = self._stage.add(plans.Branch(list(chosen), list(chosen)))
        branch.add_step(self._number)
        try:
            made = step.plan_jointly(chosen)
        except errors.LimitExceededError as error:
            raise self._mismatch(f"{error}", errors.LimitExceededError) from None
        self._replace({branch: self._take(made)})

    def _drop(self, chosen: list[Slot]) -> None:
        self._require_complete([slot for slot in chosen if not self._stage.is_indicator(slot)])
        dropped = set(chosen)
        self._slots = [slot for slot in self._slots if slot not in dropped]
        self._dropped |= dict.fromkeys(names_of(chosen), self._number)

    def _derive(self, step: Derive) -> None:
        columns, kind = self._read(step.expression)
        types = {slot.name: slot.type for slot in columns}
        is_integer = kind == "number" and kinds.keeps_integers(expressions.parse(step.expression), types=types)
        if kind == "null":
            raise self._mismatch("the expression is None in every row, and so has no type")
        replaced = [slot for slot in self._slots if slot.name == step.name]
        # A constant reads no column, but its branch needs one for the number of rows.
        inputs = columns or self._slots[:1]
        if any(slot in self._stage.branch_of for slot in [*inputs, *replaced]):
            self._next_stage()
        new = new_slot(step.name, "integer" if is_integer else functions.TYPES[kind])
        self._stage.add(plans.Branch(inputs, [new], [self._number], [inputs], consumes=False))
        self._slots = [slot for slot in self._slots if slot not in replaced] + [new]

    def _filter(self, step: Filter) -> None:
        columns, kind = self._read(step.where)
        if kind != "boolean":
            raise self._mismatch(f"a condition is true or false, but this is a {kind}")
        self._add_table_stage(columns, [])

    def _look_back(self, step: Windowed) -> None:
        chosen = [self._find_single(name) for name in step.columns]
        for slot in chosen:
            self._require_match(step, slot)
        order = self._find_single(step.order)
        if order.type_group == "categorical":
            raise self._mismatch(f"column {order.name!r} is categorical; `order` needs times or numbers")
        if isinstance(step, Rolling) and step.unit != "rows" and order.type_group != "temporal":
            raise self._mismatch(f"column {order.name!r} is numeric; {step.unit} need an `order` of time")
        self._add_table_stage([*chosen, order, *map(self._find_single, step.by)], self._take(step.plan_added(chosen)))

    def _read(self, text: str) -> tuple[list[Slot], functions.Kind]:
        """Return the columns that an expression reads, and its kind."""
        tree = expressions.parse(text)
        columns = [self._find_single(name) for name in expressions.columns_of(tree)]
        try:
            return columns, kinds.kind_of(tree, types={slot.name: slot.type for slot in self._slots})
        except ValueError as error:
            raise self._mismatch(f"{error}") from error

    def _add_indicators(self, step: Impute, chosen: list[Slot]) -> None:
        """Add columns that say which values are missing before the step."""
        self._require_complete(chosen)
        if not all(self._stage.keeps_missing(slot, steps=self._steps, joint=step.is_joint) for slot in chosen):
            self._next_stage()
        branch_of = self._stage.branch_of
        inputs = dict.fromkeys(branch_of[slot].inputs[0] if slot in branch_of else slot for slot in chosen)
        have_indicator = {branch.inputs[0] for branch in self._stage.branches if branch.is_indicator}
        for slot in inputs:
            if slot.stem or not slot.certain:
                raise self._mismatch(f"{slot.name!r} is not a single column; impute it without `indicator`")
            if slot not in have_indicator:
                indicator = Slot(f"{slot.name}_missing", "number", None)
                self._stage.add(plans.Branch([slot], [indicator], consumes=False, is_indicator=True))
                self._slots.append(indicator)

    # How stages grow.

    @property
    def _stage(self) -> plans.Stage:
        return self._stages[-1]

    def _next_stage(self) -> None:
        """Begin a stage, which finds its columns by their names and, for families, by their stems."""
        if not self._stage.branches:
            return
        ambiguous = plans.find_ambiguous(self._slots)
        if ambiguous:
            raise self._mismatch(
                f"columns made of {ambiguous[0].name!r} can't be told from those made of {ambiguous[1].name!r} by "
                "their names; rename one of the two before"
            )
        self._stages.append(plans.Stage(list(self._slots)))

    def _add_table_stage(self, inputs: list[Slot], new: list[Slot]) -> None:
        self._next_stage()
        self._stage.table_step = self._number
        self._stage.add(plans.Branch(inputs, new, consumes=False))
        self._slots = [*self._slots, *new]
        self._next_stage()

    def _require_complete(self, chosen: list[Slot]) -> None:
        """Begin a stage when a step takes only some of a branch's outputs, or an indicator."""
        slots = set(chosen)
        branches = {branch for slot in chosen if (branch := self._stage.branch_of.get(slot))}
        if any(branch.is_indicator or not slots.issuperset(branch.outputs) for branch in branches):
            self._next_stage()

    def _replace(self, changed: dict[plans.Branch, list[Slot]]) -> None:
        """Put the new outputs of branches in the place of their old ones."""
        slots: list[Slot] = []
        for slot in self._slots:
            branch = self._stage.branch_of.get(slot)
            if branch not in changed:
                slots.append(slot)
            elif slot is branch.outputs[0]:
                slots.extend(changed[branch])
        for branch, outputs in changed.items():
            self._stage.set_outputs(branch, outputs)
        self._slots = slots

    def _require_distinct(self, step: Step) -> None:
        twice = column_names.list_repeated(slot.name for slot in self._slots if not slot.stem)
        if twice:
            hint = "give a `prefix`" if isinstance(step, Projection) else "rename or drop one of the two before"
            raise self._mismatch(f"this makes a column {twice[0]!r}, but there is one of that name already; {hint}")
