"""Metrics of labels: one a row, or any number of them."""

import math

import numpy as np
from sklearn import metrics

from shared.ml import targets

Values = targets.Values
Label = targets.Label
OF_ALL_CLASSES = frozenset(
    {
        "average_precision",
        "average_precision_macro",
        "balanced_accuracy",
        "f1",
        "f1_macro",
        "matthews_corrcoef",
        "recall",
        "roc_auc",
        "roc_auc_macro",
        "roc_auc_ovr_weighted",
    }
)
"""Metrics that mean something else, or nothing, on rows that lack a class."""


def of_labels(
    truth: Values, prediction: Values, classes: list[Label], *, weights: Values | None = None
) -> dict[str, float]:
    """Compare labels; in a binary problem the last class is the positive one.

    All of scikit-learn's formulas, computed from one table of truth by prediction: its functions would count anew.
    """
    cells = _cells(truth, prediction, weights=weights)
    right, true, said = np.diag(cells), cells.sum(axis=1), cells.sum(axis=0)
    f1 = _ratio(2 * right, true + said)
    found = {
        "accuracy": right.sum() / cells.sum(),
        "balanced_accuracy": np.mean(right[true > 0] / true[true > 0]),
        "f1_macro": np.mean(f1),
        "matthews_corrcoef": _matthews(cells),
    }
    if len(classes) == 2:
        return found | _of_positive(truth == classes[1], prediction == classes[1], weights=weights)
    return found | {"f1_weighted": f1 @ true / true.sum()}


def _cells(truth: Values, prediction: Values, *, weights: Values | None) -> Values:
    """Give the confusion matrix of all labels that occur on either side, as float64, the truth in the rows."""
    encoded = targets.encode(np.concatenate([truth, prediction]))
    true, said = np.split(encoded.codes, 2)
    size = len(encoded.labels)
    return np.bincount(true * size + said, weights, minlength=size**2).reshape(size, size).astype(np.float64)


def _matthews(cells: Values) -> float:
    """Give Gorodkin's coefficient (Computational Biology and Chemistry 28, 2004); 0 when either side is constant."""
    true, said, rows = cells.sum(axis=1), cells.sum(axis=0), cells.sum()
    spread = (rows**2 - true @ true) * (rows**2 - said @ said)
    return float((np.trace(cells) * rows - true @ said) / math.sqrt(spread)) if spread > 0 else 0.0


def _of_positive(positive: Values, said: Values, *, weights: Values | None) -> dict[str, float]:
    """Compare masks of rows; recall is undefined without a positive row, the others are then 0."""
    given = np.ones(len(positive)) if weights is None else weights
    both, true, called = (float(given[rows].sum()) for rows in (positive & said, positive, said))
    return {
        "f1": 2 * both / (true + called) if true + called else 0.0,
        "precision": both / called if called else 0.0,
        "recall": both / true if true else math.nan,
    }


def _ratio(part: Values, whole: Values) -> Values:
    """Divide number by number; 0 where there is nothing to divide by."""
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)


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
            areas.append(of_ranks(of_class, scores[:, place], weights=weights)["roc_auc"])
            sizes.append(float(of_class.sum() if weights is None else weights[of_class].sum()))
    if not areas or not sum(sizes):
        return {}
    weighted = float(np.average(areas, weights=sizes))
    return {"roc_auc": weighted, "roc_auc_ovr_weighted": weighted}


def of_ranks(positive: Values, scores: Values, *, weights: Values | None = None) -> dict[str, float]:
    """How well scores tell positive rows from the others; nothing when there is only one sort."""
    if positive.all() or not positive.any():
        return {}
    # One sort serves both metrics; rows whose scores are equal are one step of the curves.
    order = np.argsort(scores)[::-1]
    ranked, given = scores[order], np.ones(len(order)) if weights is None else weights[order]
    steps = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    right = np.cumsum(np.where(positive[order], given, 0.0))[steps]
    wrong = np.cumsum(np.where(positive[order], 0.0, given))[steps]
    recall = np.insert(right / right[-1], 0, 0.0)
    return {
        "roc_auc": float(np.trapezoid(recall, np.insert(wrong / wrong[-1], 0, 0.0))),
        "average_precision": float(np.sum(np.diff(recall) * _ratio(right, right + wrong))),
    }


def per_class(decision: Values, count: int) -> Values | None:
    """Give decisions one column a class, or None when there are others (one column a pair of classes)."""
    if decision.ndim == 1:
        return np.column_stack([-decision, decision])
    return decision if decision.shape[1] == count else None


def of_many_labels(
    truth: Values, prediction: Values, probability: Values | None, *, weights: Values | None = None
) -> dict[str, float]:
    """Compare (rows, labels) of 0 and 1; `accuracy` counts rows whose labels are all right.

    `f1_samples` and `jaccard_samples` count a row as 1 that has no label and is given none, as nothing is wrong there
    (scikit-learn's `zero_division=1`); elsewhere what is undefined counts 0.
    """
    found = _of_rows(truth == 1, prediction == 1, weights=weights)
    found |= _of_columns(truth == 1, prediction == 1, weights=weights)
    ranks = (
        []
        if probability is None
        else [of_ranks(truth[:, place] == 1, probability[:, place], weights=weights) for place in range(truth.shape[1])]
    )
    if ranks and all(ranks):
        found["roc_auc_macro"] = float(np.mean([of_label["roc_auc"] for of_label in ranks]))
        found["average_precision_macro"] = float(np.mean([of_label["average_precision"] for of_label in ranks]))
    return found


def _of_rows(truth: Values, said: Values, *, weights: Values | None) -> dict[str, float]:
    """Compare the labels of each row, as masks, and average over the rows."""
    both, either = (truth & said).sum(axis=1), (truth | said).sum(axis=1)
    overlap = np.where(either > 0, _ratio(both, either), 1.0)
    of_each = {
        "accuracy": both == either,
        "hamming_loss": (either - both) / truth.shape[1],
        "f1_samples": 2 * overlap / (1 + overlap),
        "jaccard_samples": overlap,
    }
    return {name: float(np.average(values, weights=weights)) for name, values in of_each.items()}


def _of_columns(truth: Values, said: Values, *, weights: Values | None) -> dict[str, float]:
    """Compare the rows of each label, as masks: all labels together, and each by itself."""
    given = np.ones(len(truth)) if weights is None else weights
    right, true, called = (given @ mask.astype(np.float64) for mask in (truth & said, truth, said))
    parts = np.array([2 * right.sum(), right.sum(), right.sum()])
    f1, precision, recall = _ratio(parts, np.array([true.sum() + called.sum(), called.sum(), true.sum()])).tolist()
    return {
        "f1_micro": f1,
        "f1_macro": float(np.mean(_ratio(2 * right, true + called))),
        "precision_micro": precision,
        "recall_micro": recall,
    }


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
