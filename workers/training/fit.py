"""Trains a model: validates a pipeline of recipe and estimator, fits it on every row, and stores it."""

import dataclasses
import hashlib
import importlib.metadata
import math
import platform
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl
from pydantic import JsonValue
from sklearn import pipeline

from shared import recipe as language
from shared.ml import artifacts, progress, recipes, signatures, targets
from shared.training import contract
from workers.training import experiment as experiments
from workers.training import leaks, limits, models, notices, splits, validation

LIBRARIES = ("numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "skops")


@dataclasses.dataclass(frozen=True)
class TrainedArtifact:
    """A stored model, and all that is to be known of it.

    `parameters` are the estimator's, those left out included; `warnings` say what looks wrong, `notes` what was done.
    """

    metrics: dict[str, contract.Metric]
    rows: int
    classes: list[targets.Label] | None
    signature: signatures.Signature
    recipe: language.Recipe
    dropped: dict[str, str]
    warnings: list[str]
    notes: list[str]
    parameters: dict[str, JsonValue]
    libraries: dict[str, str]
    sha256: str
    bytes: int


@dataclasses.dataclass(frozen=True)
class _Prepared:
    """All that is settled before the first fit: the unfitted model and the columns that it uses."""

    model: pipeline.Pipeline
    table: experiments.Table
    parts: list[splits.Split]
    classes: list[targets.Label] | None
    plan: recipes.InferredRecipe
    notes: list[str]


def train_model(
    dataset: Path,
    *,
    experiment: experiments.Experiment,
    artifact_path: Path,
    threads: int = 1,
    report: progress.Progress = progress.ignore,
) -> TrainedArtifact:
    """Validate and fit a model on a Parquet file and write it to `artifact_path`.

    The same file, experiment and number of threads give the same bits. The model is one pipeline that takes the
    dataset's raw columns. BadDataError, BadRecipeError, BadModelError and LimitExceededError say what would do.
    """
    with threadpoolctl.threadpool_limits(limits=threads), notices.collect() as noticed:
        ready = _prepare(dataset, experiment)
        leaking = leaks.find_leaks(
            ready.table.frame,
            ready.table.values,
            problem=experiment.problem,
            seed=experiment.seed,
            report=_part(report, 0.02, 0.1),
        )
        scores = validation.validate(
            ready.model,
            ready.table,
            problem=experiment.problem,
            parts=ready.parts,
            threads=threads,
            report=_part(report, 0.1, 0.8),
        )
        models.fit_model(ready.model, ready.table.frame, ready.table.values, threads=threads)
    report(0.95, "fitted on every row")
    artifacts.save(ready.model, artifact_path)
    return _describe(ready, experiment, scores=scores, warnings=leaking + noticed, path=artifact_path)


def _prepare(dataset: Path, experiment: experiments.Experiment) -> _Prepared:
    # Whether the parameters make sense doesn't depend on the data, so this comes before reading it.
    estimator = models.make_estimator(experiment.estimator, seed=experiment.seed)
    table = experiments.read_table(dataset, experiment=experiment)
    values = table.values
    parts = splits.make_splits(values, problem=experiment.problem, validation=experiment.validation)
    classes = targets.to_json(np.unique(values)) if experiment.problem == "classification" else None
    notes = models.suit(
        estimator,
        experiment.estimator,
        values=values,
        train_fraction=splits.train_fraction(experiment.validation),
    )
    if table.left_out:
        rows = table.left_out + len(values)
        notes.append(f"{table.left_out} of {rows} rows were left out: their target {experiment.target!r} is missing")
    limits.require_affordable(
        experiment.estimator.name, estimator.get_params(), rows=len(values), classes=len(classes or [])
    )
    plan = _plan(experiment, table)
    transformer = recipes.compile_recipe(plan.recipe, columns=experiment.features, numbers_only=True)
    used = [column.name for column in recipes.used_columns(plan.recipe, columns=experiment.features)]
    return _Prepared(
        model=pipeline.Pipeline([("recipe", transformer), ("estimator", estimator)]),
        table=dataclasses.replace(table, frame=table.frame[used]),
        parts=parts,
        classes=classes,
        plan=plan,
        notes=notes,
    )


def _plan(experiment: experiments.Experiment, table: experiments.Table) -> recipes.InferredRecipe:
    if experiment.recipe is not None:
        return recipes.InferredRecipe(experiment.recipe, dropped={})
    # Types, constants and identifiers are looked up in all rows; what is learned from them is fitted in each fold.
    return recipes.infer_recipe(table.frame, columns=experiment.features, target=None)


def _describe(
    ready: _Prepared,
    experiment: experiments.Experiment,
    *,
    scores: dict[str, contract.Metric],
    warnings: list[str],
    path: Path,
) -> TrainedArtifact:
    signature = signatures.make_signature(
        ready.table.frame,
        columns=recipes.used_columns(ready.plan.recipe, columns=experiment.features),
        target=experiment.target_column,
        problem=experiment.problem,
        classes=ready.classes,
    )
    return TrainedArtifact(
        metrics=scores,
        rows=len(ready.table.values),
        classes=ready.classes,
        signature=signature,
        recipe=ready.plan.recipe,
        dropped=ready.plan.dropped,
        warnings=warnings,
        notes=ready.notes,
        parameters=_parameters(ready.model[-1]),
        libraries={name: importlib.metadata.version(name) for name in LIBRARIES}
        | {"python": platform.python_version()},
        sha256=_sha256(path),
        bytes=path.stat().st_size,
    )


def _part(report: progress.Progress, start: float, length: float) -> progress.Progress:
    """Give a part of a work its share of the whole's progress."""
    return lambda fraction, message: report(start + length * fraction, message)


def _parameters(estimator: Any) -> dict[str, JsonValue]:
    return {name: _to_json(value) for name, value in sorted(estimator.get_params(deep=False).items())}


def _to_json(value: Any) -> JsonValue:
    """Give a parameter's value as JSON has it; a number that is not finite becomes null."""
    if isinstance(value, np.generic | np.ndarray):
        return _to_json(value.tolist())
    if isinstance(value, dict):
        return {targets.text(key): _to_json(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(member) for member in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else f"{value}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
