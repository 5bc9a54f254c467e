"""Turns a recipe into a scikit-learn transformer."""

from typing import Any

import pandas as pd
from sklearn import pipeline

from shared import contract
from shared.ml.recipes import defaults, stages, windows
from shared.recipe import fit, planner
from shared.recipe.language import Recipe

# A recipe is given or inferred; whoever compiles one finds both here.
InferredRecipe = defaults.InferredRecipe
infer_recipe = defaults.infer_recipe
make_plan = planner.make_plan


def compile_recipe(wanted: Recipe, *, columns: list[contract.Column], numbers_only: bool = False) -> Any:
    """Make an unfitted transformer of frames that have these columns; BadRecipeError when the recipe doesn't fit them.

    A column that no step names passes through. With `numbers_only`, as every estimator needs, a column whose values
    would still be text or dates in the end is an error. It is one ColumnTransformer or, where steps must see what
    earlier ones made of several columns, a Pipeline of them. Steps on whole tables are refused: a model answers for
    single rows.
    """
    fit.refuse_table_steps(wanted)
    return compile_rest(wanted, columns=columns, numbers_only=numbers_only)


def compile_rest(wanted: Recipe, *, columns: list[contract.Column], numbers_only: bool = False) -> Any:
    """Make an unfitted transformer of frames that `prepare` has made: the steps after those on whole tables."""
    plan = fit.fit_table(wanted, columns=columns, numbers_only=numbers_only)
    rest = plan.stages[plan.table_stages :]
    made = [stages.compile_stage(plan, stage, is_first=place == 0) for place, stage in enumerate(rest)]
    if len(made) == 1:
        return made[0]
    for one in made[:-1]:
        one.set_output(transform="pandas")
    return pipeline.Pipeline([(f"stage{number}", one) for number, one in enumerate(made, start=1)])


def prepare(frame: pd.DataFrame, wanted: Recipe, *, columns: list[contract.Column]) -> pd.DataFrame:
    """Do the steps up to the last that looks at whole tables; rows keep their labels, so that lost ones are known.

    Without such a step the frame is given back as it is, and so is one without rows.
    """
    plan = planner.make_plan(wanted, columns=columns)
    for stage in plan.stages[: plan.table_stages]:
        if frame.empty:
            return frame
        if stage.table_step is None:
            made = stages.compile_stage(plan, stage, is_first=True).set_output(transform="pandas")
            frame = made.fit_transform(frame)
        else:
            types = {slot.name: slot.type for slot in stage.inputs}
            frame = windows.apply(plan.steps[stage.table_step], frame, types=types)
    return frame


def used_columns(wanted: Recipe, *, columns: list[contract.Column]) -> list[contract.Column]:
    """Give the columns that the recipe reads or passes on: those that new data must have."""
    used = {slot.name for slot in planner.make_plan(wanted, columns=columns).inputs}
    return [column for column in columns if column.name in used]


def passed_columns(wanted: Recipe, *, columns: list[contract.Column]) -> list[contract.Column]:
    """Give the columns that pass through with the values that they have, whatever their name is in the end."""
    passed = {slot.raw for slot in planner.make_plan(wanted, columns=columns).outputs}
    return [column for column in columns if column.name in passed]
