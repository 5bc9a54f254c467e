"""Draws single curves and tables of predictions beside their truth, as data of a bounded size."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn import calibration, metrics

from shared.figures import curves
from shared.ml import targets

Values = targets.Values
BINS = 10
HISTOGRAM_BINS = 20
PROBABILITIES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)


@dataclasses.dataclass(frozen=True)
class ClassScores:
    """One class or label against the rest: for each row whether it is positive, its score and its weight.

    `is_probability` says whether the scores are probabilities.
    """

    label: targets.Label
    positive: Values
    scores: Values
    weights: Values | None = None
    is_probability: bool = False

    @property
    def has_both(self) -> bool:
        """Whether there are positive and negative rows, without which no curve is defined."""
        return bool(self.positive.any() and not self.positive.all() and np.isfinite(self.scores).all())


def select_class_scores(
    truth: Values,
    *,
    classes: Sequence[targets.Label],
    probability: Values | None,
    decision: Values | None,
    positive: targets.Label | None = None,
    weights: Values | None = None,
) -> list[ClassScores]:
    """Select the scores for the positive of two classes, by default the second, or for the most common of more."""
    scores = probability if probability is not None else decision
    if scores is None:
        return []
    if scores.ndim == 1:
        scores = np.column_stack([-scores, scores])
    if scores.shape[1] != len(classes):
        return []
    positive_index = 1 if positive is None else list(classes).index(positive)
    indices = [positive_index] if len(classes) == 2 else _most_common(truth, classes)
    return [
        ClassScores(classes[index], truth == classes[index], scores[:, index], weights, probability is not None)
        for index in indices
    ]


def _most_common(truth: Values, classes: Sequence[targets.Label], *, most: int = curves.MAX_CURVES) -> list[int]:
    encoded = targets.encode(truth)
    counts = dict(zip(targets.to_json(encoded.labels), encoded.counts.tolist(), strict=True))
    rows = np.asarray([counts.get(label, 0) for label in classes])
    return sorted(np.argsort(-rows, kind="stable")[:most].tolist())


def compute_roc(scored: ClassScores) -> curves.RocCurve:
    """Compute scikit-learn's ROC curve, thinned out to at most 200 of its points."""
    false, true, thresholds = metrics.roc_curve(scored.positive, scored.scores, sample_weight=scored.weights)
    points = thin_out(len(thresholds))
    return curves.RocCurve(
        label=scored.label,
        false_positive_rate=to_json_numbers(false[points]),
        true_positive_rate=to_json_numbers(true[points]),
        thresholds=to_json_numbers(thresholds[points]),
    )


def compute_precision_recall(scored: ClassScores) -> curves.PrecisionRecallCurve:
    """Compute scikit-learn's precision-recall curve, thinned out to at most 200 of its points."""
    precision, recall, thresholds = metrics.precision_recall_curve(
        scored.positive, scored.scores, sample_weight=scored.weights, drop_intermediate=True
    )
    points = thin_out(len(precision))
    return curves.PrecisionRecallCurve(
        label=scored.label,
        precision=to_json_numbers(precision[points]),
        recall=to_json_numbers(recall[points]),
        thresholds=to_json_numbers(np.append(thresholds, np.inf)[points]),
    )


def compute_calibration_curve(scored: ClassScores) -> curves.CalibrationCurve:
    """Compute scikit-learn's calibration curve in ten bins of equally many rows."""
    true, predicted = calibration.calibration_curve(
        scored.positive, np.clip(scored.scores, 0, 1), n_bins=BINS, strategy="quantile"
    )
    return curves.CalibrationCurve(
        label=scored.label, mean_predicted=to_json_numbers(predicted), fraction_true=to_json_numbers(true)
    )


