"""Turns a recipe into a scikit-learn transformer."""

from typing import Any

from sklearn import compose, impute, pipeline, preprocessing

from shared import contract, errors, recipe
from shared.ml import defaults, plans, transformers

# A recipe is given or inferred; whoever compiles one finds both here.
InferredRecipe = defaults.InferredRecipe
infer_recipe = defaults.infer_recipe

SCALERS = {
    "standard": preprocessing.StandardScaler,
    "min_max": preprocessing.MinMaxScaler,
    "robust": preprocessing.RobustScaler,
}


def compile_recipe(
    wanted: recipe.Recipe, *, columns: list[contract.Column], numbers_only: bool = False
) -> compose.ColumnTransformer:
    """Make an unfitted transformer of frames that have these columns; BadRecipeError when the recipe doesn't fit them.

    A column that no step names passes through. With `numbers_only`, as every estimator needs, a column whose values
    would still be text or dates in the end is an error. The selectors numeric, categorical and temporal stand for
    columns by the types they have in the dataset, whatever earlier steps have made of them.
    """
    kept = [plan for plan in plans.make_plans(wanted, columns=columns) if plan.dropped_by is None]
    if not kept:
        raise errors.BadRecipeError("the recipe drops every column; at least one must be left")
    if numbers_only:
        _require_numbers(kept)
    chains: dict[tuple[int, ...], list[str]] = {}
    for plan in kept:
        chains.setdefault(tuple(plan.steps), []).append(plan.column.name)
    parts: list[tuple[str, Any, list[str]]] = [
        (f"part{number}", _chain([wanted.steps[step] for step in steps], width=len(names)), names)
        for number, (steps, names) in enumerate(chains.items(), start=1)
    ]
    watched = [plan.column.name for plan in kept if plan.indicator]
    if watched:
        parts.append(("missing", transformers.Missing(), watched))
    return compose.ColumnTransformer(parts, remainder="drop", sparse_threshold=0, verbose_feature_names_out=False)


def used_columns(wanted: recipe.Recipe, *, columns: list[contract.Column]) -> list[contract.Column]:
    """Give the columns that the recipe doesn't drop: those that new data must have."""
    return [plan.column for plan in plans.make_plans(wanted, columns=columns) if plan.dropped_by is None]


def passed_columns(wanted: recipe.Recipe, *, columns: list[contract.Column]) -> list[contract.Column]:
    """Give the columns that pass through untouched because no step names them."""
    made = plans.make_plans(wanted, columns=columns)
    return [plan.column for plan in made if plan.dropped_by is None and not plan.steps]


def _require_numbers(kept: list[plans.Plan]) -> None:
    left = [f"{plan.column.name!r} ({plan.column.type})" for plan in kept if plan.sort != "numeric"]
    if left:
        raise errors.BadRecipeError(
            f"an estimator needs numbers, but these columns would reach it as they are: {', '.join(left[:20])}; "
            "add one_hot or ordinal for text, date_parts for dates, or drop them"
        )


def _chain(steps: list[recipe.AnyStep], *, width: int) -> Any:
    if not steps:
        return "passthrough"
    made = pipeline.Pipeline([(f"{n}_{step.op}", _transformer(step, width=width)) for n, step in enumerate(steps, 1)])
    # Frames between the steps keep the columns' names, which our own transformers need for their messages.
    return made.set_output(transform="pandas")


def _transformer(step: recipe.AnyStep, *, width: int) -> Any:
    match step:
        case recipe.Impute():
            value = float(step.value) if isinstance(step.value, int) else step.value
            return impute.SimpleImputer(strategy=step.strategy, fill_value=value, keep_empty_features=True)
        case recipe.Scale():
            return SCALERS[step.method]()
        case recipe.OneHot():
            return preprocessing.OneHotEncoder(
                max_categories=step.max_categories, handle_unknown="ignore", sparse_output=False
            )
        case recipe.Ordinal():
            return preprocessing.OrdinalEncoder(
                categories="auto" if step.categories is None else [step.categories] * width,
                handle_unknown="use_encoded_value",
                unknown_value=-1,
            )
        case recipe.Log1p():
            return transformers.Log1p()
        case recipe.DateParts():
            return transformers.DateParts(tuple(step.parts))
        case recipe.Drop():
            raise AssertionError("a dropped column has no transformer")
