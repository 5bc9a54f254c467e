"""Checks whether a recipe fits a table, and whether a model can have it, by the names and types of columns alone."""

import contextlib
import itertools
from collections.abc import Collection, Set

from shared import contract, errors
from shared.recipe import planner, plans
from shared.recipe.language import Recipe
from shared.recipe.slots import Slot

POINTER = "#/params/recipe"
# How many columns, counted again before each step, the API looks at: about a tenth of a second's work.
API_MAX_COLUMNS = 10_000


def plan_for_table(
    recipe: Recipe,
    *,
    columns: list[contract.Column],
    targets: Collection[str] = (),
    numbers_only: bool = False,
    max_columns: int | None = None,
) -> plans.Plan:
    """Follow a recipe over a table's columns; BadRecipeError when a step doesn't fit them, or no column is left.

    With `numbers_only`, as every estimator needs, a column whose values would still be text or dates in the end is an
    error. `targets` are columns beside these that no step may name. TooLongError when there are more than `max_columns`
    columns to look at.
    """
    plan = planner.make_plan(recipe, columns=columns, targets=targets, max_columns=max_columns)
    if not plan.outputs:
        raise errors.BadRecipeError("the recipe drops every column; at least one must be left", pointer=POINTER)
    if numbers_only:
        _require_numbers(plan.outputs)
    return plan


def refuse_table_steps(recipe: Recipe) -> None:
    """Raise BadRecipeError for a recipe that looks at whole tables: a model answers for single rows."""
    if recipe.table_steps:
        number = recipe.table_steps - 1
        raise errors.BadRecipeError(
            f"step {number + 1} ({recipe.steps[number].op}) looks at whole tables, but a model predicts single rows; "
            "make a dataset by POST /v1/features/{name} with the steps up to this one, and train on that dataset",
            pointer=f"{POINTER}/steps/{number}",
        )


def check_for_table(recipe: Recipe, *, columns: list[contract.Column], targets: Collection[str] = ()) -> None:
    """Refuse a recipe that doesn't fit a table, for the API; one that takes long to follow is left to the worker."""
    with contextlib.suppress(planner.TooLongError):
        plan_for_table(recipe, columns=columns, targets=targets, max_columns=API_MAX_COLUMNS)


def check_for_model(recipe: Recipe, *, columns: list[contract.Column], targets: Collection[str] = ()) -> None:
    """Refuse a recipe that a model can't have, for the API; one that takes long to follow is left to the worker."""
    refuse_table_steps(recipe)
    with contextlib.suppress(planner.TooLongError):
        plan_for_table(recipe, columns=columns, targets=targets, numbers_only=True, max_columns=API_MAX_COLUMNS)


def find_needed(absent: Set[str], recipe: Recipe, *, columns: list[contract.Column]) -> list[str]:
    """List which of the absent columns a recipe that was fitted on `columns` is certain to need, in their order.

    New data may lack the target, and of earlier releases' feature sets only the stored file says which column that was:
    a column without which the recipe can't be followed was not the target. What takes long to follow is left out.
    """
    try:
        plan = planner.make_plan(recipe, columns=columns, max_columns=API_MAX_COLUMNS)
    except (errors.PermanentError, planner.TooLongError):
        return []
    named = absent & plan.named & {slot.name for slot in plan.inputs}
    affordable = API_MAX_COLUMNS // (max(len(columns), len(plan.outputs)) * len(recipe.steps))
    candidates = itertools.islice((column for column in columns if column.name in named), affordable)
    return [column.name for column in candidates if not _can_do_without(column, recipe, columns)]


def _can_do_without(column: contract.Column, recipe: Recipe, columns: list[contract.Column]) -> bool:
    others = [other for other in columns if other is not column]
    try:
        planner.make_plan(recipe, columns=others, max_columns=API_MAX_COLUMNS)
    except errors.BadRecipeError:
        return False
    except (errors.LimitExceededError, planner.TooLongError):
        pass
    return True


def _require_numbers(slots: list[Slot]) -> None:
    unfit = [f"{slot.name!r} ({slot.type})" for slot in slots if slot.type_group != "numeric"]
    if unfit:
        raise errors.BadRecipeError(
            f"an estimator needs numbers, but these columns would reach it as they are: {', '.join(unfit[:20])}; "
            "add one_hot or ordinal for text, date_parts for dates, or drop them",
            pointer=POINTER,
        )
