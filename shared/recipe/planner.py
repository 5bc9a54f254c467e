"""Follows a recipe step by step, and works out what it does to which columns, or why it can't."""

from shared import column_names, contract, errors
from shared.recipe import expressions, functions, kinds, plans
from shared.recipe.columns import Derive, Drop, Rename, Select
from shared.recipe.features import Projection
from shared.recipe.language import Recipe
from shared.recipe.numbers import Impute
from shared.recipe.slots import Slot, added, group_of
from shared.recipe.step import ColumnsStep, Step
from shared.recipe.tables import Filter, Rolling, Windowed


class TooLongError(Exception):
    """A recipe has more steps, on more columns, than were to be looked at."""


def make_plan(wanted: Recipe, *, columns: list[contract.Column], most: int | None = None) -> plans.Plan:
    """Follow a recipe over a dataset's columns; BadRecipeError when a step doesn't fit them.

    TooLongError when there are more than `most` columns to look at, those before each step being counted anew.
    """
    planner = _Planner(wanted, columns)
    seen = 0
    for number, step in enumerate(wanted.steps):
        seen += planner.width
        if most is not None and seen > most:
            raise TooLongError
        planner.take(number, step)
    return planner.plan()


class _Planner:
    """The columns as they are by now, and the stages so far."""

    def __init__(self, wanted: Recipe, columns: list[contract.Column]) -> None:
        self._steps = wanted.steps
        self._slots = [Slot(one.name, one.type, group_of(one.type), raw=one.name, source=one.name) for one in columns]
        self._stages = [plans.Stage(list(self._slots))]
        self._dropped: dict[str, int] = {}
        self._asked: set[str] = set()
        self._number = 0

    @property
    def width(self) -> int:
        """How many columns there are by now, those that the data makes of one being one."""
        return len(self._slots)

    def plan(self) -> plans.Plan:
        """Give the plan, without what nothing needs."""
        inputs = plans.trim(self._stages, outputs=self._slots)
        return plans.Plan(self._steps, plans.without_idle(self._stages), inputs, self._slots, frozenset(self._asked))

    def take(self, number: int, step: Step) -> None:
        """Follow one step."""
        self._number = number
        match step:
            case Filter():
                self._filter(step)
            case Windowed():
                self._look_back(step)
            case Derive():
                self._derive(step)
            case Rename():
                self._one_by_one(step, [self._single(name) for name in step.names])
            case ColumnsStep():
                self._choose(step)
        self._require_distinct(step)

    def _choose(self, step: ColumnsStep) -> None:
        """Follow a step that works on chosen columns."""
        chosen = self._select(step.columns)
        for slot in chosen:
            self._require_fit(step, slot)
        if isinstance(step, Drop):
            self._drop(chosen)
        elif isinstance(step, Select):
            wanted = set(chosen)
            self._drop([slot for slot in self._slots if slot not in wanted])
        elif chosen:
            if isinstance(step, Impute) and step.indicator:
                self._flag(step, chosen)
            self._follow(step, chosen)

    # Which columns a step means.

    def _select(self, selector: list[str] | str) -> list[Slot]:
        if selector == "all":
            return list(self._slots)
        if isinstance(selector, str):
            return [slot for slot in self._slots if slot.group == selector]
        return self._named(selector)

    def _named(self, names: list[str]) -> list[Slot]:
        """Give the columns of these names or, where a step has replaced one, what was made of it."""
        self._asked.update(names)
        by_name: dict[str, list[Slot]] = {}
        by_origin: dict[str, list[Slot]] = {}
        for slot in self._slots:
            by_name.setdefault(slot.name, []).append(slot)
            for origin in slot.origins:
                by_origin.setdefault(origin, []).append(slot)
        found = [slot for name in names for slot in by_name.get(name) or by_origin.get(name) or self._absent(name)]
        return list(dict.fromkeys(found))

    def _absent(self, name: str) -> list[Slot]:
        if name in self._dropped:
            raise self._misfit(f"column {name!r} was dropped by step {self._dropped[name] + 1}")
        of = next((slot.name for slot in self._slots if slot.stem and name.startswith(slot.stem)), None)
        if of is not None:
            raise self._misfit(
                f"column {name!r} may be made of {of!r}, which only the data can tell; name {of!r} to mean all of them"
            )
        raise self._misfit(f"there is no {column_names.describe_absent(name, present=[s.name for s in self._slots])}")

    def _single(self, name: str) -> Slot:
        """Give the one column of a name, which must be known to be there."""
        found = self._named([name])
        if len(found) > 1 or found[0].stem or not found[0].sure:
            raise self._misfit(f"{name!r} is not one single column that is known to be there")
        return found[0]

    def _require_fit(self, step: Step, slot: Slot) -> None:
        fault = step.fault(slot)
        if fault:
            raise self._misfit(f"column {slot.name!r} {fault}")

    def _misfit(self, fault: str) -> Exception:
        step, number = self._steps[self._number], self._number
        return errors.BadRecipeError(
            f"step {number + 1} ({step.op}): {fault}", pointer=f"#/params/recipe/steps/{number}"
        )

    # What steps do.

    def _follow(self, step: ColumnsStep, chosen: list[Slot]) -> None:
        if step.is_joint:
            self._jointly(step, chosen)
        else:
            self._one_by_one(step, chosen)

    def _one_by_one(self, step: Step, chosen: list[Slot]) -> None:
        self._require_whole(chosen)
        changed: dict[plans.Part, list[Slot]] = {}
        for slot in chosen:
            part = self._stage.makers.get(slot) or self._stage.add(plans.Part([slot], [slot]))
            if part not in changed:
                part.do(self._number)
                changed[part] = [new for old in part.gives for new in step.of_one(old)]
        self._replace(changed)

    def _jointly(self, step: ColumnsStep, chosen: list[Slot]) -> None:
        parts = {self._stage.makers.get(slot) for slot in chosen}
        alone = parts.pop() if len(parts) == 1 else None
        if alone is None or alone.is_flag or set(alone.gives) != set(chosen):
            if any(slot in self._stage.makers for slot in chosen):
                self._next_stage()
            alone = self._stage.add(plans.Part(list(chosen), list(chosen)))
        alone.do(self._number)
        self._replace({alone: step.of_several(chosen)})

    def _drop(self, chosen: list[Slot]) -> None:
        self._require_whole([slot for slot in chosen if not self._is_flag(slot)])
        gone = set(chosen)
        self._slots = [slot for slot in self._slots if slot not in gone]
        self._dropped |= {name: self._number for slot in chosen for name in {slot.name, *slot.origins}}

    def _derive(self, step: Derive) -> None:
        read, kind = self._read(step.expression)
        if kind == "null":
            raise self._misfit("the expression is None whatever the row, and so has no type")
        replaced = [slot for slot in self._slots if slot.name == step.name]
        # Something has to stand for the rows of a constant.
        takes = read or self._slots[:1]
        if any(slot in self._stage.makers for slot in [*takes, *replaced]):
            self._next_stage()
        new = added(step.name, functions.TYPES[kind])
        self._stage.add(plans.Part(takes, [new], [self._number], [takes], consumes=False))
        self._slots = [slot for slot in self._slots if slot not in replaced] + [new]

    def _filter(self, step: Filter) -> None:
        read, kind = self._read(step.where)
        if kind != "boolean":
            raise self._misfit(f"a condition is true or false, but this is a {kind}")
        self._add_table_stage(read, [])

    def _look_back(self, step: Windowed) -> None:
        chosen = [self._single(name) for name in step.columns]
        for slot in chosen:
            self._require_fit(step, slot)
        order = self._single(step.order)
        if order.kind == "categorical":
            raise self._misfit(f"column {order.name!r} is categorical; `order` needs times or numbers")
        if isinstance(step, Rolling) and step.unit != "rows" and order.kind != "temporal":
            raise self._misfit(f"column {order.name!r} is numeric; {step.unit} need an `order` of time")
        self._add_table_stage([*chosen, order, *(self._single(name) for name in step.by)], step.adds(chosen))

    def _read(self, text: str) -> tuple[list[Slot], functions.Kind]:
        """Give the columns that an expression reads, and its kind."""
        tree = expressions.parse(text)
        read = [self._single(name) for name in expressions.columns_of(tree)]
        try:
            return read, kinds.kind_of(tree, types={slot.name: slot.type for slot in self._slots})
        except ValueError as error:
            raise self._misfit(f"{error}") from error

    def _flag(self, step: Impute, chosen: list[Slot]) -> None:
        """Add columns that say what is missing before the step."""
        self._require_whole(chosen)
        if not all(self._keeps_gaps(slot, joint=step.is_joint) for slot in chosen):
            self._next_stage()
        makers = self._stage.makers
        takes = dict.fromkeys(makers[slot].takes[0] if slot in makers else slot for slot in chosen)
        flagged = {part.takes[0] for part in self._stage.parts if part.is_flag}
        for slot in takes:
            if slot.stem or not slot.sure:
                raise self._misfit(f"{slot.name!r} is not one single column; impute it without `indicator`")
            if slot not in flagged:
                flag = Slot(f"{slot.name}_missing", "number", None)
                self._stage.add(plans.Part([slot], [flag], consumes=False, is_flag=True))
                self._slots.append(flag)

    def _keeps_gaps(self, slot: Slot, *, joint: bool) -> bool:
        part = self._stage.makers.get(slot)
        if part is None:
            return True
        return not joint and all(self._steps[number].keeps_gaps for number in part.steps)

    def _is_flag(self, slot: Slot) -> bool:
        part = self._stage.makers.get(slot)
        return part is not None and part.is_flag

    # How stages grow.

    @property
    def _stage(self) -> plans.Stage:
        return self._stages[-1]

    def _next_stage(self) -> None:
        """Begin a stage, in which columns are found by their names and what these begin with."""
        if not self._stage.parts:
            return
        alike = plans.alike(self._slots)
        if alike:
            raise self._misfit(
                f"columns made of {alike[0].name!r} can't be told from those made of {alike[1].name!r} by their names; "
                "rename one of the two before"
            )
        self._stages.append(plans.Stage(list(self._slots)))

    def _add_table_stage(self, read: list[Slot], new: list[Slot]) -> None:
        self._next_stage()
        self._stage.table_step = self._number
        self._stage.add(plans.Part(read, new, consumes=False))
        self._slots = [*self._slots, *new]
        self._next_stage()

    def _require_whole(self, chosen: list[Slot]) -> None:
        """Begin a stage when a step takes only some of what a part gives, or a flag."""
        wanted = set(chosen)
        parts = {part for slot in chosen if (part := self._stage.makers.get(slot))}
        if any(part.is_flag or not wanted.issuperset(part.gives) for part in parts):
            self._next_stage()

    def _replace(self, changed: dict[plans.Part, list[Slot]]) -> None:
        """Put what parts give now in the place of what they gave before."""
        now: list[Slot] = []
        for slot in self._slots:
            part = self._stage.makers.get(slot)
            if part not in changed:
                now.append(slot)
            elif slot is part.gives[0]:
                now.extend(changed[part])
        for part, gives in changed.items():
            self._stage.give(part, gives)
        self._slots = now

    def _require_distinct(self, step: Step) -> None:
        names = [slot.name for slot in self._slots if not slot.stem]
        if len(set(names)) == len(names):
            return
        twice = next(name for name in names if names.count(name) > 1)
        hint = "give a `prefix`" if isinstance(step, Projection) else "rename or drop one of the two before"
        raise self._misfit(f"this makes a column {twice!r}, but there is one of that name already; {hint}")
