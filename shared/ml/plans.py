"""Works out what a recipe does to each column, or why it can't."""

import dataclasses
import math
from typing import Literal

from shared import contract, errors, recipe
from shared.ml import frames

Sort = Literal["numeric", "categorical", "temporal"]


@dataclasses.dataclass
class Plan:
    """What happens to one column: the numbers of its steps in order, and what sort of values it has by now."""

    column: contract.Column
    sort: Sort
    steps: list[int] = dataclasses.field(default_factory=list)
    indicator: bool = False
    dropped_by: int | None = None


def make_plans(wanted: recipe.Recipe, *, columns: list[contract.Column]) -> list[Plan]:
    """Follow the recipe column by column; BadRecipeError when a step doesn't fit the data."""
    plans = {column.name: Plan(column, sort_of(column)) for column in columns}
    for number, step in enumerate(wanted.steps):
        for plan in _select(step, number, plans):
            _take(step, number, plan)
    return list(plans.values())


def sort_of(column: contract.Column) -> Sort:
    """Say which selector stands for a column, by the type that it has in the dataset."""
    if column.type in frames.NUMERIC:
        return "numeric"
    return "temporal" if column.type in frames.TEMPORAL else "categorical"


def _select(step: recipe.AnyStep, number: int, plans: dict[str, Plan]) -> list[Plan]:
    if isinstance(step.columns, str):
        return [p for p in plans.values() if p.dropped_by is None and sort_of(p.column) == step.columns]
    chosen = []
    for name in dict.fromkeys(step.columns):
        plan = plans.get(name)
        if plan is None:
            raise _misfit(step, number, f"there is no {frames.describe_absent(name, present=plans)}")
        if plan.dropped_by is not None:
            raise _misfit(step, number, f"column {name!r} was dropped by step {plan.dropped_by + 1}")
        chosen.append(plan)
    return chosen


def _take(step: recipe.AnyStep, number: int, plan: Plan) -> None:
    fault = _fault(step, plan)
    if fault:
        raise _misfit(step, number, f"column {plan.column.name!r} {fault}")
    if isinstance(step, recipe.Drop):
        plan.dropped_by = number
        return
    plan.steps.append(number)
    if isinstance(step, recipe.Impute):
        plan.indicator = plan.indicator or step.indicator
    else:
        plan.sort = "numeric"


def _fault(step: recipe.AnyStep, plan: Plan) -> str | None:
    """Say why a step can't be done to a column as it is by now."""
    if isinstance(step, recipe.Drop):
        return None
    if isinstance(step, recipe.DateParts):
        return None if plan.sort == "temporal" else f"is {plan.sort}; date_parts needs a timestamp or a date"
    if plan.sort == "temporal":
        return "is temporal; do date_parts first, then this step"
    if isinstance(step, recipe.Impute):
        return _impute_fault(step, plan.sort)
    if isinstance(step, recipe.Ordinal):
        return "is numeric; `categories` are for text" if step.categories and plan.sort == "numeric" else None
    if isinstance(step, recipe.Scale | recipe.Log1p) and plan.sort != "numeric":
        return f"is categorical; {step.op} needs numbers, which one_hot or ordinal make"
    return None


def _impute_fault(step: recipe.Impute, sort: Sort) -> str | None:
    if step.strategy in ("mean", "median"):
        return None if sort == "numeric" else f"is {sort}; use the strategy most_frequent or constant"
    if step.strategy == "most_frequent":
        return None
    if step.value is None:
        return "can't be filled: the strategy constant needs `value`"
    if sort == "categorical":
        return None if isinstance(step.value, str) else f"is text, but `value` is {step.value!r}; give text"
    if isinstance(step.value, str) or not math.isfinite(step.value):
        return f"is numeric, but `value` is {step.value!r}; give a finite number"
    return None


def _misfit(step: recipe.AnyStep, number: int, fault: str) -> errors.BadRecipeError:
    pointer = f"#/params/recipe/steps/{number}"
    return errors.BadRecipeError(f"step {number + 1} ({step.op}): {fault}", pointer=pointer)
