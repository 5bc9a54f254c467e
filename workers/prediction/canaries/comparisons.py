"""Compares a figure of two groups by confidence sequences, which hold however often one looks.

Every comparison is of how much worse the canary is, so that greater is worse for each figure.
"""

import dataclasses
import math

from shared.prediction.experiments import sequences
from shared.prediction.records import latencies

_LEVEL = sequences.Level(alpha=0.05, tuning_units=5000)
_LOOKS_Z = 3.5
"""For quantiles: about 0.05 shared by a hundred looks."""


@dataclasses.dataclass(frozen=True)
class Sums:
    """A group of units as far as means need it."""

    count: int
    total: float
    squares: float

    @property
    def mean(self) -> float:
        """The mean; NaN of nothing."""
        return self.total / self.count if self.count else math.nan

    @property
    def variance(self) -> float:
        """The variance of one unit about the mean, with n - 1; NaN of fewer than two."""
        if self.count < 2:
            return math.nan
        return max(0.0, (self.squares - self.total**2 / self.count) / (self.count - 1))


@dataclasses.dataclass(frozen=True)
class Difference:
    """By how much one group is worse than another, and what it may be; NaN where that can't be said."""

    worse_by: float
    at_least: float
    at_most: float


def compare_means(canary: Sums, stable: Sums, *, greater_is_better: bool) -> Difference:
    """Compare means by the asymptotic confidence sequence of `shared.prediction.experiments.sequences`."""
    difference = stable.mean - canary.mean if greater_is_better else canary.mean - stable.mean
    if not canary.count or not stable.count:
        return Difference(difference, math.nan, math.nan)
    error = math.sqrt(canary.variance / canary.count + stable.variance / stable.count)
    half = sequences.half_width(standard_error=error, units=canary.count + stable.count, level=_LEVEL)
    return Difference(difference, difference - half, difference + half)


def compare_with_all(disagreeing: int, trials: int) -> Difference:
    """Compare a share of trials that agree with all of them, by the same sequence."""
    sums = count_as_sums(disagreeing, trials)
    half = sequences.half_width(
        standard_error=math.sqrt(sums.variance / sums.count), units=float(sums.count), level=_LEVEL
    )
    share = disagreeing / trials if trials else math.nan
    return Difference(share, max(0.0, sums.mean - half), min(1.0, sums.mean + half))


def count_as_sums(successes: int, trials: int) -> Sums:
    """Make the sums of a share, with one success and one failure more, so that 0 of 200 isn't taken for never.

    Source: Agresti and Caffo, The American Statistician 54 (2000).
    """
    return Sums(trials + 2, successes + 1.0, successes + 1.0)


def compare_quantiles(canary: latencies.Histogram, stable: latencies.Histogram, *, quantile: float) -> Difference:
    """Compare a quantile of latencies by the order statistics that surround it in each group."""
    low, value, high = _find_bounds(canary, quantile)
    other_low, other_value, other_high = _find_bounds(stable, quantile)
    return Difference(value - other_value, low - other_high, high - other_low)


def sums_of(histogram: latencies.Histogram) -> Sums:
    """Make the sums of latencies, as exact as their buckets are."""
    pairs = [(latencies.seconds_of(bucket), count) for bucket, count in histogram.items()]
    return Sums(
        sum(count for _, count in pairs),
        sum(seconds * count for seconds, count in pairs),
        sum(seconds**2 * count for seconds, count in pairs),
    )


def find_quantile(histogram: latencies.Histogram, quantile: float) -> float:
    """Find a quantile, in seconds; NaN of nothing."""
    return latencies.find_rank(histogram, max(1, math.ceil(sum(histogram.values()) * quantile)))


def _find_bounds(histogram: latencies.Histogram, quantile: float) -> tuple[float, float, float]:
    """Find a quantile, and the order statistics between which that of all requests ever is."""
    count = sum(histogram.values())
    reach = _LOOKS_Z * math.sqrt(count * quantile * (1 - quantile))
    lower, upper = math.floor(count * quantile - reach), math.ceil(count * quantile + reach) + 1
    return (
        latencies.find_rank(histogram, lower) if lower >= 1 else 0.0,
        find_quantile(histogram, quantile),
        latencies.find_rank(histogram, upper) if upper <= count else math.inf,
    )
