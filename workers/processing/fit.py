"""Fits a recipe on a dataset, and applies it to that dataset."""

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd

from shared import contract, digests, errors
from shared.ml import encoders, frames, integers, notices
from shared.ml.recipes import compiling, made, widths
from shared.ml.values import lost_values, unusable_values
from shared.progress import Progress, no_progress
from shared.recipe import planner
from shared.recipe.categories import Ordinal, TargetEncode
from shared.recipe.language import Recipe
from workers import memory
from workers.processing import feature_set, truth

WITHOUT_TARGET = (
    "No target was named, so every column is a feature. If one of them is what a model is to predict, fit again with "
    "its name in `target`: as it is, that column is transformed, and these features can't be made of rows without it."
)


@dataclasses.dataclass(frozen=True)
class FittedFeatures:
    """The two files that were written: the transformer, and the transformed dataset."""

    transformer_sha256: str
    transformer_bytes: int
    features: list[str]
    columns: list[contract.Column]
    rows: int
    bytes: int
    sha256: str
    notes: list[str]
    made: list[made.Made]


def fit_features(
    dataset: Path,
    *,
    recipe: Recipe,
    columns: list[contract.Column],
    target: str | None,
    problem: truth.Problem | None = None,
    transformer_path: Path,
    output_path: Path,
    batch_rows: int | None = None,
    progress: Progress = no_progress,
) -> FittedFeatures:
    """Fit a recipe and write the transformer and the transformed dataset; `features` leaves the target out.

    BadRecipeError when the recipe doesn't fit the columns, BadDataError when the data can't be used.
    """
    target_column = _find_target(target, columns)
    inputs = [column for column in columns if column.name != target]
    unfitted = _build_unfitted(recipe, inputs, target_column)
    progress(0.0, "reading the dataset")
    frame = _read(dataset, unfitted, recipe, inputs)
    target_values = _read_truth(dataset, recipe, target_column, problem)
    progress(0.1, "fitting the recipe")
    with lost_values.counted() as losses, notices.collect() as warnings:
        prepared = unfitted.prepare(frame)
        _require_affordable(recipe, frame.loc[prepared.index], inputs, target_values, table_wise=False)
        features = _fit(unfitted.transformer, prepared, target_values)
    fitted = _name_outputs(unfitted, recipe, inputs)
    notes = _write_notes(fitted, frame, recipe, rows_left=len(prepared))
    notes += _note_unlisted(fitted, prepared, recipe) + warnings
    del frame, prepared
    fitted.save(transformer_path)
    if features is None:
        # Fitting needs no results of a branch's last step, so what is lost is counted here.
        with integers.ignore_rounding(), lost_values.counted() as losses:
            written = fitted.transform(
                dataset,
                output_path=output_path,
                batch_rows=batch_rows,
                progress=lambda fraction, message: progress(0.3 + 0.7 * fraction, message),
            )
    else:
        written = fitted.write_fitted(dataset, features, output_path=output_path)
        progress(1.0, f"{written.rows} rows transformed")
    return FittedFeatures(
        transformer_sha256=digests.of_file(transformer_path),
        transformer_bytes=transformer_path.stat().st_size,
        features=[column.name for column in fitted.outputs],
        columns=written.columns,
        rows=written.rows,
        bytes=written.bytes,
        sha256=written.sha256,
        made=made.count_made(recipe, fitted.transformer, columns=inputs, exact=_list_integers(inputs)),
        notes=notes + losses.describe(in_batches=True) + fitted.note_rounding(output_path),
    )


def _find_target(target: str | None, columns: list[contract.Column]) -> contract.Column | None:
    if target is None:
        return None
    frames.require_columns([target], present=[column.name for column in columns])
    return next(column for column in columns if column.name == target)


def _build_unfitted(
    recipe: Recipe, columns: list[contract.Column], target: contract.Column | None
) -> feature_set.FeatureSet:
    """Build what does not depend on the data."""
    plan = planner.make_plan(recipe, columns=columns, targets=[target.name] if target else [])
    passed = {slot.name: slot.raw for slot in plan.outputs if slot.raw is not None}
    return feature_set.FeatureSet(
        transformer=compiling.compile_rest(recipe, columns=columns, exact=_list_integers(columns)).set_output(
            transform="pandas"
        ),
        inputs=compiling.list_used_columns(recipe, columns=columns),
        outputs=[],
        passed=passed,
        target=target,
        prefix=feature_set.Prefix(recipe, columns) if recipe.table_steps else None,
    )


def _list_integers(columns: list[contract.Column]) -> set[str]:
    return {column.name for column in columns if column.type == "integer"}


def _read(
    dataset: Path, unfitted: feature_set.FeatureSet, recipe: Recipe, columns: list[contract.Column]
) -> pd.DataFrame:
    if unfitted.prefix and unfitted.prefix.needs_whole_table:
        feature_set.require_memory(frames.count_rows(dataset), len(unfitted.inputs))
    frame = frames.read_frame(dataset, columns=[column.name for column in unfitted.inputs])
    if frame.empty:
        raise errors.BadDataError("the dataset has no rows; a recipe needs at least one")
    _require_affordable(recipe, frame, columns, None, table_wise=True)
    widths.require_countable(recipe, frame, columns=columns)
    return frame


