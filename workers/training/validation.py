"""Validates a model on rows that it wasn't fitted on; its recipe is fitted again for each split."""

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
    """Metrics over the folds, and out-of-fold predictions: of `rows`, each once, in the order of the folds."""

    metrics: dict[str, Metric]
    rows: targets.Values
    predicted: predictions.Predictions


def validate(
    model: pipeline.Pipeline,
    table: tables.Table,
    *,
    experiment: Experiment,
    splits: list[outer.Split],
    threads: int,
    report: Progress = no_progress,
    report_fold: Callable[[int, Scores], None] = lambda _fold, _scores: None,
) -> Validated:
    """Fit a fresh copy of the model on each split's training rows and score it on the test rows.

    `report_fold` receives each fold's number, from 0, and its scores; what it raises ends the validation.
    """
    scores, fold_predictions, rows = [], [], []
    is_predicted = np.zeros(len(table.frame), dtype=bool)
    classes = (
        tables.list_classes(table, problem="classification") if experiment.setup.problem == "classification" else None
    )
    for number, (train, test) in enumerate(splits):
        fold = learn.fit_refined(base.clone(model), table.take(train), experiment=experiment, threads=threads).model
        predicted = models.predict_unseen(fold, table.frame.iloc[test], experiment=experiment)
        scores.append(score(fold, predicted, table.take(test), experiment=experiment))
        if not is_predicted[test].any():
            is_predicted[test] = True
            fold_predictions.append(_align_classes(predicted, fold, classes))
            rows.append(test)
        report((number + 1) / len(splits), f"validated {number + 1} of {len(splits)}")
        report_fold(number, scores[-1])
    return Validated(summarize(scores), np.concatenate(rows), predictions.Predictions.concatenate(fold_predictions))


def score(
    model: pipeline.Pipeline,
    predicted: predictions.Predictions,
    table: tables.Table,
    *,
    experiment: Experiment,
) -> Scores:
    """Score a fitted model's predictions of rows."""
    classes: Sequence[targets.Label] | None = table.labels
    if experiment.setup.problem == "classification":
        classes = targets.to_json(model.classes_)
    with models.translate_errors(experiment.estimator.name):
        return measuring.measure(
            experiment.setup.problem,
            truth=table.values,
            predicted=predicted,
            classes=classes,
            levels=models.list_quantiles(experiment),
            weights=table.weights,
        )


def summarize(scores: list[Scores]) -> dict[str, Metric]:
    """Compute mean and standard deviation of each metric that every fold has."""
    common = [name for name in scores[0] if all(name in score for score in scores)]
    return {name: _to_metric([score[name] for score in scores]) for name in common}


def _to_metric(folds: list[float]) -> Metric:
    return Metric(mean=float(np.mean(folds)), std=float(np.std(folds)), folds=folds)


def _align_classes(
    predicted: predictions.Predictions, model: pipeline.Pipeline, classes: list[targets.Label] | None
) -> predictions.Predictions:
    """Align a fold's predictions with all classes: one column each, also for classes that the fold had no row of."""
    predicted = dataclasses.replace(predicted, features=None)
    if classes is None:
        return predicted
    fold_classes = targets.to_json(model.classes_)
    if fold_classes == classes and (
        predicted.decision is None or predicted.decision.ndim == 1 or predicted.decision.shape[1] == len(classes)
    ):
        return predicted
    columns = [classes.index(label) for label in fold_classes]
    aligned = {}
    if predicted.probability is not None:
        aligned["probability"] = np.zeros((len(predicted.prediction), len(classes)))
        aligned["probability"][:, columns] = predicted.probability
    if predicted.decision is not None:
        decision = classification.to_class_columns(predicted.decision, len(fold_classes))
        aligned["decision"] = np.full((len(predicted.prediction), len(classes)), -np.inf)
        if decision is not None:
            aligned["decision"][:, columns] = decision
    return dataclasses.replace(predicted, **aligned)
