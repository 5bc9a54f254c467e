"""Lets a fitted model learn from more rows in batches; each batch is scored just before the model learns from it."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import JsonValue
from sklearn import calibration, model_selection, pipeline

from shared import digests, errors, positive_class
from shared.ml import artifacts, integer_texts, predictions, quantile_models, signatures, targets
from shared.ml.metrics import sections
from shared.ml.values import lost_values, unexpected_values
from shared.progress import Progress, no_progress
from shared.recipe import conditions
from shared.training.details import Details
from shared.training.validations import Metric
from workers.training import libraries, models, tables, validation
from workers.training.experiment import Experiment

Values = targets.Values
MIN_SCORED_ROWS = 30


@dataclasses.dataclass(frozen=True)
class Updated:
    """A stored model that has learned more; its metrics and curves are of each batch before it was learned from."""

    metrics: dict[str, Metric]
    rows: int
    details: dict[str, JsonValue]
    warnings: list[str]
    notes: list[str]
    kept: conditions.KeptRows | None
    sha256: str
    bytes: int


def update_model(
    stored: Path,
    *,
    sha256: str,
    signature: signatures.Signature,
    dataset: Path,
    experiment: Experiment,
    batches: int,
    artifact_path: Path,
    threads: int = 1,
    report: Progress = no_progress,
) -> Updated:
    """Call `partial_fit` on a stored model with the rows of a Parquet file in order, and write it to a new file.

    The experiment has the problem and the target columns. BadModelError for an estimator without `partial_fit`,
    BadDataError for columns that don't match the signature and for classes that the model doesn't know.
    """
    model = artifacts.load(stored, sha256=sha256)
    _require_partial(model[-1], name=experiment.estimator.name)
    texts = integer_texts.IntegerTexts.of_signature(signature, target=experiment.setup.target)
    table = tables.read_table(dataset, experiment=experiment, texts=texts)
    frame = signatures.conform(table.frame, signature=signature)
    table = dataclasses.replace(table, frame=frame, **_align_labels(table, model, signature, experiment))
    unexpected = unexpected_values.UnexpectedValues(signature)
    unexpected.observe(frame)
    with libraries.limit_threads(threads, in_batches=True) as caught:
        validated = _learn_batches(model, table, experiment=experiment, batches=batches, report=report)
    artifacts.save(model, artifact_path)
    return Updated(
        metrics=validated.metrics,
        rows=len(table.frame),
        details=_make_details(validated, table, signature, experiment),
        warnings=[*texts.notes(), *unexpected.warnings(), *caught],
        notes=_make_notes(model[-1], table, experiment),
        kept=table.kept,
        sha256=digests.of_file(artifact_path),
        bytes=artifact_path.stat().st_size,
    )


def _require_partial(estimator: Any, *, name: str) -> None:
    if isinstance(estimator, calibration.CalibratedClassifierCV | quantile_models.ConformalModel):
        raise errors.BadModelError(
            f"this {name} was calibrated on its old rows, which more rows would invalidate; train it again"
        )
    learner = _unwrap_threshold(estimator)
    if isinstance(learner, calibration.CalibratedClassifierCV):
        return _require_partial(learner, name=name)
    if not hasattr(learner, "partial_fit"):
        raise errors.BadModelError(
            f"this {name} has no partial_fit, so it can't be updated; train it again on all rows, or use an estimator "
            "that has it, such as SGDClassifier, SGDRegressor, GaussianNB, MLPClassifier or MiniBatchKMeans"
        )
    return None


def _unwrap_threshold(estimator: Any) -> Any:
    """Return the estimator inside a classifier with a threshold, or else the estimator itself."""
    return estimator.estimator if isinstance(estimator, model_selection.FixedThresholdClassifier) else estimator


def _align_labels(
    table: tables.Table, model: pipeline.Pipeline, signature: signatures.Signature, experiment: Experiment
) -> dict[str, Any]:
    """Align the targets with the model's labels; BadDataError for labels that it doesn't know."""
    if experiment.setup.problem == "classification" and table.values is not None:
        model_labels, present = targets.to_json(np.asarray(model.classes_)), targets.to_json(table.encoded.labels)
        # Compared by their texts, because 1 and true are equal to Python.
        _refuse_unknown_labels([f"{label!r}" for label in present], [f"{label!r}" for label in model_labels])
        return {"positive": positive_class.of_signature(signature)}
    if experiment.setup.problem == "multilabel" and table.values is not None:
        labels = [str(label) for label in signature["classes"] or []]  # type: ignore[union-attr]
        _refuse_unknown_labels([repr(label) for label in table.labels or []], [repr(label) for label in labels])
        values = np.zeros((len(table.values), len(labels)), dtype=table.values.dtype)
        for column, label in enumerate(table.labels or []):
            values[:, labels.index(label)] = table.values[:, column]
        return {"values": values, "labels": labels}
    return {}


def _refuse_unknown_labels(present: list[str], known_labels: list[str]) -> None:
    unseen = [label for label in present if label not in known_labels]
    if unseen:
        raise errors.BadDataError(
            f"the target holds {', '.join(unseen[:10])}, which the model never saw; it knows "
            f"{', '.join(known_labels[:10])}; leave these rows out, or train it again"
        )


def _learn_batches(
    model: pipeline.Pipeline,
    table: tables.Table,
    *,
    experiment: Experiment,
    batches: int,
    report: Progress,
) -> validation.Validated:
    batch_rows = np.array_split(np.arange(len(table.frame)), min(batches, len(table.frame)))
    predicted = []
    for number, rows in enumerate(batch_rows, start=1):
        batch = table.take(rows)
        predicted.append(models.predict_unseen(model, batch.frame, experiment=experiment))
        # The prediction has counted what the recipe can't read of these rows.
        with lost_values.counted():
            _learn_batch(model, batch, experiment=experiment)
        report(number / len(batch_rows), f"learned from batch {number} of {len(batch_rows)}")
    # Metrics of a few rows are noise, and so is their mean: small batches are scored together.
    groups = np.array_split(
        np.arange(len(batch_rows)), max(1, min(len(batch_rows), len(table.frame) // MIN_SCORED_ROWS))
    )
    scores = [
        validation.score_fold(
            model,
            predictions.Predictions.concatenate([predicted[index] for index in group]),
            table.take(np.concatenate([batch_rows[index] for index in group])),
            experiment=experiment,
        )
        for group in groups
    ]
    # The features are for the metrics of clusterings only, which are computed by now.
    stripped = [dataclasses.replace(batch_predictions, features=None) for batch_predictions in predicted]
    return validation.Validated(
        validation.summarize(scores), np.concatenate(batch_rows), predictions.Predictions.concatenate(stripped)
    )


def _learn_batch(model: pipeline.Pipeline, batch: tables.Table, *, experiment: Experiment) -> None:
    with models.translate_errors(experiment.estimator.name):
        features = model[:-1].transform(batch.frame)
        target = (batch.values,) if experiment.setup.has_target else ()
        _unwrap_threshold(model[-1]).partial_fit(features, *target)


def _make_details(
    validated: validation.Validated,
    table: tables.Table,
    signature: signatures.Signature,
    experiment: Experiment,
) -> dict[str, JsonValue]:
    classes: Any = signature["classes"]
    held_out = sections.HeldOut(
        experiment.setup.problem, table.values, validated.predicted, classes=classes, positive=table.positive
    )
    return sections.cap_size(sections.draw(held_out), document=Details)


def _make_notes(estimator: Any, table: tables.Table, experiment: Experiment) -> list[str]:
    notes = ["the metrics are for rows that the model had not learned from yet; the recipe stayed as it was"]
    if table.kept is not None:
        notes.append(table.kept.describe())
    if isinstance(estimator, model_selection.FixedThresholdClassifier):
        notes.append(f"the threshold stayed as it was, {estimator.threshold:g}")
    if table.left_out:
        target = experiment.setup.target or f"{experiment.setup.targets}"
        notes.append(f"{table.left_out} rows were left out: their target {target!r} is missing")
    return notes