def compute_confusion(
    truth: Values, prediction: Values, *, classes: Sequence[targets.Label], weights: Values | None = None
) -> curves.Confusion:
    """Compute the confusion matrix; all but the thirty most common classes are counted together as the last one."""
    shown = [classes[index] for index in _most_common(truth, classes, most=curves.MAX_LABELS)]
    place_of = {label: place for place, label in enumerate(shown)}
    size = len(shown) + (len(shown) < len(classes))
    rows, columns = (_find_places(labels, place_of, other=len(shown)) for labels in (truth, prediction))
    # What scikit-learn's confusion_matrix counts, without a Python number for each row.
    side = len(shown) + 1
    counts = np.bincount(rows * side + columns, weights, minlength=side**2).reshape(side, side)[:size, :size]
    labels: list[targets.Label | None] = [*shown, *([None] if size > len(shown) else [])]
    return curves.Confusion(labels=labels, counts=counts.astype(np.float64).tolist())


def _find_places(labels: Values, place_of: Mapping[targets.Label, int], *, other: int) -> Values:
    encoded = targets.encode(labels)
    places = np.asarray([place_of.get(label, other) for label in targets.to_json(encoded.labels)], dtype=np.int64)
    return places[encoded.codes]


def count_labels(
    truth: Values, prediction: Values, *, labels: Sequence[targets.Label], weights: Values | None = None
) -> list[curves.LabelCounts]:
    """Count for each label how it was predicted; `truth` and `prediction` are 0/1, (rows, labels)."""
    counts = metrics.multilabel_confusion_matrix(truth, prediction, sample_weight=weights).astype(np.float64)
    return [
        curves.LabelCounts(
            label=label,
            true_negative=count[0, 0],
            false_positive=count[0, 1],
            false_negative=count[1, 0],
            true_positive=count[1, 1],
        )
        for label, count in zip(labels, counts[: curves.MAX_FEATURES], strict=False)
    ]


def summarize_residuals(truth: Values, prediction: Values) -> curves.Residuals:
    """Summarize the distribution of truth minus prediction, over all rows and in bins by prediction."""
    residuals = truth - prediction
    counts, edges = np.histogram(residuals, bins=HISTOGRAM_BINS)
    bins = np.array_split(np.argsort(prediction, kind="stable"), min(BINS, len(prediction)))
    return curves.Residuals(
        probabilities=list(PROBABILITIES),
        quantiles=np.quantile(residuals, PROBABILITIES).tolist(),
        edges=edges.tolist(),
        counts=counts.tolist(),
        by_prediction=[
            curves.ResidualBin(
                rows=len(bin_),
                mean_prediction=float(prediction[bin_].mean()),
                mean_truth=float(truth[bin_].mean()),
                mean_residual=float(residuals[bin_].mean()),
                std_residual=float(residuals[bin_].std()),
            )
            for bin_ in bins
        ],
    )


def check_quantiles(truth: Values, prediction: Values, *, quantiles: Sequence[float]) -> list[curves.QuantileCheck]:
    """Compare each predicted quantile, a column of `prediction`, with the share of true values below it."""
    return [
        curves.QuantileCheck(
            quantile=quantile,
            share_below=float(np.mean(truth <= prediction[:, index])),
            mean_prediction=float(prediction[:, index].mean()),
        )
        for index, quantile in enumerate(quantiles)
    ]


def summarize_scores(scores: Values) -> curves.Scores:
    """Compute quantiles of scores that have no true values to be compared with."""
    return curves.Scores(probabilities=list(PROBABILITIES), quantiles=np.quantile(scores, PROBABILITIES).tolist())


def count_clusters(clusters: Values) -> list[curves.ClusterSize]:
    """Count the rows of the largest clusters; -1 is noise."""
    labels, rows = np.unique(clusters, return_counts=True)
    largest = np.argsort(-rows, kind="stable")[: curves.MAX_POINTS]
    return [curves.ClusterSize(cluster=int(labels[index]), rows=int(rows[index])) for index in largest]


def thin_out(size: int, *, most: int = curves.MAX_POINTS) -> Values:
    """Choose at most so many of `size` points, as indices: evenly spread, the first and the last included."""
    return np.unique(np.linspace(0, size - 1, min(size, most)).round().astype(np.int64))


def to_json_numbers(values: Any) -> list[float | None]:
    """Convert numbers for JSON: null for what is not finite."""
    return [float(value) if math.isfinite(value) else None for value in values]
