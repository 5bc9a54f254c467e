"""Compiles a recipe into a scikit-learn transformer."""

from collections.abc import Collection, Set
from typing import Any

import pandas as pd
from sklearn import pipeline

from shared import contract
from shared.ml import integers
from shared.ml.recipes import defaults, stages, windows
from shared.recipe import compatibility, planner
from shared.recipe.categories import HashEncode
from shared.recipe.columns import Cast, Derive
from shared.recipe.language import Recipe

# Steps that ask which number it is, and learn nothing: they must know numbers beyond float64 that fitting never saw.
IDENTITY_STEPS = (Cast, Derive, HashEncode)

# A recipe is given or inferred; callers find what they need for both here.
InferredRecipe = defaults.InferredRecipe
infer_recipe = defaults.infer_recipe


def compile_recipe(
    recipe: Recipe,
    *,
    columns: list[contract.Column],
    targets: Collection[str] = (),
    numbers_only: bool = False,
    exact: Set[str] = frozenset(),
) -> Any:
    """Build an unfitted transformer of frames with these columns; BadRecipeError when the recipe doesn't fit them.

    A column that no step names passes through. With `numbers_only`, as every estimator needs, a column whose values
    would still be text or dates in the end is an error. The transformer is one ColumnTransformer or, where steps must
    see what earlier ones made of several columns, a Pipeline of them. Steps on whole tables are refused: a model
    predicts single rows. `targets` are columns beside these that no step may name. `exact` are the columns whose
    integers may be exact (`list_exact`).
    """
    compatibility.refuse_table_steps(recipe)
    return compile_rest(recipe, columns=columns, targets=targets, numbers_only=numbers_only, exact=exact)


def compile_rest(
    recipe: Recipe,
    *,
    columns: list[contract.Column],
    targets: Collection[str] = (),
    numbers_only: bool = False,
    exact: Set[str] = frozenset(),
) -> Any:
    """Build the unfitted transformer of the steps after those on whole tables; it takes frames made by `prepare`."""
    plan = compatibility.plan_for_table(recipe, columns=columns, targets=targets, numbers_only=numbers_only)
    rest = plan.stages[plan.table_stages :]
    transformers = [
        stages.compile_stage(
            plan, stage, is_first=index == 0, exact=exact, makes_floats=numbers_only and stage is rest[-1]
        )
        for index, stage in enumerate(rest)
    ]
    if len(transformers) == 1:
        return transformers[0]
    for transformer in transformers[:-1]:
        transformer.set_output(transform="pandas")
    return pipeline.Pipeline([(f"stage{number}", step) for number, step in enumerate(transformers, start=1)])


def prepare(frame: pd.DataFrame, recipe: Recipe, *, columns: list[contract.Column]) -> pd.DataFrame:
    """Apply the steps up to the last that looks at whole tables; rows keep their labels, which show what was dropped.

    Without such a step the frame is returned as it is, and so is one without rows.
    """
    plan = planner.make_plan(recipe, columns=columns)
    for stage in plan.stages[: plan.table_stages]:
        if frame.empty:
            return frame
        if stage.table_step is None:
            exact = {column.name for column in columns if column.type == "integer"}
            transformer = stages.compile_stage(plan, stage, is_first=True, exact=exact).set_output(transform="pandas")
            frame = transformer.fit_transform(frame)
        else:
            types = {slot.name: slot.type for slot in stage.inputs}
            frame = windows.apply(plan.steps[stage.table_step], frame, types=types)
    return frame


def list_exact(recipe: Recipe, frame: pd.DataFrame, *, columns: list[contract.Column]) -> frozenset[str]:
    """List the columns whose integers a model must take exactly.

    Those are the columns of integers that float64 would merge in this frame, and those that a step asks which number
    it is without learning from them, because new data may have any.
    """
    asked = {
        slot.raw
        for plan in [planner.make_plan(recipe, columns=columns)]
        for stage in plan.stages
        for branch in stage.branches
        for number, slots in zip(branch.steps, branch.step_inputs, strict=True)
        if isinstance(plan.steps[number], IDENTITY_STEPS)
        for slot in slots
    }
    return frozenset(
        column.name
        for column in columns
        if column.type == "integer"
        and (column.name in asked or (column.name in frame and integers.is_exact(frame[column.name])))
    )


def list_used_columns(recipe: Recipe, *, columns: list[contract.Column]) -> list[contract.Column]:
    """List the columns that the recipe reads or passes on: those that new data must have."""
    used = {slot.name for slot in planner.make_plan(recipe, columns=columns).inputs}
    return [column for column in columns if column.name in used]
