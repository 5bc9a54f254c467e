"""Refuses recipes that would make tables too large for memory, before anything is fitted."""

import pandas as pd

from shared import contract, errors
from shared.recipe import planner
from shared.recipe.language import Recipe
from shared.recipe.slots import Slot

MAX_COLUMNS = 20_000
# Fitting holds the recipe's output for all rows in memory; this many float64 values take 4 GiB.
MAX_CELLS = 1 << 29


def require_affordable(recipe: Recipe, frame: pd.DataFrame, *, columns: list[contract.Column]) -> None:
    """Raise LimitExceededError, naming the widest column, when the recipe would make too large a table of this frame.

    The columns of one_hot are counted in the data; for terms of texts the bound is the number that the step allows.
    """
    plan = planner.make_plan(recipe, columns=columns)
    for stage in plan.stages:
        widths = {slot.name: _bound_width(slot, frame) for slot in stage.outputs}
        width = sum(widths.values())
        if width > MAX_COLUMNS or width * len(frame) > MAX_CELLS:
            widest = max(widths, key=lambda name: widths[name])
            raise errors.LimitExceededError(
                f"the recipe would make {width:,} columns of {len(frame):,} rows, {widths[widest]:,} of them of "
                f"{widest!r}; at most {MAX_COLUMNS:,} columns and {MAX_CELLS:,} values are allowed: give smaller "
                "`max_categories`, `max_features` or `features`, or drop columns"
            )


def _bound_width(slot: Slot, frame: pd.DataFrame) -> int:
    if slot.by_category and slot.source in frame.columns:
        return min(slot.width, int(frame[slot.source].nunique()) + 1)
    return slot.width
