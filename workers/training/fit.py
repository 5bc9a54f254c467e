"""Trains a model: validates a pipeline of recipe and estimator, fits it on every row, and stores it."""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import threadpoolctl
from pydantic import JsonValue
from sklearn import base, multioutput, pipeline

from shared import digests, progress
from shared.ml import artifacts, notices, quantile_models, signatures, targets
from shared.ml.recipes import compiling, widths
from shared.recipe.language import Recipe
from shared.training.validations import Metric
from workers.training import leaks, learn, libraries, limits, models, refine, tables, validation
from workers.training.experiment import Experiment
from workers.training.explanations import explain, lab
from workers.training.splits import outer


@dataclasses.dataclass(frozen=True)
class TrainedArtifact:
    """A stored model, and all that is to be known of it.

    `parameters` are the estimator's, those left out included; `warnings` say what looks wrong, `notes` what was done;
    `details` are curves and explanations.
    """

    metrics: dict[str, Metric]
    rows: int
    classes: list[targets.Label] | None
    signature: signatures.Signature
    recipe: Recipe
    dropped: dict[str, str]
    warnings: list[str]
    notes: list[str]
    details: dict[str, JsonValue]
    estimator: str
    parameters: dict[str, JsonValue]
    libraries: dict[str, str]
    sha256: str
    bytes: int


@dataclasses.dataclass(frozen=True)
class Prepared:
    """All that is settled before the first fit: the unfitted model, the columns that it uses, and the splits."""

    model: pipeline.Pipeline
    table: tables.Table
    parts: list[outer.Split]
    classes: list[targets.Label] | None
    plan: compiling.InferredRecipe
    notes: list[str]


def train_model(
    dataset: Path,
    *,
    experiment: Experiment,
    artifact_path: Path,
    threads: int = 1,
    report: progress.Progress = progress.no_progress,
) -> TrainedArtifact:
    """Validate and fit a model on a Parquet file and write it to `artifact_path`.

    The same file, experiment and number of threads give the same bits. The model is one pipeline that takes the
    dataset's raw columns. BadDataError, BadRecipeError, BadModelError and LimitExceededError say what would do.
    """
    with limited(threads) as noticed:
        # Whether the parameters make sense doesn't depend on the data, so this comes before reading it.
        models.make_estimator(experiment.estimator, seed=experiment.setup.seed)
        ready = prepare(tables.read_table(dataset, experiment=experiment), experiment)
        leaking = find_leaks(ready, experiment, report=progress.subrange(report, 0.02, 0.12))
        validated = validate(ready, experiment, threads=threads, report=progress.subrange(report, 0.1, 0.8))
        trained = finalize(
            ready,
            experiment,
            validated=validated,
            artifact_path=artifact_path,
            threads=threads,
            report=progress.subrange(report, 0.8, 1.0),
        )
    return dataclasses.replace(trained, warnings=[*leaking, *noticed])


@contextlib.contextmanager
def limited(threads: int) -> Iterator[list[str]]:
    """Let the libraries use so many threads, and fill the list with what they warn of."""
    with threadpoolctl.threadpool_limits(limits=threads), notices.collect() as noticed:
        yield noticed


def prepare(table: tables.Table, experiment: Experiment) -> Prepared:
    """Settle all that comes before the first fit; raises what `train_model` does."""
    estimator = models.make_estimator(experiment.estimator, seed=experiment.setup.seed)
    parts = outer.make_splits(table, experiment=experiment)
    classes = tables.classes_of(table, problem=experiment.setup.problem)
    fraction = outer.train_fraction(experiment.setup.validation)
    notes = models.suit(estimator, table, experiment=experiment, train_fraction=fraction)
    if table.left_out:
        rows = table.left_out + len(table.frame)
        named = experiment.setup.target or f"{experiment.setup.targets}"
        notes.append(f"{table.left_out} of {rows} rows were left out: their target {named!r} is missing")
    limits.require_all_affordable(estimator, experiment=experiment, rows=len(table.frame), classes=classes)
    plan = _plan(experiment, table)
    widths.require_affordable(plan.recipe, table.frame, columns=experiment.features)
    transformer = compiling.compile_recipe(plan.recipe, columns=experiment.features, numbers_only=True)
    used = [column.name for column in compiling.used_columns(plan.recipe, columns=experiment.features)]
    explain.require(experiment.setup.problem, table.frame[used], wanted=experiment.setup.explain)
    wrapped = models.for_problem(estimator, experiment=experiment)
    return Prepared(
        model=pipeline.Pipeline([("recipe", transformer), ("estimator", wrapped)]),
        table=table.select(used),
        parts=parts,
        classes=classes,
        plan=plan,
        notes=notes,
    )


def find_leaks(
    ready: Prepared, experiment: Experiment, *, report: progress.Progress = progress.no_progress
) -> list[str]:
    """Give a sentence for each column that alone predicts the target almost perfectly."""
    if ready.table.values is None or not experiment.setup.has_target:
        return []
    return leaks.find_leaks(
        ready.table.frame,
        ready.table.values,
        problem=experiment.setup.problem,
        seed=experiment.setup.seed,
        groups=ready.table.groups,
        report=report,
    )


