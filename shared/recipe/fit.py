"""Says whether a recipe fits a table, and whether a model can have it, as far as columns' names and types tell."""

import contextlib
import itertools
from collections.abc import Set

from shared import contract, errors
from shared.recipe import planner, plans
from shared.recipe.language import Recipe
from shared.recipe.slots import Slot

POINTER = "#/params/recipe"
# How many columns, counted anew for each step, the API follows: about a tenth of a second's work.
API_MAX_COLUMNS = 10_000


def fit_table(
    wanted: Recipe, *, columns: list[contract.Column], numbers_only: bool = False, most: int | None = None
) -> plans.Plan:
    """Follow a recipe over a table's columns; BadRecipeError when a step doesn't fit them, or nothing is left.

    With `numbers_only`, as every estimator needs, a column whose values would still be text or dates in the end is an
    error. TooLongError when there are more than `most` columns to look at.
    """
    plan = planner.make_plan(wanted, columns=columns, most=most)
    if not plan.outputs:
        raise errors.BadRecipeError("the recipe drops every column; at least one must be left", pointer=POINTER)
    if numbers_only:
        _require_numbers(plan.outputs)
    return plan


def refuse_table_steps(wanted: Recipe) -> None:
    """Raise BadRecipeError for a recipe that looks at whole tables: a model answers for single rows."""
    if wanted.table_steps:
        number = wanted.table_steps - 1
        raise errors.BadRecipeError(
            f"step {number + 1} ({wanted.steps[number].op}) looks at whole tables, but a model is asked about single "
            "rows; make a dataset by POST /v1/features/{name} with the steps up to this one, and train on that dataset",
            pointer=f"{POINTER}/steps/{number}",
        )


def check_for_table(wanted: Recipe, *, columns: list[contract.Column]) -> None:
    """Refuse a recipe that doesn't fit a table, for the API; one that takes long to follow is left to the worker."""
    with contextlib.suppress(planner.TooLongError):
        fit_table(wanted, columns=columns, most=API_MAX_COLUMNS)


def check_for_model(wanted: Recipe, *, columns: list[contract.Column]) -> None:
    """Refuse a recipe that a model can't have, for the API; one that takes long to follow is left to the worker."""
    refuse_table_steps(wanted)
    with contextlib.suppress(planner.TooLongError):
        fit_table(wanted, columns=columns, numbers_only=True, most=API_MAX_COLUMNS)


def needed_of(absent: Set[str], wanted: Recipe, *, columns: list[contract.Column]) -> list[str]:
    """Give those of some columns that a recipe, once it is fitted on `columns`, is certain to need, in their order.

    New data may lack the target, and only the stored feature set says which column that was. One that the recipe can't
    be followed without was not it. What takes long to follow is left out.
    """
    try:
        plan = planner.make_plan(wanted, columns=columns, most=API_MAX_COLUMNS)
    except (errors.PermanentError, planner.TooLongError):
        return []
    named = absent & plan.named & {slot.name for slot in plan.inputs}
    affordable = API_MAX_COLUMNS // (max(len(columns), len(plan.outputs)) * len(wanted.steps))
    asked = itertools.islice((one for one in columns if one.name in named), affordable)
    return [one.name for one in asked if not _goes_without(one, wanted, columns)]


def _goes_without(one: contract.Column, wanted: Recipe, columns: list[contract.Column]) -> bool:
    try:
        planner.make_plan(wanted, columns=[other for other in columns if other is not one], most=API_MAX_COLUMNS)
    except errors.BadRecipeError:
        return False
    except (errors.LimitExceededError, planner.TooLongError):
        pass
    return True


def _require_numbers(kept: list[Slot]) -> None:
    left = [f"{slot.name!r} ({slot.type})" for slot in kept if slot.kind != "numeric"]
    if left:
        raise errors.BadRecipeError(
            f"an estimator needs numbers, but these columns would reach it as they are: {', '.join(left[:20])}; "
            "add one_hot or ordinal for text, date_parts for dates, or drop them",
            pointer=POINTER,
        )
