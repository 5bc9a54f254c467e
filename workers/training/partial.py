"""Lets a fitted model learn from more rows, scoring each part of them just before it is learned from."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import JsonValue
from sklearn import calibration, model_selection, pipeline

from shared import digests, errors
from shared.ml import artifacts, predictions, quantile_models, signatures, surprises, targets
from shared.progress import Progress, no_progress
from shared.training.validations import Metric
from workers.training import fit, models, tables, validation
from workers.training.experiment import Experiment
from workers.training.explanations import explain

Values = targets.Values
LEAST_SCORED_ROWS = 30


@dataclasses.dataclass(frozen=True)
class Updated:
    """A stored model that has learned more; its metrics and curves are from before each part was learned from."""

    metrics: dict[str, Metric]
    rows: int
    details: dict[str, JsonValue]
    warnings: list[str]
    notes: list[str]
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
    """Call `partial_fit` on a stored model with the rows of a Parquet file in order, and write it anew.

    The experiment says the problem and where the truth stands. BadModelError for an estimator that can't learn in
    parts, BadDataError for columns that don't fit and for classes that the model doesn't know.
    """
    model = artifacts.load(stored, sha256=sha256)
    _require_partial(model[-1], name=experiment.estimator.name)
    table = tables.read_table(dataset, experiment=experiment)
    conformed = signatures.conform(table.frame, signature=signature)
    table = dataclasses.replace(table, frame=conformed, **_known_labels(table, model, signature, experiment))
    noticed = surprises.Surprises(signature)
    noticed.observe(conformed)
    with fit.limited(threads) as warned:
        validated = _learn(model, table, experiment=experiment, batches=batches, report=report)
    artifacts.save(model, artifact_path)
    return Updated(
        metrics=validated.metrics,
        rows=len(table.frame),
        details=_details(validated, table, signature, experiment),
        warnings=[*noticed.warnings(), *warned],
        notes=_notes(model[-1], table, experiment),
        sha256=digests.of_file(artifact_path),
        bytes=artifact_path.stat().st_size,
    )


def _require_partial(estimator: Any, *, name: str) -> None:
    if isinstance(estimator, calibration.CalibratedClassifierCV | quantile_models.ConformalModel):
        raise errors.BadModelError(
            f"this {name} was calibrated on its old rows, which more rows would make untrue; train it anew"
        )
    inner = _learning(estimator)
    if isinstance(inner, calibration.CalibratedClassifierCV):
        return _require_partial(inner, name=name)
    if not hasattr(inner, "partial_fit"):
        raise errors.BadModelError(
            f"this {name} can't learn in parts, so it can't be updated; train it anew on all rows, or take one with "
            "partial_fit, such as SGDClassifier, SGDRegressor, GaussianNB, MLPClassifier or MiniBatchKMeans"
        )
    return None


def _learning(estimator: Any) -> Any:
    """Give what learns inside a classifier with a threshold."""
    return estimator.estimator if isinstance(estimator, model_selection.FixedThresholdClassifier) else estimator


def _known_labels(
    table: tables.Table, model: pipeline.Pipeline, signature: signatures.Signature, experiment: Experiment
) -> dict[str, Any]:
    """Give the targets in the model's own terms; BadDataError for labels that it doesn't know."""
    if experiment.setup.problem == "classification" and table.values is not None:
        known, present = targets.to_json(np.asarray(model.classes_)), targets.to_json(table.encoded.labels)
        # By their text, because 1 and true are equal to Python.
        _require_known([f"{label!r}" for label in present], [f"{label!r}" for label in known])
    if experiment.setup.problem == "multilabel" and table.values is not None:
        labels = [str(label) for label in signature["classes"] or []]  # type: ignore[union-attr]
        _require_known([repr(label) for label in table.labels or []], [repr(label) for label in labels])
        values = np.zeros((len(table.values), len(labels)), dtype=table.values.dtype)
        for place, label in enumerate(table.labels or []):
            values[:, labels.index(label)] = table.values[:, place]
        return {"values": values, "labels": labels}
    return {}


def _require_known(present: list[str], known: list[str]) -> None:
    unseen = [label for label in present if label not in known]
    if unseen:
        raise errors.BadDataError(
            f"the target holds {', '.join(unseen[:10])}, which the model never saw; it knows {', '.join(known[:10])}; "
            "leave these rows out, or train it anew"
        )


def _learn(
    model: pipeline.Pipeline,
    table: tables.Table,
    *,
    experiment: Experiment,
    batches: int,
    report: Progress,
) -> validation.Validated:
    parts = np.array_split(np.arange(len(table.frame)), min(batches, len(table.frame)))
    made = []
    for number, rows in enumerate(parts, start=1):
        part = table.take(rows)
        made.append(models.try_model(model, part.frame, experiment=experiment))
        _learn_part(model, part, experiment=experiment)
        report(number / len(parts), f"learned from part {number} of {len(parts)}")
    # Metrics of a few rows say little, and their mean as little: parts that are small are scored together.
    together = np.array_split(np.arange(len(parts)), max(1, min(len(parts), len(table.frame) // LEAST_SCORED_ROWS)))
    scores = [
        validation.score(
            model,
            predictions.Predictions.concatenate([made[place] for place in places]),
            table.take(np.concatenate([parts[place] for place in places])),
            experiment=experiment,
        )
        for places in together
    ]
    kept = [dataclasses.replace(one, features=None) for one in made]
    return validation.Validated(
        validation.summarize(scores), np.concatenate(parts), predictions.Predictions.concatenate(kept)
    )


def _learn_part(model: pipeline.Pipeline, part: tables.Table, *, experiment: Experiment) -> None:
    with models.blame(experiment.estimator.name):
        features = model[:-1].transform(part.frame)
        given = (part.values,) if experiment.setup.has_target else ()
        _learning(model[-1]).partial_fit(features, *given)


def _details(
    validated: validation.Validated,
    table: tables.Table,
    signature: signatures.Signature,
    experiment: Experiment,
) -> dict[str, JsonValue]:
    classes: Any = signature["classes"]
    return explain.capped(
        explain.draw(explain.HeldOut(experiment.setup.problem, table.values, validated.made, classes=classes))
    )


def _notes(estimator: Any, table: tables.Table, experiment: Experiment) -> list[str]:
    notes = ["the metrics are of rows that the model had not learned from yet; the recipe stayed as it was"]
    if isinstance(estimator, model_selection.FixedThresholdClassifier):
        notes.append(f"the threshold stayed as it was, {estimator.threshold:g}")
    if table.left_out:
        named = experiment.setup.target or f"{experiment.setup.targets}"
        notes.append(f"{table.left_out} rows were left out: their target {named!r} is missing")
    return notes
