"""Metrics of labels: one a row, or any number of them."""

import math

import numpy as np
from sklearn import metrics

from shared.ml import targets

Values = targets.Values
Label = targets.Label


def of_labels(
    truth: Values, prediction: Values, classes: list[Label], *, weights: Values | None = None
) -> dict[str, float]:
    """Compare labels; in a binary problem the last class is the positive one."""
    given = {"sample_weight": weights}
    found = {
        "accuracy": metrics.accuracy_score(truth, prediction, **given),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, prediction, **given),
        "f1_macro": metrics.f1_score(truth, prediction, average="macro", zero_division=0, **given),
        "matthews_corrcoef": metrics.matthews_corrcoef(truth, prediction, **given),
    }
    if len(classes) == 2:
        is_positive, said_positive = truth == classes[1], prediction == classes[1]
        found["f1"] = metrics.f1_score(is_positive, said_positive, zero_division=0, **given)
        found["precision"] = metrics.precision_score(is_positive, said_positive, zero_division=0, **given)
        found["recall"] = metrics.recall_score(is_positive, said_positive, zero_division=math.nan, **given)
    else:
        found["f1_weighted"] = metrics.f1_score(truth, prediction, average="weighted", zero_division=0, **given)
    return found


def of_probability(
    truth: Values, probability: Values, classes: list[Label], *, weights: Values | None = None
) -> dict[str, float]:
    """How well probabilities rank the rows, and how far they are from the truth."""
    found = ranking(truth, probability, classes, weights=weights)
    places = {label: place for place, label in enumerate(classes)}
    if all(label in places for label in set(truth.tolist())):
        # Written out because scikit-learn's log_loss sorts the labels by itself, whatever order ours have.
        given = probability[np.arange(len(truth)), [places[label] for label in truth.tolist()]]
        losses = -np.log(np.clip(given, np.finfo(np.float64).eps, 1.0))
        found["log_loss"] = float(np.average(losses, weights=weights))
    return found


def ranking(
    truth: Values, scores: Values | None, classes: list[Label], *, weights: Values | None = None
) -> dict[str, float]:
    """How well scores rank the rows; with more than two classes each against the rest, weighted by their rows."""
    if scores is None or not np.isfinite(scores).all():
        return {}
    if len(classes) == 2:
        return of_ranks(truth == classes[1], scores[:, 1], weights=weights)
    areas, sizes = [], []
    for place, label in enumerate(classes):
        of_class = truth == label
        if of_class.any() and not of_class.all():
            areas.append(metrics.roc_auc_score(of_class, scores[:, place], sample_weight=weights))
            sizes.append(float(of_class.sum() if weights is None else weights[of_class].sum()))
    if not areas or not sum(sizes):
        return {}
    weighted = float(np.average(areas, weights=sizes))
    return {"roc_auc": weighted, "roc_auc_ovr_weighted": weighted}


def of_ranks(positive: Values, scores: Values, *, weights: Values | None = None) -> dict[str, float]:
    """How well scores tell positive rows from the others; nothing when there is only one sort."""
    if positive.all() or not positive.any():
        return {}
    return {
        "roc_auc": metrics.roc_auc_score(positive, scores, sample_weight=weights),
        "average_precision": metrics.average_precision_score(positive, scores, sample_weight=weights),
    }


def per_class(decision: Values, count: int) -> Values | None:
    """Give decisions one column a class, or None when there are others (one column a pair of classes)."""
    if decision.ndim == 1:
        return np.column_stack([-decision, decision])
    return decision if decision.shape[1] == count else None


def of_many_labels(
    truth: Values, prediction: Values, probability: Values | None, *, weights: Values | None = None
) -> dict[str, float]:
    """Compare (rows, labels) of 0 and 1; `accuracy` counts rows whose labels are all right."""
    given = {"sample_weight": weights}
    found = {
        "accuracy": metrics.accuracy_score(truth, prediction, **given),
        "hamming_loss": metrics.hamming_loss(truth, prediction, **given),
        "f1_micro": metrics.f1_score(truth, prediction, average="micro", zero_division=0, **given),
        "f1_macro": metrics.f1_score(truth, prediction, average="macro", zero_division=0, **given),
        "f1_samples": metrics.f1_score(truth, prediction, average="samples", zero_division=0, **given),
        "jaccard_samples": metrics.jaccard_score(truth, prediction, average="samples", zero_division=0, **given),
        "precision_micro": metrics.precision_score(truth, prediction, average="micro", zero_division=0, **given),
        "recall_micro": metrics.recall_score(truth, prediction, average="micro", zero_division=0, **given),
    }
    ranks = (
        []
        if probability is None
        else [of_ranks(truth[:, place] == 1, probability[:, place], weights=weights) for place in range(truth.shape[1])]
    )
    if ranks and all(ranks):
        found["roc_auc_macro"] = float(np.mean([of_label["roc_auc"] for of_label in ranks]))
        found["average_precision_macro"] = float(np.mean([of_label["average_precision"] for of_label in ranks]))
    return found


def of_anomalies(
    truth: Values | None, prediction: Values, score: Values, *, weights: Values | None = None
) -> dict[str, float]:
    """How many rows are called strange and, where the truth is 0 or 1, how rightly; -1 is a row without a truth."""
    found = {"anomaly_fraction": float(np.average(prediction, weights=weights))}
    known = truth >= 0 if truth is not None else np.zeros(0, dtype=bool)
    if truth is None or not known.any():
        return found
    of_known = None if weights is None else weights[known]
    strange, said = truth[known] == 1, prediction[known]
    given = {"sample_weight": of_known, "zero_division": 0}
    return (
        found
        | of_ranks(strange, score[known], weights=of_known)
        | {
            "f1": metrics.f1_score(strange, said, **given),
            "precision": metrics.precision_score(strange, said, **given),
            "recall": metrics.recall_score(strange, said, **given | {"zero_division": math.nan}),
        }
    )
