"""Chooses from which score on a binary classifier says yes.

Every distinct score is tried, by running sums over the sorted scores, so that nothing better is missed.
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
    """How many rows, or how much weight, each sort of outcome has at every threshold."""

    true_positive: Values
    false_positive: Values
    false_negative: Values
    true_negative: Values

    @property
    def all(self) -> Values:
        """The rows altogether."""
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
        """Give the choice as JSON."""
        curve: dict[str, JsonValue] = {"thresholds": [*self.thresholds], "scores": [*self.scores]}
        return {"value": self.value, "metric": self.metric, "score": self.score, "curve": curve}


def choose_threshold(
    scores: Values, *, positive: Values, wanted: refinements.Threshold, weights: Values | None = None
) -> Choice:
    """Find the lowest threshold that is best; `positive` says of each row whether yes is true.

    A row whose score is the threshold or more is a yes. The threshold lies halfway between two scores that were seen.
    """
    heights, counts = _count(scores, positive, np.ones(len(scores)) if weights is None else weights)
    if wanted.costs is not None:
        metric, values = "mean_cost", _mean_cost(counts, wanted.costs)
        best = int(np.argmin(values))
    else:
        metric = wanted.maximise or "balanced_accuracy"
        values = METRICS[metric](counts)
        best = int(np.argmax(values))
    shown = np.unique([best, *np.linspace(0, len(heights) - 1, MAX_POINTS - 1).astype(int)])
    return Choice(
        value=float(heights[best]),
        metric=metric,
        score=float(values[best]),
        thresholds=heights[shown].tolist(),
        scores=values[shown].tolist(),
    )


def _count(scores: Values, positive: Values, weights: Values) -> tuple[Values, Counts]:
    """Give every threshold that parts the scores in another way, growing, and the outcomes at each."""
    distinct, place = np.unique(scores, return_inverse=True)
    yes = np.bincount(place, weights=weights * positive, minlength=len(distinct))
    no = np.bincount(place, weights=weights * ~positive, minlength=len(distinct))
    below_yes = np.concatenate([[0.0], np.cumsum(yes)])
    below_no = np.concatenate([[0.0], np.cumsum(no)])
    middle = distinct[:-1] + np.diff(distinct) / 2
    # Halfway between two neighbouring floats is the lower one, which must stay below the threshold.
    middle = np.where(middle > distinct[:-1], middle, distinct[1:])
    heights = np.concatenate([distinct[:1], middle, [np.nextafter(distinct[-1], np.inf)]])
    return heights, Counts(below_yes[-1] - below_yes, below_no[-1] - below_no, below_yes, below_no)


def _divide(above: Values, below: Values) -> Values:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _accuracy(counts: Counts) -> Values:
    return _divide(counts.true_positive + counts.true_negative, counts.all)


def _balanced_accuracy(counts: Counts) -> Values:
    recall = _divide(counts.true_positive, counts.true_positive + counts.false_negative)
    return (recall + _divide(counts.true_negative, counts.true_negative + counts.false_positive)) / 2


def _f(counts: Counts, *, beta: float) -> Values:
    above = (1 + beta**2) * counts.true_positive
    return _divide(above, above + beta**2 * counts.false_negative + counts.false_positive)


def _matthews(counts: Counts) -> Values:
    yes, no = counts.true_positive + counts.false_negative, counts.true_negative + counts.false_positive
    said_yes, said_no = counts.true_positive + counts.false_positive, counts.true_negative + counts.false_negative
    above = counts.true_positive * counts.true_negative - counts.false_positive * counts.false_negative
    return _divide(above, np.sqrt(yes) * np.sqrt(no) * np.sqrt(said_yes) * np.sqrt(said_no))


def _mean_cost(counts: Counts, costs: refinements.Costs) -> Values:
    total = (
        costs.true_positive * counts.true_positive
        + costs.false_positive * counts.false_positive
        + costs.false_negative * counts.false_negative
        + costs.true_negative * counts.true_negative
    )
    return _divide(total, counts.all)


METRICS: dict[str, Callable[[Counts], Values]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": lambda counts: _f(counts, beta=1),
    "f2": lambda counts: _f(counts, beta=2),
    "matthews_corrcoef": _matthews,
}
