"""What a fitted pipeline says of rows, whatever its problem is."""

import dataclasses
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn import ensemble, model_selection, neighbors

from shared.ml import encoders, targets

Problem = Literal["classification", "multilabel", "regression", "quantile", "clustering", "anomaly"]
Values = targets.Values
# These give probabilities, but choose the class in another way; estimators of plugins may as well.
OTHERWISE = (
    ensemble.StackingClassifier,
    model_selection.FixedThresholdClassifier,
    neighbors.NearestCentroid,
)
CLEAR = 1e-9
"""How much likelier the likeliest class has to be for rounding not to matter."""


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What a model says of some rows.

    `prediction` holds one value a row: a label, a number, a cluster's number (-1 for none) or, for anomalies, whether
    the row is strange; for multilabel it is (rows, labels) of 0 and 1. `probability` is (rows, classes), for multilabel
    of each label, or None. `decision` is what a classifier without probabilities ranks by, (rows,) for two classes,
    (rows, classes) for more; for anomalies the score, higher being stranger and above 0 strange. `lower` and `upper`
    bound an interval. `quantiles` is (rows, quantiles). `features` is what the recipe makes of clustered rows.
    """

    prediction: Values
    probability: Values | None = None
    decision: Values | None = None
    lower: Values | None = None
    upper: Values | None = None
    quantiles: Values | None = None
    features: Values | None = None

    @staticmethod
    def joined(parts: "list[Predictions]") -> "Predictions":
        """Put the predictions of parts of the rows behind one another."""
        joined: dict[str, Any] = {}
        for field in dataclasses.fields(Predictions):
            values = [getattr(part, field.name) for part in parts]
            joined[field.name] = None if values[0] is None else np.concatenate(values)
        return Predictions(**joined)


def predict(model: Any, frame: pd.DataFrame, *, problem: Problem) -> Predictions:
    """Run a fitted pipeline on raw columns, its recipe once."""
    features, estimator = encoders.transform(model[:-1], frame), model[-1]
    match problem:
        case "classification":
            return _classes(estimator, features)
        case "multilabel":
            return _labels(estimator, features)
        case "clustering":
            return _clusters(estimator, features)
        case "anomaly":
            return _anomalies(estimator, features)
        case _:
            return _numbers(estimator, features, has_quantiles=problem == "quantile")


def _classes(estimator: Any, features: Any) -> Predictions:
    if hasattr(estimator, "predict_proba"):
        probability = np.asarray(estimator.predict_proba(features))
        if _says_the_likeliest(estimator):
            return Predictions(_likeliest(estimator, features, probability), probability=probability)
        return Predictions(np.asarray(estimator.predict(features)), probability=probability)
    prediction = np.asarray(estimator.predict(features))
    if hasattr(estimator, "decision_function"):
        return Predictions(prediction, decision=np.asarray(estimator.decision_function(features)))
    return Predictions(prediction)


def _says_the_likeliest(estimator: Any) -> bool:
    """Whether an estimator is known to choose the class of the greatest probability."""
    ours = type(estimator).__module__.split(".")[0] in ("sklearn", "shared")
    return ours and not isinstance(estimator, OTHERWISE)


def _likeliest(estimator: Any, features: Any, probability: Values) -> Values:
    """Give the likeliest classes, which is what `predict` would say at twice the cost.

    Only the estimator knows what it says when two classes are as good as equally likely, or nothing is known of any.
    """
    labels: Values = np.asarray(estimator.classes_)[probability.argmax(axis=1)]
    second, first = np.partition(probability, -2, axis=1)[:, -2:].T
    unclear = ~(first - second > CLEAR)
    if unclear.any():
        labels[unclear] = estimator.predict(features[unclear])
    return labels


def _labels(estimator: Any, features: Any) -> Predictions:
    prediction = np.asarray(estimator.predict(features)).astype(np.int64)
    if not hasattr(estimator, "predict_proba"):
        return Predictions(prediction)
    probability = estimator.predict_proba(features)
    if isinstance(probability, list):
        # One array a label, whose last column is the probability that the row has it.
        probability = np.column_stack([of_label[:, -1] for of_label in probability])
    return Predictions(prediction, probability=np.asarray(probability, dtype=np.float64))


def _numbers(estimator: Any, features: Any, *, has_quantiles: bool) -> Predictions:
    prediction = np.asarray(estimator.predict(features), dtype=np.float64)
    quantiles = np.asarray(estimator.predict_quantiles(features)) if has_quantiles else None
    if not hasattr(estimator, "predict_interval"):
        return Predictions(prediction, quantiles=quantiles)
    lower, upper = estimator.predict_interval(features)
    return Predictions(prediction, quantiles=quantiles, lower=lower, upper=upper)


def _clusters(estimator: Any, features: Any) -> Predictions:
    prediction = np.asarray(estimator.predict(features)).astype(np.int64)
    probability = np.asarray(estimator.predict_proba(features)) if hasattr(estimator, "predict_proba") else None
    return Predictions(prediction, probability=probability, features=np.asarray(features, dtype=np.float64))


def _anomalies(estimator: Any, features: Any) -> Predictions:
    score = -np.asarray(estimator.decision_function(features), dtype=np.float64)
    # This is what `predict` says, at half the cost.
    return Predictions(score > 0, decision=score)
