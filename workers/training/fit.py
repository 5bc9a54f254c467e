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
from workers.training.explanations import explain, model_under_study
from workers.training.splits import outer


@dataclasses.dataclass(frozen=True)
class TrainedArtifact:
    """A stored model, and all that is known of it.

    `parameters` are the estimator's, defaults included; `warnings` say what looks wrong, `notes` what was decided
    automatically; `details` are curves and explanations.
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
    """All that is fixed before the first fit: the unfitted model, the columns that it uses, and the splits."""

    model: pipeline.Pipeline
    table: tables.Table
    splits: list[outer.Split]
    classes: list[targets.Label] | None
    inferred: compiling.InferredRecipe
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
    dataset's raw columns. BadDataError, BadRecipeError, BadModelError and LimitExceededError say what helps.
    """
    with limit_threads(threads) as caught:
        # Whether the parameters make sense doesn't depend on the data, so this comes before reading it.
        models.make_estimator(experiment.estimator, seed=experiment.setup.seed)
        prepared = prepare(tables.read_table(dataset, experiment=experiment), experiment)
        leak_warnings = find_leaks(prepared, experiment, report=progress.subrange(report, 0.02, 0.12))
        validated = validate(prepared, experiment, threads=threads, report=progress.subrange(report, 0.1, 0.8))
        trained = finalize(
            prepared,
            experiment,
            validated=validated,
            artifact_path=artifact_path,
            threads=threads,
            report=progress.subrange(report, 0.8, 1.0),
        )
    return dataclasses.replace(trained, warnings=[*leak_warnings, *caught])


@contextlib.contextmanager
def limit_threads(threads: int) -> Iterator[list[str]]:
    """Limit the libraries' threads, and collect their warnings in the list, which is filled on leaving."""
    with threadpoolctl.threadpool_limits(limits=threads), notices.collect() as caught:
        yield caught


def prepare(table: tables.Table, experiment: Experiment) -> Prepared:
    """Do all that comes before the first fit; raises what `train_model` does."""
    estimator = models.make_estimator(experiment.estimator, seed=experiment.setup.seed)
    splits = outer.make_splits(table, experiment=experiment)
    classes = tables.list_classes(table, problem=experiment.setup.problem)
    fraction = outer.compute_train_fraction(experiment.setup.validation)
    notes = models.adapt_parameters(estimator, table, experiment=experiment, train_fraction=fraction)
    if table.left_out:
        rows = table.left_out + len(table.frame)
        target = experiment.setup.target or f"{experiment.setup.targets}"
        notes.append(f"{table.left_out} of {rows} rows were left out: their target {target!r} is missing")
    limits.require_all_affordable(estimator, experiment=experiment, rows=len(table.frame), classes=classes)
    inferred = _choose_recipe(experiment, table)
    widths.require_affordable(inferred.recipe, table.frame, columns=experiment.features)
    transformer = compiling.compile_recipe(inferred.recipe, columns=experiment.features, numbers_only=True)
    used = [column.name for column in compiling.list_used_columns(inferred.recipe, columns=experiment.features)]
    explain.require_explainable(experiment.setup.problem, table.frame[used], settings=experiment.setup.explain)
    wrapped_estimator = models.wrap_for_problem(estimator, experiment=experiment)
    return Prepared(
        model=pipeline.Pipeline([("recipe", transformer), ("estimator", wrapped_estimator)]),
        table=table.select(used),
        splits=splits,
        classes=classes,
        inferred=inferred,
        notes=notes,
    )


def find_leaks(
    prepared: Prepared, experiment: Experiment, *, report: progress.Progress = progress.no_progress
) -> list[str]:
    """Describe each column that alone predicts the target almost perfectly, in a sentence."""
    if prepared.table.values is None or not experiment.setup.has_target:
        return []
    return leaks.find_leaks(
        prepared.table.frame,
        prepared.table.values,
        problem=experiment.setup.problem,
        seed=experiment.setup.seed,
        groups=prepared.table.groups,
        report=report,
    )


def validate(
    prepared: Prepared,
    experiment: Experiment,
    *,
    threads: int,
    report: progress.Progress = progress.no_progress,
    report_fold: Callable[[int, validation.Scores], None] = lambda _fold, _scores: None,
) -> validation.Validated:
    """Validate the prepared model on its splits."""
    return validation.validate(
        prepared.model,
        prepared.table,
        experiment=experiment,
        splits=prepared.splits,
        threads=threads,
        report=report,
        report_fold=report_fold,
    )


