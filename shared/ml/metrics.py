"""How good predictions are, under the names of scikit-learn's scorers, errors being positive.

In a binary problem the positive class is the last in sorted order: "Yes" of "No" and "Yes", True, 1 of 0 and 1.
"""

import dataclasses
import math
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn import metrics

from shared import errors
from shared.ml import targets

Problem = Literal["classification", "regression"]
Values = targets.Values


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What a model says of some rows.

    `prediction` holds labels or numbers, one a row; `probability` is (rows, classes) or None; `decision` is what a
    classifier without probabilities ranks by, (rows,) for two classes, (rows, classes) for more, or None.
    """

    prediction: Values
    probability: Values | None = None
    decision: Values | None = None


def predict(model: Any, frame: pd.DataFrame) -> Predictions:
    """Run a fitted pipeline on raw columns, its recipe once."""
    features = model[:-1].transform(frame)
    estimator = model[-1]
    prediction = np.asarray(estimator.predict(features))
    if hasattr(estimator, "predict_proba"):
        return Predictions(prediction, probability=np.asarray(estimator.predict_proba(features)))
    if hasattr(estimator, "decision_function"):
        return Predictions(prediction, decision=np.asarray(estimator.decision_function(features)))
    return Predictions(prediction)


def score(
    problem: Problem,
    *,
    truth: Values,
    prediction: Values,
    probability: Values | None = None,
    decision: Values | None = None,
    classes: Sequence[targets.Label] | None = None,
) -> dict[str, float]:
    """Compute every metric that these predictions allow; one that is undefined or not finite is left out.

    `classes` gives the order of the probabilities' columns. BadDataError without rows, BadModelError when a
    prediction or probability is not finite.
    """
    if len(truth) == 0:
        raise errors.BadDataError("there are no rows to score: no row has a known target")
    with warnings.catch_warnings():
        # What scikit-learn warns of here is an undefined metric, and those are left out.
        warnings.simplefilter("ignore")
        if problem == "regression":
            _require_finite(prediction)
            found = _regression(truth, prediction)
        else:
            if classes is None:
                raise ValueError("classification needs `classes`")
            found = _classification(truth, prediction, list(classes))
            if probability is not None:
                _require_finite(probability)
                found |= _of_probability(truth, probability, list(classes))
            elif decision is not None:
                found |= _ranking(truth, _per_class(decision, len(classes)), list(classes))
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}


def _regression(truth: Values, prediction: Values) -> dict[str, float]:
    found = {
        "mean_absolute_error": metrics.mean_absolute_error(truth, prediction),
        "median_absolute_error": metrics.median_absolute_error(truth, prediction),
        "root_mean_squared_error": metrics.root_mean_squared_error(truth, prediction),
        "max_error": metrics.max_error(truth, prediction),
    }
    if np.ptp(truth) > 0:
        # Both compare with the truth's own spread, so a constant truth leaves them undefined.
        found["r2"] = metrics.r2_score(truth, prediction, force_finite=False)
        found["explained_variance"] = metrics.explained_variance_score(truth, prediction, force_finite=False)
    if np.all(truth != 0):
        found["mean_absolute_percentage_error"] = metrics.mean_absolute_percentage_error(truth, prediction)
    return found


def _classification(truth: Values, prediction: Values, classes: list[targets.Label]) -> dict[str, float]:
    seen = {
        "accuracy": metrics.accuracy_score(truth, prediction),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, prediction),
        "f1_macro": metrics.f1_score(truth, prediction, average="macro", zero_division=0),
        "matthews_corrcoef": metrics.matthews_corrcoef(truth, prediction),
    }
    if len(classes) == 2:
        is_positive, said_positive = truth == classes[1], prediction == classes[1]
        seen["f1"] = metrics.f1_score(is_positive, said_positive, zero_division=0)
        seen["precision"] = metrics.precision_score(is_positive, said_positive, zero_division=0)
        seen["recall"] = metrics.recall_score(is_positive, said_positive, zero_division=math.nan)
    else:
        seen["f1_weighted"] = metrics.f1_score(truth, prediction, average="weighted", zero_division=0)
    return seen


def _of_probability(truth: Values, probability: Values, classes: list[targets.Label]) -> dict[str, float]:
    found = _ranking(truth, probability, classes)
    places = {label: place for place, label in enumerate(classes)}
    if all(label in places for label in set(truth.tolist())):
        # Written out because scikit-learn's log_loss sorts the labels by itself, whatever order ours have.
        given = probability[np.arange(len(truth)), [places[label] for label in truth.tolist()]]
        found["log_loss"] = float(-np.mean(np.log(np.clip(given, np.finfo(np.float64).eps, 1.0))))
    return found


def _ranking(truth: Values, scores: Values | None, classes: list[targets.Label]) -> dict[str, float]:
    """How well scores rank the rows; with more than two classes each against the rest, weighted by their rows."""
    if scores is None or not np.isfinite(scores).all():
        return {}
    if len(classes) == 2:
        positive = truth == classes[1]
        if positive.all() or not positive.any():
            return {}
        ranked = scores[:, 1]
        return {
            "roc_auc": metrics.roc_auc_score(positive, ranked),
            "average_precision": metrics.average_precision_score(positive, ranked),
        }
    areas, rows = [], []
    for place, label in enumerate(classes):
        of_class = truth == label
        if of_class.any() and not of_class.all():
            areas.append(metrics.roc_auc_score(of_class, scores[:, place]))
            rows.append(int(of_class.sum()))
    if not areas:
        return {}
    weighted = float(np.average(areas, weights=rows))
    return {"roc_auc": weighted, "roc_auc_ovr_weighted": weighted}


def _per_class(decision: Values, count: int) -> Values | None:
    """Give decisions one column a class, or None when there are others (one column a pair of classes)."""
    if decision.ndim == 1:
        return np.column_stack([-decision, decision])
    return decision if decision.shape[1] == count else None


def _require_finite(values: Values) -> None:
    broken = int(np.sum(~np.isfinite(values)))
    if broken:
        raise errors.BadModelError(
            f"the model gives {broken} of {values.size} values that are not finite numbers; "
            "scale the columns, or take a smaller learning rate or more regularisation"
        )
