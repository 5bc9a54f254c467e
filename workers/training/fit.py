"""Trains a model: validates a pipeline of recipe and estimator, fits it on every row, and stores it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from pydantic import JsonValue
from sklearn import base, pipeline

from shared import digests, progress
from shared.ml import artifacts, predictions, signatures, targets
from shared.ml.metrics import sections
from shared.ml.recipes import compiling, widths
from shared.recipe import compatibility, conditions
from shared.recipe.language import Recipe
from shared.training.validations import Metric
from workers import memory
from workers.training import clusters, leaks, learn, libraries, limits, models, parameters, refine, tables, validation
from workers.training.experiment import Experiment
from workers.training.explanations import explain, model_under_study
from workers.training.splits import outer


@dataclasses.dataclass(frozen=True)
class TrainedArtifact:
    """A stored model, and all that is known of it.

    `parameters` are the estimator's, defaults included; `warnings` say what looks wrong, `notes` what was decided
    automatically; `details` are curves and explanations. `kept` counts what a condition kept, if there was one.
    """

    metrics: dict[str, Metric]
    rows: int
    classes: list[targets.Label] | None
    positive: targets.Label | None
    signature: signatures.Signature
    recipe: Recipe
    dropped: dict[str, str]
    warnings: list[str]
    notes: list[str]
    kept: conditions.KeptRows | None
    details: dict[str, JsonValue]
    estimator: str
    parameters: dict[str, JsonValue]
    libraries: dict[str, str]
    sha256: str
    bytes: int


@dataclasses.dataclass(frozen=True)
class Prepared:
    """All that is fixed before the first fit: the unfitted model, the columns that it uses, and the splits.

    `exact` are the columns whose integers the model takes exactly.
    """

    model: pipeline.Pipeline
    table: tables.Table
    splits: list[outer.Split]
    classes: list[targets.Label] | None
    inferred: compiling.InferredRecipe
    notes: list[str]
    exact: frozenset[str]


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
    with libraries.limit_threads(threads) as caught:
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


def prepare(table: tables.Table, experiment: Experiment) -> Prepared:
    """Do all that comes before the first fit; raises what `train_model` does."""
    estimator = models.make_estimator(experiment.estimator, seed=experiment.setup.seed)
    splits = outer.make_splits(table, experiment=experiment)
    classes = tables.list_classes(table, problem=experiment.setup.problem)
    fraction = outer.compute_train_fraction(experiment.setup.validation, splits, rows=len(table.frame))
    table, notes = tables.choose_positive(table, setup=experiment.setup)
    if table.kept is not None:
        notes.append(table.kept.describe())
    notes += outer.list_notes(experiment.setup.validation, splits)
    notes += models.adapt_parameters(estimator, table, experiment=experiment, train_fraction=fraction)
    if experiment.setup.list_separator and experiment.setup.target and table.values is not None:
        notes += targets.describe_unlabelled(table.values, name=experiment.setup.target)
    if table.left_out:
        rows = table.left_out + len(table.frame)
        target = experiment.setup.target or f"{experiment.setup.targets}"
        notes.append(f"{table.left_out} of {rows} rows were left out: their target {target!r} is missing")
    limits.require_all_affordable(estimator, experiment=experiment, rows=len(table.frame), classes=classes)
    inferred = _choose_recipe(experiment, table)
    compatibility.check_for_model(inferred.recipe, columns=experiment.features, targets=experiment.setup.target_names)
    sizes = widths.Limits(len(table.frame), classes=len(classes or []), max_bytes=memory.current_bytes())
    widths.require_affordable(inferred.recipe, table.frame, columns=experiment.features, limits=sizes)
    widths.require_countable(inferred.recipe, table.frame, columns=experiment.features)
    exact = compiling.list_exact(inferred.recipe, table.frame, columns=experiment.features)
    transformer = compiling.compile_recipe(
        inferred.recipe,
        columns=experiment.features,
        targets=experiment.setup.target_names,
        numbers_only=True,
        exact=exact,
    )
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
        exact=exact,
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
    report_fold: Callable[[int, validation.FoldScores], None] = lambda _fold, _scores: None,
    observe: Callable[[predictions.Predictions, targets.Values], None] = lambda _predicted, _rows: None,
) -> validation.Validated:
    """Validate the prepared model on its splits; see `validation.validate`."""
    return validation.validate(
        prepared.model,
        prepared.table,
        experiment=experiment,
        splits=prepared.splits,
        threads=threads,
        report=report,
        report_fold=report_fold,
        observe=observe,
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

    To be called within `libraries.limit_threads`, which has the warnings once it is left; so `warnings` are empty here.
    """
    fitted = learn.fit_refined(base.clone(prepared.model), prepared.table, experiment=experiment, threads=threads)
    report(0.5, "fitted on all rows")
    all_rows = clusters.measure_all_rows(fitted.model, prepared.table, experiment=experiment)
    if all_rows is not None:
        fitted = dataclasses.replace(fitted, details={**fitted.details, "all_rows": all_rows.model_dump(mode="json")})
    details = _explain(
        prepared, experiment, fitted, validated=validated, threads=threads, report=progress.subrange(report, 0.5, 1.0)
    )
    artifacts.save(fitted.model, artifact_path)
    return TrainedArtifact(
        metrics=validated.metrics,
        rows=len(prepared.table.frame),
        classes=prepared.classes,
        positive=prepared.table.positive,
        signature=make_signature(prepared, experiment),
        recipe=prepared.inferred.recipe,
        dropped=prepared.inferred.dropped,
        warnings=[],
        notes=prepared.notes,
        kept=prepared.table.kept,
        details=details,
        estimator=experiment.estimator.name,
        parameters=parameters.read(prepared.model[-1]),
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
        sections.HeldOut(
            experiment.setup.problem,
            truth=held_out.values,
            predicted=validated.predicted,
            classes=prepared.classes,
            positive=held_out.positive,
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
        positive=prepared.table.positive,
    )


def make_signature(prepared: Prepared, experiment: Experiment) -> signatures.Signature:
    """Describe what the prepared model takes and predicts."""
    return signatures.make_signature(
        prepared.table.frame,
        columns=compiling.list_used_columns(prepared.inferred.recipe, columns=experiment.features),
        exact=prepared.exact,
        problem=experiment.setup.problem,
        target=experiment.target_column,
        classes=prepared.classes,
        positive=prepared.table.positive,
        targets=None if experiment.setup.targets is None else [*experiment.setup.targets],
        separator=experiment.setup.list_separator,
        quantiles=[*models.list_quantiles(experiment)] or None,
        confidence=None if experiment.setup.conformal is None else experiment.setup.conformal.confidence,
    )
