"""Compares each value's own model with the one for all, on the same held-out rows, fold by fold.

The differences are paired: the same rows of the same fold. A model is better when the mean difference is greater than
the differences' standard deviation over the folds, a rule of thumb and no test: folds share rows to fit on.
"""

import statistics
from collections.abc import Mapping, Sequence

from shared import scoring
from shared.training.segments import ComparedFold, Comparison, Overall, SegmentScores, Verdict

_FEWEST_FOLDS = 2


def choose_metric(problem: str, means: Mapping[str, float | None]) -> str:
    """Choose the metric that decides: the problem's first that the model for all has."""
    defined = [name for name in scoring.METRICS[problem] if means.get(name) is not None]
    return defined[0] if defined else scoring.default_metric(problem)


def compare(own: SegmentScores, common: SegmentScores, *, metric: str, problem: str) -> Comparison:
    """Compare the scores of a value's own model with those of the model for all on the same rows of the same folds."""
    folds = [
        ComparedFold(rows=rows, own=own_value, common=common_value)
        for rows, own_value, common_value in zip(
            common.rows, _list_values(own, metric), _list_values(common, metric), strict=True
        )
    ]
    differences = _list_differences(folds, greater=scoring.greater_is_better(metric, problem=problem))
    difference, spread, verdict, reason = judge([value for _, value in differences], metric=metric)
    means = {
        name: _average_shared(own.metrics[name], common.metrics[name]) for name in own.metrics if name in common.metrics
    }
    defined = {name: pair for name, pair in means.items() if pair is not None}
    return Comparison(
        metric=metric,
        own={name: own_mean for name, (own_mean, _) in defined.items()},
        common={name: common_mean for name, (_, common_mean) in defined.items()},
        rows=sum(rows for rows, _ in differences),
        difference=difference,
        spread=spread,
        folds=folds,
        verdict=verdict,
        reason=reason,
    )


def summarize(comparisons: Sequence[Comparison], *, metric: str, problem: str) -> Overall:
    """Compare all values together: in each fold the values count by their held-out rows."""
    folds = []
    for parts in zip(*(comparison.folds for comparison in comparisons), strict=True):
        defined = [part for part in parts if part.own is not None and part.common is not None]
        rows = sum(part.rows for part in defined)
        own = sum(part.rows * (part.own or 0.0) for part in defined) / rows if rows else None
        common = sum(part.rows * (part.common or 0.0) for part in defined) / rows if rows else None
        folds.append(ComparedFold(rows=rows, own=own, common=common))
    differences = _list_differences(folds, greater=scoring.greater_is_better(metric, problem=problem))
    difference, spread, verdict, reason = judge([value for _, value in differences], metric=metric)
    means = _average_shared([fold.own for fold in folds], [fold.common for fold in folds])
    return Overall(
        own=None if means is None else means[0],
        common=None if means is None else means[1],
        difference=difference,
        spread=spread,
        rows=sum(rows for rows, _ in differences),
        verdict=verdict,
        reason=reason,
    )


def judge(differences: Sequence[float], *, metric: str) -> tuple[float | None, float | None, Verdict, str]:
    """Judge by how much own models are better in each fold: the mean, its spread, the verdict and its reason."""
    if not differences:
        return None, None, "unclear", f"{metric} is not defined for both models on any fold"
    mean = statistics.fmean(differences)
    if len(differences) < _FEWEST_FOLDS:
        return mean, None, "unclear", f"{metric} is defined for both models on one fold only, which has no spread"
    spread = statistics.stdev(differences)
    measured = f"by {abs(mean):.4g} in {metric}, with a spread of {spread:.4g} over {len(differences)} folds"
    if abs(mean) <= spread or mean == 0:
        return mean, spread, "unclear", f"the difference is within the folds' spread: {measured}"
    if mean > 0:
        return mean, spread, "own", f"the value's own model is better {measured}"
    return mean, spread, "common", f"the model for all is better {measured}"


def _list_values(scores: SegmentScores, metric: str) -> list[float | None]:
    return scores.metrics.get(metric) or [None] * len(scores.rows)


def _list_differences(folds: Sequence[ComparedFold], *, greater: bool) -> list[tuple[int, float]]:
    """List by how much the own model is better in each fold where both are defined, with the fold's rows."""
    return [
        (fold.rows, fold.own - fold.common if greater else fold.common - fold.own)
        for fold in folds
        if fold.own is not None and fold.common is not None
    ]


def _average_shared(own: Sequence[float | None], common: Sequence[float | None]) -> tuple[float, float] | None:
    """Average both over the folds where both are defined; None where there is no such fold."""
    pairs = [(one, other) for one, other in zip(own, common, strict=True) if one is not None and other is not None]
    if not pairs:
        return None
    return statistics.fmean(one for one, _ in pairs), statistics.fmean(other for _, other in pairs)
