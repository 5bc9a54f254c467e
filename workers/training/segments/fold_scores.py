"""Scores models on each value's rows in the folds of the model for all.

The own model of a value is fitted, in each of these folds, on the value's part of the rows that the model for all is
fitted on, and both are scored on the value's part of the held-out rows. So they are compared on the same rows, of which
neither has seen any, and a split that keeps groups together or times in order still does so in each part.
docs/decisions/models.md, "One model a value is a parent with a child for each".
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn import base

from shared import errors
from shared.ml import predictions, targets
from shared.ml.metrics import measuring
from shared.training.segments import SegmentScores, Value
from workers.training import fit, learn, models, tables, validation
from workers.training.experiment import Experiment
from workers.training.splits import outer

Rows = targets.Values


def score_common(
    predicted: predictions.Predictions,
    rows: Rows,
    *,
    truth: tables.Table,
    masks: Sequence[Rows],
    experiment: Experiment,
) -> list[tuple[int, dict[str, float]]]:
    """Score one fold's predictions of the model for all on the rows of each value, of which there is a mask each."""
    scores = []
    for mask in masks:
        own = np.flatnonzero(mask[rows])
        scores.append((len(own), _measure(_take(predicted, own), truth, rows[own], experiment=experiment)))
    return scores


def score_own(
    prepared: fit.Prepared,
    *,
    truth: tables.Table,
    experiment: Experiment,
    threads: int,
    report: Callable[[int, int], None] = lambda _done, _of: None,
) -> list[tuple[int, dict[str, float]]]:
    """Fit and score a value's own model in each fold of the model for all; `truth` has that model's rows.

    A fold in which it has no rows to be fitted on, or can't be fitted, has no metrics.
    """
    # A frame's labels are the positions of its rows in the dataset.
    places = np.searchsorted(truth.frame.index.to_numpy(), prepared.table.frame.index.to_numpy())
    position = np.full(len(truth.frame), -1, dtype=np.int64)
    position[places] = np.arange(len(places))
    splits = outer.make_splits(truth, experiment=experiment)
    scores = []
    for number, (train, test) in enumerate(splits):
        own_train, own_test = (part[part >= 0] for part in (position[train], position[test]))
        scores.append((len(own_test), _score_fold(prepared, own_train, own_test, places, truth, experiment, threads)))
        report(number + 1, len(splits))
    return scores


def collect(value: Value, folds: Sequence[tuple[int, Mapping[str, float]]]) -> SegmentScores:
    """Collect a value's scores, fold by fold."""
    names = dict.fromkeys(name for _, metrics in folds for name in metrics)
    return SegmentScores(
        value=value,
        rows=[rows for rows, _ in folds],
        metrics={name: [metrics.get(name) for _, metrics in folds] for name in names},
    )


def _score_fold(
    prepared: fit.Prepared,
    train: Rows,
    test: Rows,
    places: Rows,
    truth: tables.Table,
    experiment: Experiment,
    threads: int,
) -> dict[str, float]:
    if not len(train) or not len(test):
        return {}
    table = prepared.table
    try:
        model = learn.fit_refined(
            base.clone(prepared.model), table.take(train), experiment=experiment, threads=threads
        ).model
        predicted = models.predict_unseen(model, table.frame.iloc[test], experiment=experiment)
    except (errors.BadDataError, errors.BadModelError):
        return {}
    if experiment.setup.problem == "classification":
        predicted = validation.align_classes(predicted, model, tables.list_classes(truth, problem="classification"))
    elif experiment.setup.problem == "multilabel":
        predicted = _align_labels(predicted, own=table.labels or [], labels=truth.labels or [])
    return _measure(predicted, truth, places[test], experiment=experiment)


def _measure(
    predicted: predictions.Predictions, truth: tables.Table, rows: Rows, *, experiment: Experiment
) -> dict[str, float]:
    """Measure predictions of some rows, with all classes that there are and the positive class of all models.

    There are no metrics without rows, nor where all rows weigh 0.
    """
    weights = None if truth.weights is None else truth.weights[rows]
    if not len(rows) or (weights is not None and not weights.any()):
        return {}
    problem = experiment.setup.problem
    return measuring.measure(
        problem,
        truth=None if truth.values is None else truth.values[rows],
        predicted=predicted,
        classes=tables.list_classes(truth, problem=problem),
        positive=truth.positive,
        levels=models.list_quantiles(experiment),
        weights=weights,
    )


def _take(predicted: predictions.Predictions, rows: Rows) -> predictions.Predictions:
    arrays: dict[str, Any] = {
        field.name: None if (values := getattr(predicted, field.name)) is None else values[rows]
        for field in dataclasses.fields(predicted)
    }
    return predictions.Predictions(**arrays)


def _align_labels(
    predicted: predictions.Predictions, *, own: Sequence[str], labels: Sequence[str]
) -> predictions.Predictions:
    """Give predictions a column for each label that there is; of one that the value's rows lack, it predicts none."""
    if [*own] == [*labels]:
        return predicted
    columns = [labels.index(label) for label in own]
    aligned = {}
    for name in ("prediction", "probability", "decision"):
        array = getattr(predicted, name)
        if array is not None:
            aligned[name] = np.zeros((len(array), len(labels)), dtype=array.dtype)
            aligned[name][:, columns] = array
    return dataclasses.replace(predicted, **aligned)
