"""Validates a model on rows that it wasn't fitted on, its recipe fitted anew with it each time."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from sklearn import base, pipeline

from shared.ml import predictions, targets
from shared.ml.metrics import classification, measuring
from shared.progress import Progress, no_progress
from shared.training.validations import Metric
from workers.training import learn, models, tables
from workers.training.experiment import Experiment
from workers.training.splits import outer

Scores = dict[str, float]


@dataclasses.dataclass(frozen=True)
class Validated:
    """Metrics over the folds, and what was predicted out of fold: of `rows`, each once, in the order of the folds."""

    metrics: dict[str, Metric]
    rows: targets.Values
    made: predictions.Predictions


def validate(
    model: pipeline.Pipeline,
    table: tables.Table,
    *,
    experiment: Experiment,
    parts: list[outer.Split],
    threads: int,
    report: Progress = no_progress,
    report_fold: Callable[[int, Scores], None] = lambda _fold, _scores: None,
) -> Validated:
    """Fit a fresh copy of the model on each split's first part and score it on the second.

    `report_fold` is told of each fold's number, from 0, and its scores; what it raises ends the validation.
    """
    scores, kept, rows = [], [], []
    seen = np.zeros(len(table.frame), dtype=bool)
    classes = (
        tables.classes_of(table, problem="classification") if experiment.setup.problem == "classification" else None
    )
    for number, (train, test) in enumerate(parts):
        fold = learn.learn(base.clone(model), table.take(train), experiment=experiment, threads=threads).model
        made = models.try_model(fold, table.frame.iloc[test], experiment=experiment)
        scores.append(score(fold, made, table.take(test), experiment=experiment))
        if not seen[test].any():
            seen[test] = True
            kept.append(_aligned(made, fold, classes))
            rows.append(test)
        report((number + 1) / len(parts), f"validated {number + 1} of {len(parts)}")
        report_fold(number, scores[-1])
    return Validated(summarize(scores), np.concatenate(rows), predictions.Predictions.concatenate(kept))


def score(
    model: pipeline.Pipeline,
    made: predictions.Predictions,
    table: tables.Table,
    *,
    experiment: Experiment,
) -> Scores:
    """Score what a fitted model said of rows."""
    classes: Sequence[targets.Label] | None = table.labels
    if experiment.setup.problem == "classification":
        classes = targets.to_json(model.classes_)
    with models.blame(experiment.estimator.name):
        return measuring.measure(
            experiment.setup.problem,
            truth=table.values,
            made=made,
            classes=classes,
            levels=models.levels(experiment),
            weights=table.weights,
        )


def summarize(scores: list[Scores]) -> dict[str, Metric]:
    """Give mean and deviation of each metric that every fold has."""
    common = [name for name in scores[0] if all(name in score for score in scores)]
    return {name: _metric([score[name] for score in scores]) for name in common}


def _metric(folds: list[float]) -> Metric:
    return Metric(mean=float(np.mean(folds)), std=float(np.std(folds)), folds=folds)


def _aligned(
    made: predictions.Predictions, model: pipeline.Pipeline, classes: list[targets.Label] | None
) -> predictions.Predictions:
    """Give a fold's predictions a column for every class, also for those that it had no row of."""
    made = dataclasses.replace(made, features=None)
    if classes is None:
        return made
    own = targets.to_json(model.classes_)
    if own == classes and (made.decision is None or made.decision.ndim == 1 or made.decision.shape[1] == len(classes)):
        return made
    places = [classes.index(label) for label in own]
    changed = {}
    if made.probability is not None:
        changed["probability"] = np.zeros((len(made.prediction), len(classes)))
        changed["probability"][:, places] = made.probability
    if made.decision is not None:
        decision = classification.to_class_columns(made.decision, len(own))
        changed["decision"] = np.full((len(made.prediction), len(classes)), -np.inf)
        if decision is not None:
            changed["decision"][:, places] = decision
    return dataclasses.replace(made, **changed)
