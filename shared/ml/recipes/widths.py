"""Refuses recipes that would make tables too wide to be held, before anything is fitted."""

import pandas as pd

from shared import contract, errors
from shared.recipe import planner
from shared.recipe.language import Recipe
from shared.recipe.slots import Slot

MAX_COLUMNS = 20_000
# Fitting holds what the recipe makes of all rows at once; this many float64 take 4 GiB.
MAX_CELLS = 1 << 29


def require_affordable(wanted: Recipe, frame: pd.DataFrame, *, columns: list[contract.Column]) -> None:
    """Bound how wide a recipe makes a frame of these columns; LimitExceededError, with the widest, when it is too wide.

    How many columns one_hot makes is counted in the data; terms of texts are bounded by the most that are asked for.
    """
    plan = planner.make_plan(wanted, columns=columns)
    for stage in plan.stages:
        wide = {slot.name: _width(slot, frame) for slot in stage.outputs}
        width = sum(wide.values())
        if width > MAX_COLUMNS or width * len(frame) > MAX_CELLS:
            widest = max(wide, key=lambda name: wide[name])
            raise errors.LimitExceededError(
                f"the recipe would make {width:,} columns of {len(frame):,} rows, {wide[widest]:,} of them of "
                f"{widest!r}; at most {MAX_COLUMNS:,} columns and {MAX_CELLS:,} values are taken: give smaller "
                "`max_categories`, `max_features` or `features`, or drop columns"
            )


def _width(slot: Slot, frame: pd.DataFrame) -> int:
    if slot.by_level and slot.source in frame.columns:
        return min(slot.width, int(frame[slot.source].nunique()) + 1)
    return slot.width
