"""Whether arms have the units that they should have; where they don't, nothing else in a report can be trusted."""

import dataclasses
import math
from collections.abc import Sequence

from shared.prediction.experiments import distributions

ALARM_P = 0.001
"""Below this a report raises an alarm. It is small because a report is looked at many times."""
MOST_STRAY = 0.01
"""The share of units in arms without a weight from which a report raises an alarm."""
_DEPENDENT = 1e-9
"""A count whose variance given the others is below this part of its variance follows from them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Period:
    """A time in which weights did not change: the units first seen in it, and the weights, both by arm."""

    units: Sequence[int]
    weights: Sequence[float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChiSquaredTest:
    """What a chi-squared test found; `p` is None where there was nothing to test, and `reason` says why."""

    expected: list[float]
    statistic: float | None = None
    p: float | None = None
    stray: int = 0
    """Units in an arm that had no weight when they were first seen; a few are seen while a change spreads."""
    reason: str | None = None

    @property
    def alarm(self) -> bool:
        """Whether the units are not what they should be."""
        return (self.p is not None and self.p < ALARM_P) or self.stray > MOST_STRAY * (sum(self.expected) + self.stray)


def check_arms(periods: Sequence[Period]) -> ChiSquaredTest:
    """Test whether the units that arms got agree with the weights, given their arms in the same order in each period.

    With n_p units in the period p and the weights w_p, arm i is to get e_i = Σ n_p·w_pi units, and the counts o have
    the covariance C = Σ n_p·(diag(w_p) - w_p·w_pᵀ). The statistic (o - e)ᵀ·C⁻·(o - e) has a chi-squared distribution
    with as many degrees of freedom as C has rank. With one period that is Pearson's Σ(o - e)²/e and the number of arms
    less one. Raises ValueError when periods differ in how many arms they have.
    """
    arms = len(periods[0].units) if periods else 0
    if any(len(period.units) != arms or len(period.weights) != arms for period in periods):
        raise ValueError("each period must have the same arms, each with its units and its weight")
    stray = sum(count for period in periods for count, weight in zip(*_pair(period), strict=True) if weight <= 0)
    due = [[count if weight > 0 else 0 for count, weight in zip(*_pair(period), strict=True)] for period in periods]
    shares = [_divide(period) for period in periods]
    sizes = [sum(counts) for counts in due]
    expected = [sum(size * share[arm] for size, share in zip(sizes, shares, strict=True)) for arm in range(arms)]
    if not sum(sizes):
        return ChiSquaredTest(expected=expected, stray=stray, reason="no unit was seen")
    gaps = [sum(counts[arm] for counts in due) - expected[arm] for arm in range(arms)]
    covariance = [
        [
            sum(size * share[one] * ((one == other) - share[other]) for size, share in zip(sizes, shares, strict=True))
            for other in range(arms)
        ]
        for one in range(arms)
    ]
    statistic, degrees = _measure(gaps, covariance)
    if not degrees:
        return ChiSquaredTest(expected=expected, stray=stray, reason="one arm has all the weight")
    p = distributions.chi_squared_tail(statistic, degrees=degrees)
    return ChiSquaredTest(expected=expected, statistic=statistic, p=p, stray=stray)


def check_equal_shares(*, having: Sequence[int], units: Sequence[int]) -> ChiSquaredTest:
    """Test whether the share of units that have something, such as feedback, is the same in each arm.

    Pearson's test of a table of 2 rows: Σ(o - e)²/e over those that have it and those that don't, where each arm is
    expected to have the share of all. `expected` are the units of each arm that are expected to have it.
    """
    total, total_having = sum(units), sum(having)
    share = total_having / total if total else 0.0
    expected = [count * share for count in units]
    tested = [arm for arm, count in enumerate(units) if count > 0]
    if len(tested) < 2:
        return ChiSquaredTest(expected=expected, reason="fewer than two arms have units")
    if total_having in {0, total}:
        return ChiSquaredTest(
            expected=expected, reason="all units have feedback" if total_having else "no unit has feedback"
        )
    statistic = sum(
        (having[arm] - expected[arm]) ** 2 / expected[arm]
        + (having[arm] - expected[arm]) ** 2 / (units[arm] - expected[arm])
        for arm in tested
    )
    p = distributions.chi_squared_tail(statistic, degrees=len(tested) - 1)
    return ChiSquaredTest(expected=expected, statistic=statistic, p=p)


def _pair(period: Period) -> tuple[Sequence[int], Sequence[float]]:
    return period.units, period.weights


def _divide(period: Period) -> list[float]:
    total = sum(period.weights)
    return [weight / total if total > 0 else 0.0 for weight in period.weights]


def _measure(gaps: Sequence[float], covariance: Sequence[Sequence[float]]) -> tuple[float, int]:
    """Compute gapsᵀ·C⁻·gaps and the rank of C, by Cholesky's factors, without the rows that follow from others."""
    rows: list[tuple[int, list[float]]] = []
    whitened: list[float] = []
    for index, gap in enumerate(gaps):
        row: list[float] = []
        for position, (other, earlier) in enumerate(rows):
            known = sum(left * right for left, right in zip(row, earlier, strict=False))
            row.append((covariance[index][other] - known) / earlier[position])
        rest = covariance[index][index] - sum(part * part for part in row)
        if rest <= _DEPENDENT * covariance[index][index]:
            continue
        deviation = math.sqrt(rest)
        whitened.append((gap - sum(part * other for part, other in zip(row, whitened, strict=True))) / deviation)
        rows.append((index, [*row, deviation]))
    return math.fsum(part * part for part in whitened), len(whitened)
