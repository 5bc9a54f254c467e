"""Predicts rows by a fitted pipeline, for every problem."""

import dataclasses
from collections.abc import Collection, Iterable
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn import ensemble, model_selection, neighbors

from shared.ml import encoders, targets

Problem = Literal["classification", "multilabel", "regression", "quantile", "clustering", "anomaly"]
Values = targets.Values
# These have probabilities, but choose the class by another rule; estimators of plugins may do so too.
NOT_BY_PROBABILITY = (
    ensemble.StackingClassifier,
    model_selection.FixedThresholdClassifier,
    neighbors.NearestCentroid,
)
ONNX_NAMES: dict[str, str | dict[str, str]] = {
    "prediction": {"classification": "label", "clustering": "label", "anomaly": "is_anomaly", "multilabel": "labels"},
    "probability": "probabilities",
    "decision": "anomaly_score",
    "lower": "prediction_lower",
    "upper": "prediction_upper",
    "quantiles": "quantiles",
}
"""How the outputs of an exported ONNX model are called, by the fields of `Predictions`, and for one by the problem."""
MIN_MARGIN = 1e-9
"""How much more probable the most probable class must be for rounding not to matter."""


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What a model predicts for some rows.

    `prediction` has one value per row: a label, a number, a cluster's number (-1 for none) or, for anomalies, whether
    the row is anomalous; for multilabel it is (rows, labels) of 0 and 1. `probability` is (rows, classes), for
    multilabel (rows, labels), or None. `decision` is what a classifier without probabilities ranks by, (rows,) for two
    classes, (rows, classes) for more; for anomalies it is the score, higher for more anomalous rows and above 0 for
    anomalies. `lower` and `upper` bound an interval. `quantiles` is (rows, quantiles). `features` are the recipe's
    output for clustered rows.
    """

    prediction: Values
    probability: Values | None = None
    decision: Values | None = None
    lower: Values | None = None
    upper: Values | None = None
    quantiles: Values | None = None
    features: Values | None = None

    @staticmethod
    def concatenate(parts: "list[Predictions]") -> "Predictions":
        """Concatenate the predictions of parts of the rows."""
        fields: dict[str, Any] = {}
        for field in dataclasses.fields(Predictions):
            values = [getattr(part, field.name) for part in parts]
            fields[field.name] = None if values[0] is None else np.concatenate(values)
        return Predictions(**fields)


def predict(model: Any, frame: pd.DataFrame, *, problem: Problem) -> Predictions:
    """Run a fitted pipeline on raw columns, its recipe only once."""
    features, estimator = encoders.transform(model[:-1], frame), model[-1]
    match problem:
        case "classification":
            return _predict_classes(estimator, features)
        case "multilabel":
            return _predict_labels(estimator, features)
        case "clustering":
            return _predict_clusters(estimator, features)
        case "anomaly":
            return _predict_anomalies(estimator, features)
        case _:
            return _predict_numbers(estimator, features, has_quantiles=problem == "quantile")


def _predict_classes(estimator: Any, features: Any) -> Predictions:
    if hasattr(estimator, "predict_with_probability"):
        # A model made elsewhere may choose its labels otherwise than by the greatest probability.
        prediction, probability = estimator.predict_with_probability(features)
        return Predictions(prediction, probability=probability)
    if hasattr(estimator, "predict_proba"):
        probability = np.asarray(estimator.predict_proba(features))
        if _predicts_most_probable(estimator):
            return Predictions(_choose_most_probable(estimator, features, probability), probability=probability)
        return Predictions(np.asarray(estimator.predict(features)), probability=probability)
    prediction = np.asarray(estimator.predict(features))
    if hasattr(estimator, "decision_function"):
        return Predictions(prediction, decision=np.asarray(estimator.decision_function(features)))
    return Predictions(prediction)


def _predicts_most_probable(estimator: Any) -> bool:
    """Return whether an estimator is known to predict the class of the greatest probability."""
    is_known = type(estimator).__module__.split(".")[0] in ("sklearn", "shared")
    return is_known and not isinstance(estimator, NOT_BY_PROBABILITY)


def _choose_most_probable(estimator: Any, features: Any, probability: Values) -> Values:
    """Choose the most probable classes, which is what `predict` would return at twice the cost.

    Where two classes are almost equally probable, or a probability is NaN, the estimator itself is called.
    """
    labels: Values = np.asarray(estimator.classes_)[probability.argmax(axis=1)]
    second, first = np.partition(probability, -2, axis=1)[:, -2:].T
    unclear = ~(first - second > MIN_MARGIN)
    if unclear.any():
        labels[unclear] = estimator.predict(features[unclear])
    return labels


def _predict_labels(estimator: Any, features: Any) -> Predictions:
    prediction = np.asarray(estimator.predict(features)).astype(np.int64)
    if not hasattr(estimator, "predict_proba"):
        return Predictions(prediction)
    probability = estimator.predict_proba(features)
    if isinstance(probability, list):
        # One array per label, whose last column is the probability that the row has it.
        probability = np.column_stack([array[:, -1] for array in probability])
    return Predictions(prediction, probability=np.asarray(probability, dtype=np.float64))


def _predict_numbers(estimator: Any, features: Any, *, has_quantiles: bool) -> Predictions:
    prediction = np.asarray(estimator.predict(features), dtype=np.float64)
    quantiles = np.asarray(estimator.predict_quantiles(features)) if has_quantiles else None
    if not hasattr(estimator, "predict_interval"):
        return Predictions(prediction, quantiles=quantiles)
    lower, upper = estimator.predict_interval(features)
    return Predictions(prediction, quantiles=quantiles, lower=lower, upper=upper)


def _predict_clusters(estimator: Any, features: Any) -> Predictions:
    prediction = np.asarray(estimator.predict(features)).astype(np.int64)
    probability = np.asarray(estimator.predict_proba(features)) if hasattr(estimator, "predict_proba") else None
    return Predictions(prediction, probability=probability, features=np.asarray(features, dtype=np.float64))


def _predict_anomalies(estimator: Any, features: Any) -> Predictions:
    score = -np.asarray(estimator.decision_function(features), dtype=np.float64)
    # This is what `predict` would return, at half the cost.
    return Predictions(score > 0, decision=score)


def name_onnx_outputs(fields: Iterable[str], *, problem: str, taken: Collection[str]) -> dict[str, str]:
    """Name the output of an exported ONNX model for each field, other than its inputs, which are `taken`."""
    return {field: _name_onnx_output(field, problem, taken=taken) for field in fields}


def _name_onnx_output(field: str, problem: str, *, taken: Collection[str]) -> str:
    names = ONNX_NAMES[field]
    name = names if isinstance(names, str) else names.get(problem, "prediction")
    while name in taken:
        name = f"{name}_output"
    return name
