"""Metrics of labels: one per row, or any number of them; and of anomalies."""

import math
from collections.abc import Sequence

import numpy as np
from sklearn.metrics import f1_score, precision_score, recall_score

from shared import scoring
from shared.ml import targets

Values = targets.Values
Label = targets.Label
NEED_ALL_CLASSES = frozenset(
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
"""Metrics that mean something else, or are undefined, on rows that lack a class."""
MAX_NAMED_CLASSES = 30
"""With more classes than these there are no metrics of each by itself."""


def measure_labels(
    truth: Values,
    prediction: Values,
    classes: list[Label],
    *,
    positive: Label | None = None,
    names: Sequence[str] | None = None,
    weights: Values | None = None,
) -> dict[str, float]:
    """Compare labels; in a binary problem `f1`, `precision` and `recall` are those of the positive class.

    The positive class is the last one where none is given. Each class also has these metrics under its own name, such
    as `recall_fraud`: its text, or the one in `names`. All are scikit-learn's formulas, computed from one confusion
    matrix: its functions would each count the rows again.
    """
    matrix, labels = _count_confusion(truth, prediction, weights=weights)
    correct, true, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    f1 = _divide(2 * correct, true + predicted)
    metrics = {
        "accuracy": correct.sum() / matrix.sum(),
        "balanced_accuracy": np.mean(correct[true > 0] / true[true > 0]),
        "f1_macro": np.mean(f1),
        "matthews_corrcoef": _compute_matthews(matrix),
    }
    counts = dict(zip(labels, zip(correct.tolist(), true.tolist(), predicted.tolist(), strict=True), strict=True))
    if len(classes) == 2:
        metrics |= _measure_class(*counts.get(classes[1] if positive is None else positive, (0.0, 0.0, 0.0)))
    else:
        metrics["f1_weighted"] = f1 @ true / true.sum()
    if len(classes) > MAX_NAMED_CLASSES:
        return metrics
    named = zip(classes, names or map(targets.format_label, classes), strict=True)
    return metrics | _measure_named({name: counts[label] for label, name in named if label in counts})


def _measure_named(counts: dict[str, tuple[float, float, float]]) -> dict[str, float]:
    """Measure each class by itself; where the truth lacks it, only its precision is defined.

    A class whose name makes the name of an average, such as `f1_macro`, has no metric of that name.
    """
    metrics: dict[str, float] = {}
    for name, (correct, true, predicted) in counts.items():
        values = _measure_class(correct, true, predicted)
        defined = scoring.OF_CLASSES if true else ("precision",)
        metrics |= {scoring.name_for_class(metric, name): values[metric] for metric in defined}
    return {name: value for name, value in metrics.items() if scoring.is_for_class(name, problem="classification")}


def _measure_class(correct: float, true: float, predicted: float) -> dict[str, float]:
    """Measure one class by its rows; recall is undefined without a row of it, the others are then 0."""
    return {
        "f1": 2 * correct / (true + predicted) if true + predicted else 0.0,
        "precision": correct / predicted if predicted else 0.0,
        "recall": correct / true if true else math.nan,
    }


def _count_confusion(truth: Values, prediction: Values, *, weights: Values | None) -> tuple[Values, list[Label]]:
    """Count the confusion matrix of all labels that occur on either side, as float64, the truth in the rows."""
    encoded = targets.encode(np.concatenate([truth, prediction]))
    true, predicted = np.split(encoded.codes, 2)
    size = len(encoded.labels)
    matrix = np.bincount(true * size + predicted, weights, minlength=size**2).reshape(size, size).astype(np.float64)
    return matrix, targets.to_json(encoded.labels)


def _compute_matthews(matrix: Values) -> float:
    """Compute Gorodkin's coefficient (Computational Biology and Chemistry 28, 2004); 0 when either side is constant."""
    true, predicted, rows = matrix.sum(axis=1), matrix.sum(axis=0), matrix.sum()
    spread = (rows**2 - true @ true) * (rows**2 - predicted @ predicted)
    return float((np.trace(matrix) * rows - true @ predicted) / math.sqrt(spread)) if spread > 0 else 0.0


def _divide(numerator: Values, denominator: Values) -> Values:
    """Divide each number by its own; 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros(len(denominator)), where=denominator > 0)


def measure_probabilities(
    truth: Values,
    probability: Values,
    classes: list[Label],
    *,
    positive: Label | None = None,
    weights: Values | None = None,
) -> dict[str, float]:
    """Measure how well probabilities rank the rows, and how far they are from the truth."""
    metrics = measure_ranking(truth, probability, classes, positive=positive, weights=weights)
    columns = {label: index for index, label in enumerate(classes)}
    if all(label in columns for label in set(truth.tolist())):
        # Written out because scikit-learn's log_loss sorts the labels by itself, whatever order ours have.
        of_truth = probability[np.arange(len(truth)), [columns[label] for label in truth.tolist()]]
        losses = -np.log(np.clip(of_truth, np.finfo(np.float64).eps, 1.0))
        metrics["log_loss"] = float(np.average(losses, weights=weights))
    return metrics


def measure_ranking(
    truth: Values,
    scores: Values | None,
    classes: list[Label],
    *,
    positive: Label | None = None,
    weights: Values | None = None,
) -> dict[str, float]:
    """Measure how well scores rank the rows; more than two classes each against the rest, weighted by their rows.

    Of two classes it is the positive one, by default the last, that is ranked against the other.
    """
    if scores is None or not np.isfinite(scores).all():
        return {}
    if len(classes) == 2:
        column = 1 if positive is None else classes.index(positive)
        return measure_binary_ranking(truth == classes[column], scores[:, column], weights=weights)
    areas, sizes = [], []
    for index, label in enumerate(classes):
        is_label = truth == label
        if is_label.any() and not is_label.all():
            areas.append(measure_binary_ranking(is_label, scores[:, index], weights=weights)["roc_auc"])
            sizes.append(float(is_label.sum() if weights is None else weights[is_label].sum()))
    if not areas or not sum(sizes):
        return {}
    weighted = float(np.average(areas, weights=sizes))
    return {"roc_auc": weighted, "roc_auc_ovr_weighted": weighted}


def measure_binary_ranking(positive: Values, scores: Values, *, weights: Values | None = None) -> dict[str, float]:
    """Measure how well scores separate positive from negative rows; empty when all rows are positive, or none is."""
    if positive.all() or not positive.any():
        return {}
    # Sorting once serves both metrics; rows whose scores are equal are one step of the curves.
    order = np.argsort(scores)[::-1]
    ranked, weight = scores[order], np.ones(len(order)) if weights is None else weights[order]
    steps = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    true_positives = np.cumsum(np.where(positive[order], weight, 0.0))[steps]
    false_positives = np.cumsum(np.where(positive[order], 0.0, weight))[steps]
    recall = np.insert(true_positives / true_positives[-1], 0, 0.0)
    precision = _divide(true_positives, true_positives + false_positives)
    return {
        "roc_auc": float(np.trapezoid(recall, np.insert(false_positives / false_positives[-1], 0, 0.0))),
        "average_precision": float(np.sum(np.diff(recall) * precision)),
    }


def to_class_columns(decision: Values, count: int) -> Values | None:
    """Return decisions with one column per class; None when they have others, such as one per pair of classes."""
    if decision.ndim == 1:
        return np.column_stack([-decision, decision])
    return decision if decision.shape[1] == count else None


def measure_multilabel(
    truth: Values, prediction: Values, probability: Values | None, *, weights: Values | None = None
) -> dict[str, float]:
    """Compare (rows, labels) of 0 and 1; `accuracy` counts rows whose labels are all correct.

    A row that has no label and gets none counts as 1 in `f1_samples` and `jaccard_samples`, as nothing is wrong there
    (scikit-learn's `zero_division=1`); elsewhere undefined values count as 0.
    """
    metrics = _measure_rows(truth == 1, prediction == 1, weights=weights)
    metrics |= _measure_columns(truth == 1, prediction == 1, weights=weights)
    rankings = (
        []
        if probability is None
        else [
            measure_binary_ranking(truth[:, label] == 1, probability[:, label], weights=weights)
            for label in range(truth.shape[1])
        ]
    )
    if rankings and all(rankings):
        metrics["roc_auc_macro"] = float(np.mean([ranking["roc_auc"] for ranking in rankings]))
        metrics["average_precision_macro"] = float(np.mean([ranking["average_precision"] for ranking in rankings]))
    return metrics


def _measure_rows(truth: Values, prediction: Values, *, weights: Values | None) -> dict[str, float]:
    """Compare the labels of each row, as masks, and average over the rows."""
    intersection, union = (truth & prediction).sum(axis=1), (truth | prediction).sum(axis=1)
    jaccard = np.where(union > 0, _divide(intersection, union), 1.0)
    per_row = {
        "accuracy": intersection == union,
        "hamming_loss": (union - intersection) / truth.shape[1],
        "f1_samples": 2 * jaccard / (1 + jaccard),
        "jaccard_samples": jaccard,
    }
    return {name: float(np.average(values, weights=weights)) for name, values in per_row.items()}


def _measure_columns(truth: Values, prediction: Values, *, weights: Values | None) -> dict[str, float]:
    """Compare the rows of each label, as masks: all labels together, and each by itself."""
    weights = np.ones(len(truth)) if weights is None else weights
    masks = (truth & prediction, truth, prediction)
    correct, true, predicted = (weights @ mask.astype(np.float64) for mask in masks)
    numerators = np.array([2 * correct.sum(), correct.sum(), correct.sum()])
    denominators = np.array([true.sum() + predicted.sum(), predicted.sum(), true.sum()])
    f1, precision, recall = _divide(numerators, denominators).tolist()
    return {
        "f1_micro": f1,
        "f1_macro": float(np.mean(_divide(2 * correct, true + predicted))),
        "precision_micro": precision,
        "recall_micro": recall,
    }


def measure_anomalies(
    truth: Values | None, prediction: Values, score: Values, *, weights: Values | None = None
) -> dict[str, float]:
    """Measure the share of rows predicted as anomalous and, where the truth is 0 or 1 (-1: unknown), its quality."""
    fraction = {"anomaly_fraction": float(np.average(prediction, weights=weights))}
    known = truth >= 0 if truth is not None else np.zeros(0, dtype=bool)
    if truth is None or not known.any():
        return fraction
    known_weights = None if weights is None else weights[known]
    anomalous, predicted = truth[known] == 1, prediction[known]
    options = {"sample_weight": known_weights, "zero_division": 0}
    return (
        fraction
        | measure_binary_ranking(anomalous, score[known], weights=known_weights)
        | {
            "f1": f1_score(anomalous, predicted, **options),
            "precision": precision_score(anomalous, predicted, **options),
            "recall": recall_score(anomalous, predicted, **options | {"zero_division": math.nan}),
        }
    )
