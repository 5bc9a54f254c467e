"""Curves and tables of predictions out of fold, as data of a bounded size."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn import calibration, metrics

from shared.ml import targets
from shared.training import details

Values = targets.Values
BINS = 10
HISTOGRAM_BINS = 20
PROBABILITIES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)


@dataclasses.dataclass(frozen=True)
class Ranked:
    """What ranks the rows for one class or label: whether it is true, how strongly it was said, how much a row counts.

    `is_probability` says whether the scores are probabilities.
    """

    label: targets.Label
    positive: Values
    scores: Values
    weights: Values | None = None
    is_probability: bool = False

    @property
    def has_both(self) -> bool:
        """Whether yes and no occur, without which no curve is defined."""
        return bool(self.positive.any() and not self.positive.all() and np.isfinite(self.scores).all())


def of_classes(
    truth: Values,
    *,
    classes: Sequence[targets.Label],
    probability: Values | None,
    decision: Values | None,
    weights: Values | None = None,
) -> list[Ranked]:
    """Give what ranks the rows for the last of two classes, or for the most common ones of more."""
    scores = probability if probability is not None else decision
    if scores is None:
        return []
    if scores.ndim == 1:
        scores = np.column_stack([-scores, scores])
    if scores.shape[1] != len(classes):
        return []
    places = [1] if len(classes) == 2 else _common(truth, classes)
    return [
        Ranked(classes[place], truth == classes[place], scores[:, place], weights, probability is not None)
        for place in places
    ]


def _common(truth: Values, classes: Sequence[targets.Label], *, most: int = details.MAX_CURVES) -> list[int]:
    rows = np.asarray([np.sum(truth == label) for label in classes])
    return sorted(np.argsort(-rows, kind="stable")[:most].tolist())


def roc(ranked: Ranked) -> details.RocCurve:
    """Give scikit-learn's ROC curve at no more than 200 of its points."""
    false, true, thresholds = metrics.roc_curve(ranked.positive, ranked.scores, sample_weight=ranked.weights)
    kept = thin(len(thresholds))
    return details.RocCurve(
        label=ranked.label,
        false_positive_rate=numbers(false[kept]),
        true_positive_rate=numbers(true[kept]),
        thresholds=numbers(thresholds[kept]),
    )


def precision_recall(ranked: Ranked) -> details.PrecisionRecallCurve:
    """Give scikit-learn's precision-recall curve at no more than 200 of its points."""
    precision, recall, thresholds = metrics.precision_recall_curve(
        ranked.positive, ranked.scores, sample_weight=ranked.weights, drop_intermediate=True
    )
    kept = thin(len(precision))
    return details.PrecisionRecallCurve(
        label=ranked.label,
        precision=numbers(precision[kept]),
        recall=numbers(recall[kept]),
        thresholds=numbers(np.append(thresholds, np.inf)[kept]),
    )


def calibration_curve(ranked: Ranked) -> details.CalibrationCurve:
    """Give scikit-learn's calibration curve in ten bins of equally many rows."""
    true, predicted = calibration.calibration_curve(
        ranked.positive, np.clip(ranked.scores, 0, 1), n_bins=BINS, strategy="quantile"
    )
    return details.CalibrationCurve(label=ranked.label, mean_predicted=numbers(predicted), fraction_true=numbers(true))


def confusion(
    truth: Values, prediction: Values, *, classes: Sequence[targets.Label], weights: Values | None = None
) -> details.Confusion:
    """Count true against predicted classes; all but the thirty most common are taken together as the last."""
    shown = [classes[place] for place in _common(truth, classes, most=details.MAX_LABELS)]
    places = {label: place for place, label in enumerate(shown)}
    rows, columns = ([places.get(label, len(shown)) for label in seen.tolist()] for seen in (truth, prediction))
    size = len(shown) + (len(shown) < len(classes))
    counts = metrics.confusion_matrix(rows, columns, labels=range(size), sample_weight=weights)
    labels: list[targets.Label | None] = [*shown, *([None] if size > len(shown) else [])]
    return details.Confusion(labels=labels, counts=counts.astype(np.float64).tolist())


def label_counts(
    truth: Values, prediction: Values, *, labels: Sequence[targets.Label], weights: Values | None = None
) -> list[details.LabelCounts]:
    """Count for each label how it was predicted; `truth` and `prediction` are 0/1, (rows, labels)."""
    counts = metrics.multilabel_confusion_matrix(truth, prediction, sample_weight=weights).astype(np.float64)
    return [
        details.LabelCounts(
            label=label,
            true_negative=count[0, 0],
            false_positive=count[0, 1],
            false_negative=count[1, 0],
            true_positive=count[1, 1],
        )
        for label, count in zip(labels, counts[: details.MAX_FEATURES], strict=False)
    ]


def residuals(truth: Values, prediction: Values) -> details.Residuals:
    """Tell how truth minus prediction is spread, over all rows and by what was predicted."""
    left = truth - prediction
    counts, edges = np.histogram(left, bins=HISTOGRAM_BINS)
    parts = np.array_split(np.argsort(prediction, kind="stable"), min(BINS, len(prediction)))
    return details.Residuals(
        probabilities=list(PROBABILITIES),
        quantiles=np.quantile(left, PROBABILITIES).tolist(),
        edges=edges.tolist(),
        counts=counts.tolist(),
        by_prediction=[
            details.ResidualBin(
                rows=len(part),
                mean_prediction=float(prediction[part].mean()),
                mean_truth=float(truth[part].mean()),
                mean_residual=float(left[part].mean()),
                std_residual=float(left[part].std()),
            )
            for part in parts
        ],
    )


def quantile_checks(truth: Values, prediction: Values, *, quantiles: Sequence[float]) -> list[details.QuantileCheck]:
    """Hold each predicted quantile, a column of `prediction`, against the part of truths below it."""
    return [
        details.QuantileCheck(
            quantile=quantile,
            share_below=float(np.mean(truth <= prediction[:, place])),
            mean_prediction=float(prediction[:, place].mean()),
        )
        for place, quantile in enumerate(quantiles)
    ]


def spread(scores: Values) -> details.Scores:
    """Give quantiles of scores that have no truth to be held against."""
    return details.Scores(probabilities=list(PROBABILITIES), quantiles=np.quantile(scores, PROBABILITIES).tolist())


def cluster_sizes(clusters: Values) -> list[details.ClusterSize]:
    """Count the rows of the largest clusters; -1 is noise."""
    labels, rows = np.unique(clusters, return_counts=True)
    largest = np.argsort(-rows, kind="stable")[: details.MAX_POINTS]
    return [details.ClusterSize(cluster=int(labels[place]), rows=int(rows[place])) for place in largest]


def thin(size: int, *, most: int = details.MAX_POINTS) -> Values:
    """Give the places of at most so many points, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, size - 1, min(size, most)).round().astype(np.int64))


def numbers(values: Any) -> list[float | None]:
    """Give numbers as JSON has them: null for what is not finite."""
    return [float(value) if math.isfinite(value) else None for value in values]
