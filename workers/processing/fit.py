"""Fits a recipe on a dataset, and applies it to that dataset."""

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd

from shared import contract, digests, errors
from shared.ml import encoders, frames, notices
from shared.ml.recipes import compiling, widths
from shared.progress import Progress, no_progress
from shared.recipe.categories import Ordinal, TargetEncode
from shared.recipe.language import Recipe
from workers.processing import feature_set, truth


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
    truth_column = _find_target(target, columns)
    given = [column for column in columns if column.name != target]
    unfitted = _unfitted(recipe, given, truth_column)
    progress(0.0, "reading the dataset")
    frame = _read(dataset, unfitted, recipe, given)
    known = _read_truth(dataset, recipe, truth_column, problem)
    progress(0.1, "fitting the recipe")
    with notices.collect() as noticed:
        prepared = unfitted.prepare(frame)
        made = _fit(unfitted.transformer, prepared, known)
    fitted = _fitted(unfitted, recipe, given)
    notes = _notes(fitted, frame, recipe, left=len(prepared)) + _unlisted(fitted, prepared, recipe) + noticed
    del frame, prepared
    fitted.save(transformer_path)
    if made is None:
        written = fitted.transform(
            dataset,
            output_path=output_path,
            batch_rows=batch_rows,
            progress=lambda fraction, message: progress(0.3 + 0.7 * fraction, message),
        )
    else:
        written = fitted.write_made(dataset, made, output_path=output_path)
        progress(1.0, f"{written.rows} rows transformed")
    return FittedFeatures(
        transformer_sha256=digests.of_file(transformer_path),
        transformer_bytes=transformer_path.stat().st_size,
        features=[column.name for column in fitted.outputs],
        columns=written.columns,
        rows=written.rows,
        bytes=written.bytes,
        sha256=written.sha256,
        notes=notes + fitted.rounded(output_path),
    )


def _find_target(target: str | None, columns: list[contract.Column]) -> contract.Column | None:
    if target is None:
        return None
    frames.require_columns([target], present=[column.name for column in columns])
    return next(column for column in columns if column.name == target)


def _unfitted(wanted: Recipe, given: list[contract.Column], target: contract.Column | None) -> feature_set.FeatureSet:
    """Settle all that does not depend on the data."""
    passed = {
        slot.name: slot.raw for slot in compiling.make_plan(wanted, columns=given).outputs if slot.raw is not None
    }
    return feature_set.FeatureSet(
        transformer=compiling.compile_rest(wanted, columns=given).set_output(transform="pandas"),
        inputs=compiling.used_columns(wanted, columns=given),
        outputs=[],
        passed=passed,
        target=target,
        prefix=feature_set.Prefix(wanted, given) if wanted.table_steps else None,
    )


def _read(
    dataset: Path, unfitted: feature_set.FeatureSet, wanted: Recipe, given: list[contract.Column]
) -> pd.DataFrame:
    if unfitted.prefix and unfitted.prefix.needs_whole:
        feature_set.require_room(frames.count_rows(dataset), len(unfitted.inputs))
    frame = frames.read_frame(dataset, columns=[column.name for column in unfitted.inputs])
    if frame.empty:
        raise errors.BadDataError("the dataset has no rows; a recipe needs one at least")
    widths.require_affordable(wanted, frame, columns=given)
    return frame


def _read_truth(
    dataset: Path, wanted: Recipe, target: contract.Column | None, problem: truth.Problem | None
) -> truth.Truth | None:
    """Read the target when a step learns from it."""
    if not wanted.needs_target:
        return None
    if target is None:
        raise errors.BadRecipeError("a step learns from a target, but none is named; give `target`")
    return truth.read_truth(dataset, target=target, problem=problem)


def _fit(transformer: Any, frame: pd.DataFrame, known: truth.Truth | None) -> pd.DataFrame | None:
    """Fit the transformer; gives what it makes of the rows when that is not what it will make of them later."""
    if frame.empty:
        raise errors.BadDataError("the filter leaves no row, so there is nothing to fit")
    try:
        if known is not None:
            return _fit_to_target(transformer, frame, known)
        transformer.fit(frame)
    except ValueError as error:
        empty = _empty(frame)
        hint = f" (no row has a value in {', '.join(empty)})" if empty else ""
        raise errors.BadRecipeError(f"the recipe can't be fitted to this data: {error}{hint}") from error
    return None


def _fit_to_target(transformer: Any, frame: pd.DataFrame, known: truth.Truth) -> pd.DataFrame:
    """Fit on the rows whose target is known, and make features of all."""
    values, has_target = known.of(frame.index.to_numpy())
    if not has_target.any():
        raise errors.BadDataError("no row that is left has a target, so there is nothing to learn from")
    made: pd.DataFrame = transformer.fit_transform(frame[has_target], values)
    if has_target.all():
        return made
    rest = encoders.transform(transformer, frame[~has_target])
    return pd.concat([made, rest]).loc[frame.index]


def _fitted(unfitted: feature_set.FeatureSet, wanted: Recipe, given: list[contract.Column]) -> feature_set.FeatureSet:
    """Name what the fitted transformer makes, with its types."""
    names = [str(name) for name in unfitted.transformer.get_feature_names_out()]
    target = unfitted.target.name if unfitted.target else None
    if target in names:
        raise errors.BadRecipeError(f"the recipe makes a column {target!r}, which is the target's name; rename one")
    types = {slot.name: slot.type for slot in compiling.make_plan(wanted, columns=given).outputs}
    outputs = [contract.Column(name=name, type=types.get(name, "number")) for name in names]
    return dataclasses.replace(unfitted, outputs=outputs)


def _empty(frame: pd.DataFrame) -> list[str]:
    return [repr(name) for name in frame.columns if frame[name].isna().all()]


def _notes(fitted: feature_set.FeatureSet, frame: pd.DataFrame, wanted: Recipe, *, left: int) -> list[str]:
    untouched = [repr(name) for name, raw in fitted.passed.items() if name == raw]
    empty = _empty(frame)
    notes = []
    if untouched:
        notes.append(f"No step changes {', '.join(untouched)}: passed on as in the data.")
    if empty:
        notes.append(f"No row has a value in {', '.join(empty)}.")
    if left < len(frame):
        notes.append(f"{len(frame) - left} of {len(frame)} rows were left out by filter.")
    if any(isinstance(step, TargetEncode) for step in wanted.steps):
        notes.append(
            "The rows that target_encode learned from were encoded by what the other folds taught; applying the "
            "feature set to them again gives other values."
        )
    return notes


def _unlisted(fitted: feature_set.FeatureSet, prepared: pd.DataFrame, wanted: Recipe) -> list[str]:
    """Say which values are not among the categories that ordinal was given."""
    if not any(isinstance(step, Ordinal) and step.categories is not None for step in wanted.steps):
        return []
    return [
        f"Column {name!r} holds values that are not among the `categories` of ordinal, such as "
        f"{str(values.iloc[0])[:100]!r}: {len(values)} became -1."
        for name, values in encoders.unlisted(fitted.transformer, prepared).items()
    ]
