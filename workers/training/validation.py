"""Validates a model on rows that it wasn't fitted on; its recipe is fitted again for each split."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from sklearn import base, pipeline

from shared.ml import predictions, targets
from shared.ml.metrics import classification, measuring, undefined
from shared.progress import Progress, no_progress
from shared.training.validations import Metric, UndefinedFold
from workers.training import learn, models, tables
from workers.training.experiment import Experiment
from workers.training.splits import outer

Scores = dict[str, float]


@dataclasses.dataclass(frozen=True)
class FoldScores:
    """A fold's metrics, the reasons for those that are undefined, and the classes that no row to fit on had."""

    metrics: Scores
    undefined: dict[str, str]
    lacking: list[str]


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
    report_fold: Callable[[int, FoldScores], None] = lambda _fold, _scores: None,
    observe: Callable[[predictions.Predictions, targets.Values], None] = lambda _predicted, _rows: None,
) -> Validated:
    """Fit a fresh copy of the model on each split's training rows and score it on the test rows.

    `report_fold` receives each fold's number, from 0, and its scores; what it raises ends the validation. `observe`
    receives each fold's predictions, aligned with all classes, and their rows.
    """
    scores, fold_predictions, rows = [], [], []
    is_predicted = np.zeros(len(table.frame), dtype=bool)
    classes = (
        tables.list_classes(table, problem="classification") if experiment.setup.problem == "classification" else None
    )
    for number, (train, test) in enumerate(splits):
        fold = learn.fit_refined(base.clone(model), table.take(train), experiment=experiment, threads=threads).model
        predicted = models.predict_unseen(fold, table.frame.iloc[test], experiment=experiment)
        scores.append(score_fold(fold, predicted, table.take(test), experiment=experiment, classes=classes))
        aligned = align_classes(predicted, fold, classes)
        observe(aligned, test)
        if not is_predicted[test].any():
            is_predicted[test] = True
            fold_predictions.append(aligned)
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
    with models.translate_errors(experiment.estimator.name):
        return measuring.measure(
            experiment.setup.problem,
            truth=table.values,
            predicted=predicted,
            classes=_list_classes(model, table, experiment),
            positive=table.positive,
            levels=models.list_quantiles(experiment),
            weights=table.weights,
        )


def score_fold(
    model: pipeline.Pipeline,
    predicted: predictions.Predictions,
    table: tables.Table,
    *,
    experiment: Experiment,
    classes: Sequence[targets.Label] | None = None,
) -> FoldScores:
    """Score a fitted model's predictions of rows, and explain what is undefined; `classes` are all that there are."""
    metrics, known = score(model, predicted, table, experiment=experiment), _list_classes(model, table, experiment)
    reasons = undefined.explain(
        experiment.setup.problem,
        metrics=metrics,
        truth=table.values,
        predicted=predicted,
        classes=known,
        positive=table.positive,
    )
    lacking = [targets.format_label(label) for label in classes or [] if label not in (known or [])]
    return FoldScores(metrics, reasons, lacking)


def summarize(scores: Sequence[FoldScores]) -> dict[str, Metric]:
    """Summarize each metric over the folds; one that is undefined on a fold has None there, with the reason.

    A fold that was fitted without all classes may have metrics of another number of classes; these are left out.
    """
    complete = [fold for fold in scores if not fold.lacking] or scores
    names = dict.fromkeys(name for fold in complete for name in [*fold.metrics, *fold.undefined])
    return {
        name: make_metric(
            [fold.metrics.get(name) for fold in scores],
            reasons={number: _find_reason(name, fold) for number, fold in enumerate(scores, start=1)},
        )
        for name in names
    }


def make_metric(folds: Sequence[float | None], *, reasons: Mapping[int, str]) -> Metric:
    """Make a metric of its values on the folds, and the reasons by the numbers, from 1, of those that have none."""
    values = [value for value in folds if value is not None]
    return Metric(
        mean=float(np.mean(values)) if values else None,
        std=float(np.std(values)) if values else None,
        folds=[*folds],
        undefined=[
            UndefinedFold(fold=number, reason=reasons[number])
            for number, value in enumerate(folds, start=1)
            if value is None
        ],
    )


def _find_reason(name: str, fold: FoldScores) -> str:
    if name in fold.undefined:
        return fold.undefined[name]
    if fold.lacking:
        return f"no row of class {fold.lacking[0]!r} was fitted on"
    return "it is not a finite number on these rows"


def _list_classes(
    model: pipeline.Pipeline, table: tables.Table, experiment: Experiment
) -> Sequence[targets.Label] | None:
    """List the classes that a fitted model knows, or the labels of a multilabel problem."""
    return targets.to_json(model.classes_) if experiment.setup.problem == "classification" else table.labels


def align_classes(
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