def finalize(
    prepared: Prepared,
    experiment: Experiment,
    *,
    validated: validation.Validated,
    artifact_path: Path,
    threads: int,
    report: progress.Progress = progress.no_progress,
) -> TrainedArtifact:
    """Fit the prepared model on all rows, explain it, and write it to `artifact_path`.

    To be called within `limit_threads`, which has the warnings once it is left; so `warnings` stay empty here.
    """
    fitted = learn.fit_refined(base.clone(prepared.model), prepared.table, experiment=experiment, threads=threads)
    report(0.5, "fitted on all rows")
    details = _explain(
        prepared, experiment, fitted, validated=validated, threads=threads, report=progress.subrange(report, 0.5, 1.0)
    )
    artifacts.save(fitted.model, artifact_path)
    return TrainedArtifact(
        metrics=validated.metrics,
        rows=len(prepared.table.frame),
        classes=prepared.classes,
        signature=_make_signature(prepared, experiment),
        recipe=prepared.inferred.recipe,
        dropped=prepared.inferred.dropped,
        warnings=[],
        notes=prepared.notes,
        details=details,
        estimator=experiment.estimator.name,
        parameters=_read_parameters(prepared.model[-1]),
        libraries=libraries.versions_for(experiment.estimator.name),
        sha256=digests.of_file(artifact_path),
        bytes=artifact_path.stat().st_size,
    )


def _choose_recipe(experiment: Experiment, table: tables.Table) -> compiling.InferredRecipe:
    if experiment.recipe is not None:
        return compiling.InferredRecipe(experiment.recipe, dropped={})
    # Types, constants and identifiers are looked up in all rows; what is learned from them is fitted in each fold.
    return compiling.infer_recipe(table.frame, columns=experiment.features, target=None)


def _explain(
    prepared: Prepared,
    experiment: Experiment,
    fitted: refine.Refined,
    *,
    validated: validation.Validated,
    threads: int,
    report: progress.Progress,
) -> dict[str, JsonValue]:
    held_out = prepared.table.take(validated.rows)
    return explain.explain(
        fitted.model,
        explain.HeldOut(
            experiment.setup.problem,
            truth=held_out.values,
            predicted=validated.predicted,
            classes=prepared.classes,
            levels=models.list_quantiles(experiment),
            weights=held_out.weights,
        ),
        study=_make_study(prepared, experiment, threads=threads),
        settings=experiment.setup.explain,
        refined=fitted.details,
        shuffled=experiment.setup.time is None,
        report=report,
    )


def _make_study(prepared: Prepared, experiment: Experiment, *, threads: int) -> model_under_study.ModelUnderStudy:
    def fit_fresh(rows: targets.Values) -> pipeline.Pipeline:
        training_rows = prepared.table.take(rows)
        return learn.fit_refined(
            base.clone(prepared.model), training_rows, experiment=experiment, threads=threads
        ).model

    def score(model: pipeline.Pipeline, frame: pd.DataFrame, rows: targets.Values) -> validation.Scores:
        predicted = models.predict_unseen(model, frame, experiment=experiment)
        return validation.score(model, predicted, prepared.table.take(rows), experiment=experiment)

    return model_under_study.ModelUnderStudy(
        problem=experiment.setup.problem,
        frame=prepared.table.frame,
        splits=prepared.splits,
        fit=fit_fresh,
        score=score,
        seed=experiment.setup.seed,
    )


def _make_signature(prepared: Prepared, experiment: Experiment) -> signatures.Signature:
    return signatures.make_signature(
        prepared.table.frame,
        columns=compiling.list_used_columns(prepared.inferred.recipe, columns=experiment.features),
        problem=experiment.setup.problem,
        target=experiment.target_column,
        classes=prepared.classes,
        targets=None if experiment.setup.targets is None else [*experiment.setup.targets],
        separator=experiment.setup.list_separator,
        quantiles=[*models.list_quantiles(experiment)] or None,
        confidence=None if experiment.setup.conformal is None else experiment.setup.conformal.confidence,
    )


def _read_parameters(estimator: Any) -> dict[str, JsonValue]:
    """Read the estimator's own parameters, without those of a wrapper around it."""
    if isinstance(estimator, multioutput.MultiOutputClassifier | quantile_models.QuantileModels):
        estimator = estimator.estimator
    return {name: _to_json(value) for name, value in sorted(estimator.get_params(deep=False).items())}


def _to_json(value: Any) -> JsonValue:
    """Convert a parameter's value to JSON; a number that is not finite becomes null."""
    if isinstance(value, np.generic | np.ndarray):
        return _to_json(value.tolist())
    if isinstance(value, dict):
        return {targets.format_label(key): _to_json(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(member) for member in value]
    if isinstance(value, base.BaseEstimator):
        return {"name": type(value).__name__, "params": _read_parameters(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else f"{value}"
