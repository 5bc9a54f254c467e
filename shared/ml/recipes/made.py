"""Counts the columns that the steps of a fitted recipe have made."""

import dataclasses
import itertools
import operator
from collections.abc import Iterator, Set
from typing import Any

from shared import contract
from shared.ml.recipes import stages
from shared.recipe import planner, plans
from shared.recipe.language import Recipe
from shared.recipe.slots import Slot


@dataclasses.dataclass(frozen=True)
class Made:
    """How many columns a step, by its number from 1, has made of how many that it took."""

    step: int
    op: str
    taken: int
    columns: int


def count_made(recipe: Recipe, transformer: Any, *, columns: list[contract.Column], exact: Set[str]) -> list[Made]:
    """Count what each step has made that doesn't make one column of each; `lag` and `rolling` add theirs.

    `transformer` is what `compile_rest` has built of the recipe, the columns and those that may be `exact`, fitted.
    """
    plan = planner.make_plan(recipe, columns=columns)
    rest = plan.stages[plan.table_stages :]
    fitted = [transformer] if len(rest) == 1 else [stage for _, stage in transformer.steps]
    counts = [count for stage in plan.stages[: plan.table_stages] for count in _count_planned(stage)]
    for stage, made in zip(rest, fitted, strict=True):
        counts += _count_fitted(plan, stage, made, exact)
    totals: dict[int, tuple[int, int]] = {}
    for number, taken, new in counts:
        before = totals.get(number, (0, 0))
        totals[number] = (before[0] + taken, before[1] + new)
    return [
        Made(number + 1, plan.steps[number].op, taken, new)
        for number, (taken, new) in sorted(totals.items())
        if taken != new
    ]


def _count_planned(stage: plans.Stage) -> Iterator[tuple[int, int, int]]:
    """Count what the steps up to the last on whole tables make, which learn nothing: the plan has their widths."""
    for branch in stage.branches:
        if stage.table_step is not None:
            yield stage.table_step, 0, len(branch.outputs)
        tables = [*branch.step_inputs, branch.outputs]
        for index, number in enumerate(branch.steps):
            yield number, _add_widths(tables[index]), _add_widths(tables[index + 1])


def _add_widths(slots: list[Slot]) -> int:
    return sum(slot.width for slot in slots)


def _count_fitted(plan: plans.Plan, stage: plans.Stage, fitted: Any, exact: Set[str]) -> Iterator[tuple[int, int, int]]:
    for branches, (_, pipe, chosen) in zip(stages.group_branches(stage), fitted.transformers_, strict=False):
        if not branches[0].steps or not len(chosen):
            continue
        names = [name if isinstance(name, str) else fitted.feature_names_in_[name] for name in chosen]
        numbered = zip(stages.list_numbers(plan, branches, exact), pipe.steps, strict=False)
        for number, parts in itertools.groupby(numbered, key=operator.itemgetter(0)):
            taken = len(names)
            for _, (_, part) in parts:
                names = list(part.get_feature_names_out(names))
            yield number, taken, len(names)
