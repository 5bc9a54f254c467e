"""Measures how good predictions are, by metrics with the names of scikit-learn's scorers; errors are positive.

In a binary problem the positive class is the one that is given, else the last in sorted order.
"""

import math
import warnings
from collections.abc import Sequence

import numpy as np

from shared import errors
from shared.ml import predictions, targets
from shared.ml.metrics import classification, clustering, regression

Problem = predictions.Problem
Predictions = predictions.Predictions
predict = predictions.predict
Values = targets.Values


def score(
    problem: Problem,
    *,
    truth: Values,
    prediction: Values,
    probability: Values | None = None,
    decision: Values | None = None,
    classes: Sequence[targets.Label] | None = None,
    positive: targets.Label | None = None,
) -> dict[str, float]:
    """Compute the metrics of labels or numbers; see `measure`."""
    return measure(
        problem,
        truth=truth,
        predicted=Predictions(prediction, probability=probability, decision=decision),
        classes=classes,
        positive=positive,
    )


def measure(
    problem: Problem,
    *,
    truth: Values | None,
    predicted: Predictions,
    classes: Sequence[targets.Label] | None = None,
    positive: targets.Label | None = None,
    class_names: Sequence[str] | None = None,
    levels: Sequence[float] = (),
    weights: Values | None = None,
) -> dict[str, float]:
    """Compute every metric that these predictions allow; one that is undefined or not finite is left out.

    `classes` is the order of the probabilities' columns, `positive` one of two classes (the last when left out),
    `class_names` are their names in metrics (their texts when left out). `levels` are the predicted quantiles,
    `weights` is how much each row counts (metrics of clusters, and `max_error`, ignore it). `truth` may be None for
    clusters and anomalies.
    BadDataError without rows, BadModelError when a prediction or probability is not finite.
    """
    if len(predicted.prediction) == 0:
        raise errors.BadDataError("there are no rows to score: no row has a known target")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # scikit-learn warns of undefined metrics here, and those are left out.
        warnings.simplefilter("ignore")
        if problem == "classification":
            metrics = _measure_classes(truth, predicted, list(classes or []), positive, class_names, weights=weights)
        else:
            metrics = _measure(
                problem, truth, predicted, classes=list(classes or []), levels=list(levels), weights=weights
            )
    return {name: float(value) for name, value in metrics.items() if math.isfinite(value)}


def _measure(
    problem: Problem,
    truth: Values | None,
    predicted: Predictions,
    *,
    classes: list[targets.Label],
    levels: list[float],
    weights: Values | None,
) -> dict[str, float]:
    if problem == "clustering":
        if predicted.features is None:
            raise ValueError("clustering needs `features`")
        return clustering.measure_clusters(predicted.features, predicted.prediction)
    if problem == "anomaly":
        if predicted.decision is None:
            raise ValueError("anomalies need `decision`")
        _require_finite(predicted.decision)
        return classification.measure_anomalies(truth, predicted.prediction, predicted.decision, weights=weights)
    if truth is None:
        raise ValueError(f"{problem} needs `truth`")
    if problem in ("regression", "quantile"):
        return _measure_numbers(truth, predicted, levels=levels, weights=weights)
    if not classes:
        raise ValueError(f"{problem} needs `classes`")
    if predicted.probability is not None:
        _require_finite(predicted.probability)
    return classification.measure_multilabel(truth, predicted.prediction, predicted.probability, weights=weights)


def _measure_numbers(
    truth: Values, predicted: Predictions, *, levels: list[float], weights: Values | None
) -> dict[str, float]:
    _require_finite(predicted.prediction)
    metrics = regression.measure_numbers(truth, predicted.prediction, weights=weights)
    if predicted.quantiles is not None:
        _require_finite(predicted.quantiles)
        metrics |= regression.measure_quantiles(truth, predicted.quantiles, levels, weights=weights)
    if predicted.lower is not None and predicted.upper is not None:
        metrics |= regression.measure_intervals(truth, predicted.lower, predicted.upper, weights=weights)
    return metrics


def _measure_classes(
    truth: Values | None,
    predicted: Predictions,
    classes: list[targets.Label],
    positive: targets.Label | None,
    names: Sequence[str] | None,
    *,
    weights: Values | None,
) -> dict[str, float]:
    if truth is None or not classes:
        raise ValueError("classification needs `truth` and `classes`")
    metrics = classification.measure_labels(
        truth, predicted.prediction, classes, positive=positive, names=names, weights=weights
    )
    if predicted.probability is not None:
        _require_finite(predicted.probability)
        return metrics | classification.measure_probabilities(
            truth, predicted.probability, classes, positive=positive, weights=weights
        )
    if predicted.decision is None:
        return metrics
    scores = classification.to_class_columns(predicted.decision, len(classes))
    return metrics | classification.measure_ranking(truth, scores, classes, positive=positive, weights=weights)


def _require_finite(values: Values) -> None:
    broken = int(np.sum(~np.isfinite(values)))
    if broken:
        raise errors.BadModelError(
            f"the model predicts {broken} of {values.size} values that are not finite numbers; "
            "scale the columns, or try other parameters of the estimator"
        )