def validate(
    ready: Prepared,
    experiment: Experiment,
    *,
    threads: int,
    report: progress.Progress = progress.no_progress,
    report_fold: Callable[[int, validation.Scores], None] = lambda _fold, _scores: None,
) -> validation.Validated:
    """Validate what was prepared, on its splits."""
    return validation.validate(
        ready.model,
        ready.table,
        experiment=experiment,
        parts=ready.parts,
        threads=threads,
        report=report,
        report_fold=report_fold,
    )


def finalize(
    ready: Prepared,
    experiment: Experiment,
    *,
    validated: validation.Validated,
    artifact_path: Path,
    threads: int,
    report: progress.Progress = progress.no_progress,
) -> TrainedArtifact:
    """Fit what was prepared on every row, explain it, and write it to `artifact_path`.

    To be called within `limited`, which alone knows the warnings when it is left.
    """
    fitted = learn.learn(base.clone(ready.model), ready.table, experiment=experiment, threads=threads)
    report(0.5, "fitted on every row")
    details = _explain(
        ready, experiment, fitted, validated=validated, threads=threads, report=progress.subrange(report, 0.5, 1.0)
    )
    artifacts.save(fitted.model, artifact_path)
    return TrainedArtifact(
        metrics=validated.metrics,
        rows=len(ready.table.frame),
        classes=ready.classes,
        signature=_signature(ready, experiment),
        recipe=ready.plan.recipe,
        dropped=ready.plan.dropped,
        warnings=[],
        notes=ready.notes,
        details=details,
        estimator=experiment.estimator.name,
        parameters=_parameters(ready.model[-1]),
        libraries=libraries.versions_for(experiment.estimator.name),
        sha256=digests.of_file(artifact_path),
        bytes=artifact_path.stat().st_size,
    )


def _plan(experiment: Experiment, table: tables.Table) -> compiling.InferredRecipe:
    if experiment.recipe is not None:
        return compiling.InferredRecipe(experiment.recipe, dropped={})
    # Types, constants and identifiers are looked up in all rows; what is learned from them is fitted in each fold.
    return compiling.infer_recipe(table.frame, columns=experiment.features, target=None)


def _explain(
    ready: Prepared,
    experiment: Experiment,
    fitted: refine.Refined,
    *,
    validated: validation.Validated,
    threads: int,
    report: progress.Progress,
) -> dict[str, JsonValue]:
    held_out = ready.table.take(validated.rows)
    return explain.explain(
        fitted.model,
        explain.HeldOut(
            experiment.setup.problem,
            truth=held_out.values,
            made=validated.made,
            classes=ready.classes,
            levels=models.levels(experiment),
            weights=held_out.weights,
        ),
        lab=_lab(ready, experiment, threads=threads),
        wanted=experiment.setup.explain,
        refined=fitted.details,
        shuffled=experiment.setup.time is None,
        report=report,
    )


def _lab(ready: Prepared, experiment: Experiment, *, threads: int) -> lab.Lab:
    def fresh(rows: targets.Values) -> pipeline.Pipeline:
        part = ready.table.take(rows)
        return learn.learn(base.clone(ready.model), part, experiment=experiment, threads=threads).model

    def score(model: pipeline.Pipeline, frame: pd.DataFrame, rows: targets.Values) -> validation.Scores:
        made = models.try_model(model, frame, experiment=experiment)
        return validation.score(model, made, ready.table.take(rows), experiment=experiment)

    return lab.Lab(experiment.setup.problem, ready.table.frame, ready.parts, fresh, score, seed=experiment.setup.seed)


def _signature(ready: Prepared, experiment: Experiment) -> signatures.Signature:
    return signatures.make_signature(
        ready.table.frame,
        columns=compiling.used_columns(ready.plan.recipe, columns=experiment.features),
        problem=experiment.setup.problem,
        target=experiment.target_column,
        classes=ready.classes,
        targets=None if experiment.setup.targets is None else [*experiment.setup.targets],
        separator=experiment.setup.list_separator,
        quantiles=[*models.levels(experiment)] or None,
        confidence=None if experiment.setup.conformal is None else experiment.setup.conformal.confidence,
    )


def _parameters(estimator: Any) -> dict[str, JsonValue]:
    """Give the estimator's own parameters, without what the problem wraps around it."""
    if isinstance(estimator, multioutput.MultiOutputClassifier | quantile_models.QuantileModels):
        estimator = estimator.estimator
    return {name: _to_json(value) for name, value in sorted(estimator.get_params(deep=False).items())}


def _to_json(value: Any) -> JsonValue:
    """Give a parameter's value as JSON has it; a number that is not finite becomes null."""
    if isinstance(value, np.generic | np.ndarray):
        return _to_json(value.tolist())
    if isinstance(value, dict):
        return {targets.format_label(key): _to_json(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(member) for member in value]
    if isinstance(value, base.BaseEstimator):
        return {"name": type(value).__name__, "params": _parameters(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else f"{value}"
