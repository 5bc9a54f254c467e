"""How good predictions are, under the names of scikit-learn's scorers, errors being positive.

In a binary problem the positive class is the last in sorted order: "Yes" of "No" and "Yes", True, 1 of 0 and 1.
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
) -> dict[str, float]:
    """Compute the metrics of labels or numbers; see `measure`."""
    return measure(
        problem,
        truth=truth,
        made=Predictions(prediction, probability=probability, decision=decision),
        classes=classes,
    )


def measure(
    problem: Problem,
    *,
    truth: Values | None,
    made: Predictions,
    classes: Sequence[targets.Label] | None = None,
    levels: Sequence[float] = (),
    weights: Values | None = None,
) -> dict[str, float]:
    """Compute every metric that these predictions allow; one that is undefined or not finite is left out.

    `classes` gives the order of the probabilities' columns, `levels` which quantiles there are, `weights` how much each
    row counts (clusters' metrics and greatest errors don't heed it). `truth` may be None for clusters and anomalies.
    BadDataError without rows, BadModelError when a prediction or probability is not finite.
    """
    if len(made.prediction) == 0:
        raise errors.BadDataError("there are no rows to score: no row has a known target")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # What scikit-learn warns of here is an undefined metric, and those are left out.
        warnings.simplefilter("ignore")
        found = _measure(problem, truth, made, classes=list(classes or []), levels=list(levels), weights=weights)
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}


def _measure(
    problem: Problem,
    truth: Values | None,
    made: Predictions,
    *,
    classes: list[targets.Label],
    levels: list[float],
    weights: Values | None,
) -> dict[str, float]:
    if problem == "clustering":
        if made.features is None:
            raise ValueError("clustering needs `features`")
        return clustering.of_clusters(made.features, made.prediction)
    if problem == "anomaly":
        if made.decision is None:
            raise ValueError("anomalies need `decision`")
        _require_finite(made.decision)
        return classification.of_anomalies(truth, made.prediction, made.decision, weights=weights)
    if truth is None:
        raise ValueError(f"{problem} needs `truth`")
    if problem in ("regression", "quantile"):
        return _numbers(truth, made, levels=levels, weights=weights)
    if not classes:
        raise ValueError(f"{problem} needs `classes`")
    if made.probability is not None:
        _require_finite(made.probability)
    if problem == "multilabel":
        return classification.of_many_labels(truth, made.prediction, made.probability, weights=weights)
    return _classes(truth, made, classes=classes, weights=weights)


def _numbers(truth: Values, made: Predictions, *, levels: list[float], weights: Values | None) -> dict[str, float]:
    _require_finite(made.prediction)
    found = regression.of_numbers(truth, made.prediction, weights=weights)
    if made.quantiles is not None:
        _require_finite(made.quantiles)
        found |= regression.of_quantiles(truth, made.quantiles, levels, weights=weights)
    if made.lower is not None and made.upper is not None:
        found |= regression.of_intervals(truth, made.lower, made.upper, weights=weights)
    return found


def _classes(
    truth: Values, made: Predictions, *, classes: list[targets.Label], weights: Values | None
) -> dict[str, float]:
    found = classification.of_labels(truth, made.prediction, classes, weights=weights)
    if made.probability is not None:
        return found | classification.of_probability(truth, made.probability, classes, weights=weights)
    if made.decision is not None:
        ranked = classification.per_class(made.decision, len(classes))
        return found | classification.ranking(truth, ranked, classes, weights=weights)
    return found


def _require_finite(values: Values) -> None:
    broken = int(np.sum(~np.isfinite(values)))
    if broken:
        raise errors.BadModelError(
            f"the model gives {broken} of {values.size} values that are not finite numbers; "
            "scale the columns, or try other parameters of the estimator"
        )
