"""Fits a recipe on a dataset, and applies it to that dataset."""

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd

from shared import contract, errors, recipe
from shared.ml import frames, plans, progress, recipes
from workers.processing import feature_set


@dataclasses.dataclass(frozen=True)
class FittedFeatures:
    """The two files that were written: the transformer, and what it makes of the dataset."""

    transformer_sha256: str
    transformer_bytes: int
    features: list[str]
    columns: list[contract.Column]
    rows: int
    bytes: int
    sha256: str
    notes: list[str]


def fit_features(
    dataset: Path,
    *,
    recipe: recipe.Recipe,
    columns: list[contract.Column],
    target: str | None,
    transformer_path: Path,
    output_path: Path,
    batch_rows: int | None = None,
    progress: progress.Progress = progress.ignore,
) -> FittedFeatures:
    """Fit a recipe and write the transformer and the transformed dataset; `features` leaves the target out.

    BadRecipeError when the recipe doesn't fit the columns, BadDataError when the data can't be used.
    """
    truth = _find_target(target, columns)
    given = [column for column in columns if column.name != target]
    inputs = recipes.used_columns(recipe, columns=given)
    transformer = recipes.compile_recipe(recipe, columns=given).set_output(transform="pandas")
    progress(0.0, "reading the dataset")
    frame = frames.read_frame(dataset, columns=[column.name for column in inputs])
    if frame.empty:
        raise errors.BadDataError("the dataset has no rows; a recipe needs one at least")
    progress(0.1, "fitting the recipe")
    features = _fit(transformer, frame)
    passed = [column.name for column in recipes.passed_columns(recipe, columns=given)]
    outputs = _outputs(features, plans.make_plans(recipe, columns=given), taken=target)
    fitted = feature_set.FeatureSet(transformer, inputs, outputs, passed, truth)
    notes = _notes(frame, passed)
    del frame
    fitted.save(transformer_path)
    written = fitted.transform(
        dataset,
        output_path=output_path,
        batch_rows=batch_rows,
        progress=lambda fraction, message: progress(0.3 + 0.7 * fraction, message),
    )
    return FittedFeatures(
        transformer_sha256=frames.sha256_of(transformer_path),
        transformer_bytes=transformer_path.stat().st_size,
        features=features,
        columns=written.columns,
        rows=written.rows,
        bytes=written.bytes,
        sha256=written.sha256,
        notes=notes,
    )


def _find_target(target: str | None, columns: list[contract.Column]) -> contract.Column | None:
    if target is None:
        return None
    frames.require_columns([target], present=[column.name for column in columns])
    return next(column for column in columns if column.name == target)


def _fit(transformer: Any, frame: pd.DataFrame) -> list[str]:
    """Fit the transformer, and name what it makes."""
    try:
        transformer.fit(frame)
        return [str(name) for name in transformer.get_feature_names_out()]
    except ValueError as error:
        raise errors.BadRecipeError(f"the recipe can't be fitted to this data: {error}") from error


def _outputs(features: list[str], made: list[plans.Plan], *, taken: str | None) -> list[contract.Column]:
    if taken in features:
        raise errors.BadRecipeError(f"the recipe makes a column {taken!r}, which is the target's name; rename one")
    passed = {plan.column.name: plan.column for plan in made if not plan.steps}
    texts = {plan.column.name for plan in made if plan.steps and plan.sort == "categorical"}
    return [
        passed.get(name) or contract.Column(name=name, type="string" if name in texts else "number")
        for name in features
    ]


def _notes(frame: pd.DataFrame, passed: list[str]) -> list[str]:
    empty = [repr(name) for name in frame.columns if frame[name].isna().all()]
    notes = [f"No step names {', '.join(repr(name) for name in passed)}: passed on as in the data."] if passed else []
    return notes + ([f"No row has a value in {', '.join(empty)}."] if empty else [])
