"""Chooses the score from which a binary classifier predicts the positive class.

Every distinct score is tried, by running sums over the sorted scores, so that no better threshold is missed.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from pydantic import JsonValue

from shared.ml import targets
from shared.training import refinements

MAX_POINTS = 200
Values = targets.Values


@dataclasses.dataclass(frozen=True)
class Counts:
    """How many rows, or how much weight, each kind of outcome has at every threshold."""

    true_positive: Values
    false_positive: Values
    false_negative: Values
    true_negative: Values

    @property
    def total(self) -> Values:
        """The total over all outcomes."""
        return self.true_positive + self.false_positive + self.false_negative + self.true_negative


@dataclasses.dataclass(frozen=True)
class Choice:
    """The threshold, the metric's value there, and the metric at other thresholds."""

    value: float
    metric: str
    score: float
    thresholds: list[float]
    scores: list[float]

    def describe(self) -> dict[str, JsonValue]:
        """Return the choice as JSON."""
        curve: dict[str, JsonValue] = {"thresholds": [*self.thresholds], "scores": [*self.scores]}
        return {"value": self.value, "metric": self.metric, "score": self.score, "curve": curve}


def choose_threshold(
    scores: Values, *, positive: Values, settings: refinements.Threshold, weights: Values | None = None
) -> Choice:
    """Find the best threshold, the lowest in a tie; `positive` is each row's true class, as a boolean.

    A row is predicted positive when its score is the threshold or more. The threshold lies halfway between two scores
    of the data.
    """
    thresholds, counts = _count(scores, positive, np.ones(len(scores)) if weights is None else weights)
    if settings.costs is not None:
        metric, values = "mean_cost", _mean_cost(counts, settings.costs)
        best = int(np.argmin(values))
    else:
        metric = settings.maximise or "balanced_accuracy"
        values = METRICS[metric](counts)
        best = int(np.argmax(values))
    plotted = np.unique([best, *np.linspace(0, len(thresholds) - 1, MAX_POINTS - 1).astype(int)])
    return Choice(
        value=float(thresholds[best]),
        metric=metric,
        score=float(values[best]),
        thresholds=thresholds[plotted].tolist(),
        scores=values[plotted].tolist(),
    )


def _count(scores: Values, positive: Values, weights: Values) -> tuple[Values, Counts]:
    """Return all thresholds that separate the scores differently, in increasing order, and the outcomes at each."""
    distinct, index = np.unique(scores, return_inverse=True)
    positive_weights = np.bincount(index, weights=weights * positive, minlength=len(distinct))
    negative_weights = np.bincount(index, weights=weights * ~positive, minlength=len(distinct))
    positives_below = np.concatenate([[0.0], np.cumsum(positive_weights)])
    negatives_below = np.concatenate([[0.0], np.cumsum(negative_weights)])
    middle = distinct[:-1] + np.diff(distinct) / 2
    # Halfway between two adjacent floats is the lower one, but that must stay below the threshold.
    middle = np.where(middle > distinct[:-1], middle, distinct[1:])
    thresholds = np.concatenate([distinct[:1], middle, [np.nextafter(distinct[-1], np.inf)]])
    return thresholds, Counts(
        true_positive=positives_below[-1] - positives_below,
        false_positive=negatives_below[-1] - negatives_below,
        false_negative=positives_below,
        true_negative=negatives_below,
    )


def _divide(numerator: Values, denominator: Values) -> Values:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _accuracy(counts: Counts) -> Values:
    return _divide(counts.true_positive + counts.true_negative, counts.total)


def _balanced_accuracy(counts: Counts) -> Values:
    recall = _divide(counts.true_positive, counts.true_positive + counts.false_negative)
    return (recall + _divide(counts.true_negative, counts.true_negative + counts.false_positive)) / 2


def _f_score(counts: Counts, *, beta: float) -> Values:
    numerator = (1 + beta**2) * counts.true_positive
    return _divide(numerator, numerator + beta**2 * counts.false_negative + counts.false_positive)


def _matthews(counts: Counts) -> Values:
    positives, negatives = counts.true_positive + counts.false_negative, counts.true_negative + counts.false_positive
    predicted_positive = counts.true_positive + counts.false_positive
    predicted_negative = counts.true_negative + counts.false_negative
    covariance = counts.true_positive * counts.true_negative - counts.false_positive * counts.false_negative
    return _divide(
        covariance, np.sqrt(positives) * np.sqrt(negatives) * np.sqrt(predicted_positive) * np.sqrt(predicted_negative)
    )


def _mean_cost(counts: Counts, costs: refinements.Costs) -> Values:
    total = (
        costs.true_positive * counts.true_positive
        + costs.false_positive * counts.false_positive
        + costs.false_negative * counts.false_negative
        + costs.true_negative * counts.true_negative
    )
    return _divide(total, counts.total)


METRICS: dict[str, Callable[[Counts], Values]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": lambda counts: _f_score(counts, beta=1),
    "f2": lambda counts: _f_score(counts, beta=2),
    "matthews_corrcoef": _matthews,
}