def _require_affordable(
    recipe: Recipe,
    frame: pd.DataFrame,
    columns: list[contract.Column],
    target: truth.Truth | None,
    *,
    table_wise: bool,
) -> None:
    sizes = widths.Limits(len(frame), classes=target.classes if target else 1, max_bytes=memory.current_bytes())
    widths.require_affordable(recipe, frame, columns=columns, limits=sizes, table_wise=table_wise)


def _read_truth(
    dataset: Path, recipe: Recipe, target: contract.Column | None, problem: truth.Problem | None
) -> truth.Truth | None:
    """Read the target when a step learns from it."""
    if not recipe.needs_target:
        return None
    if target is None:
        raise errors.BadRecipeError("a step learns from a target, but none is named; give `target`")
    return truth.read_truth(dataset, target=target, problem=problem)


def _fit(transformer: Any, frame: pd.DataFrame, target: truth.Truth | None) -> pd.DataFrame | None:
    """Fit the transformer; return the features of the rows where applying it later would make others of them."""
    if frame.empty:
        raise errors.BadDataError("the filter leaves no row, so there is nothing to fit")
    try:
        if target is not None:
            return _fit_to_target(transformer, frame, target)
        transformer.fit(frame)
    except ValueError as error:
        unusable = "" if target is not None else unusable_values.describe_in_fitting(transformer, frame, None, error)
        if unusable:
            raise errors.BadRecipeError(f"a step of the recipe {unusable}") from error
        empty = _list_empty(frame)
        hint = f" (no row has a value in {', '.join(empty)})" if empty else ""
        raise errors.BadRecipeError(f"the recipe can't be fitted to this data: {error}{hint}") from error
    return None


def _fit_to_target(transformer: Any, frame: pd.DataFrame, target: truth.Truth) -> pd.DataFrame:
    """Fit on the rows whose target is known, and make features of all rows."""
    values, has_target = target.take(frame.index.to_numpy())
    if not has_target.any():
        raise errors.BadDataError("no row that is left has a target, so there is nothing to learn from")
    features: pd.DataFrame = transformer.fit_transform(frame[has_target], values)
    if has_target.all():
        return features
    rest = encoders.transform(transformer, frame[~has_target])
    return pd.concat(integers.unify([features, rest])).loc[frame.index]


def _name_outputs(
    unfitted: feature_set.FeatureSet, recipe: Recipe, columns: list[contract.Column]
) -> feature_set.FeatureSet:
    """Complete a feature set, whose transformer is fitted by now, by the names and types of its outputs."""
    names = [str(name) for name in unfitted.transformer.get_feature_names_out()]
    target = unfitted.target.name if unfitted.target else None
    if target in names:
        raise errors.BadRecipeError(f"the recipe makes a column {target!r}, which is the target's name; rename one")
    types = {slot.name: slot.type for slot in planner.make_plan(recipe, columns=columns).outputs}
    outputs = [contract.Column(name=name, type=types.get(name, "number")) for name in names]
    return dataclasses.replace(unfitted, outputs=outputs)


def _list_empty(frame: pd.DataFrame) -> list[str]:
    return [repr(name) for name in frame.columns if frame[name].isna().all()]


def _write_notes(fitted: feature_set.FeatureSet, frame: pd.DataFrame, recipe: Recipe, *, rows_left: int) -> list[str]:
    unchanged = [repr(name) for name, raw in fitted.passed.items() if name == raw]
    empty = _list_empty(frame)
    notes = [] if fitted.target else [WITHOUT_TARGET]
    if unchanged:
        notes.append(f"No step changes {', '.join(unchanged)}: passed on as in the data.")
    if empty:
        notes.append(f"No row has a value in {', '.join(empty)}.")
    if rows_left < len(frame):
        notes.append(f"{len(frame) - rows_left} of {len(frame)} rows were left out by filter.")
    if any(isinstance(step, TargetEncode) for step in recipe.steps):
        notes.append(
            "The rows that target_encode learned from were encoded by what was learned from the other folds; applying "
            "the feature set to them again makes other values."
        )
    return notes


def _note_unlisted(fitted: feature_set.FeatureSet, prepared: pd.DataFrame, recipe: Recipe) -> list[str]:
    """Write a note on each column with values that are not among the `categories` of ordinal."""
    if not any(isinstance(step, Ordinal) and step.categories is not None for step in recipe.steps):
        return []
    return [
        f"Column {name!r} holds values that are not among the `categories` of ordinal, such as "
        f"{str(values.iloc[0])[:100]!r}: {len(values)} became -1."
        for name, values in encoders.find_unlisted(fitted.transformer, prepared).items()
    ]
