"""What an experiment keeps of each arm: sums over units, from which every figure of its report is computed.

A unit is what was randomized, such as a customer, never a request: requests of one customer resemble one another, and
counting them as independent makes an effect look surer than it is. So a unit's requests are first added up, and only
then are units summed.
"""

import dataclasses
import math
from collections.abc import Iterable
from typing import Self

_LEAST_SPREAD = 1e-12
"""A variance below this part of the mean square can't be told from the rounding of the sums."""
_TOO_LARGE = "the values are too large to be summed"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sums:
    """Sums of a metric over the units of one arm; those of disjoint sets of units add up.

    With y a unit's value, these are n, Σy and Σy². A ratio, such as correct predictions per prediction, has x too, the
    unit's denominator: Σx, Σx² and Σxy.
    """

    units: int = 0
    total: float = 0.0
    squares: float = 0.0
    denominator_total: float | None = None
    denominator_squares: float | None = None
    products: float | None = None

    def __add__(self, other: Self) -> "Sums":
        if self.units == 0 or other.units == 0:
            return other if self.units == 0 else self
        if self.is_ratio != other.is_ratio:
            raise ValueError("sums of a ratio and of a mean can't be added; they are of different metrics")
        return Sums(
            units=self.units + other.units,
            total=self.total + other.total,
            squares=self.squares + other.squares,
            denominator_total=_add(self.denominator_total, other.denominator_total),
            denominator_squares=_add(self.denominator_squares, other.denominator_squares),
            products=_add(self.products, other.products),
        )

    @property
    def is_ratio(self) -> bool:
        """Whether units have a denominator."""
        return self.denominator_total is not None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """An arm's mean and the variance of one unit's contribution to it, so that variance/units is its error squared."""

    units: int
    mean: float | None
    variance: float | None
    reason: str | None = None
    """Why the mean or the variance is None."""


def add_units(values: Iterable[float], *, denominators: Iterable[float] | None = None) -> Sums:
    """Sum one value a unit, and one denominator a unit where the metric is a ratio; they have the same order."""
    tops = list(values)
    plain = Sums(units=len(tops), total=math.fsum(tops), squares=math.fsum(top * top for top in tops))
    if denominators is None:
        return plain
    bottoms = list(denominators)
    return dataclasses.replace(
        plain,
        denominator_total=math.fsum(bottoms),
        denominator_squares=math.fsum(bottom * bottom for bottom in bottoms),
        products=math.fsum(top * bottom for top, bottom in zip(tops, bottoms, strict=True)),
    )


def summarize(sums: Sums) -> Summary:
    """Compute an arm's mean and variance.

    Of a mean: ȳ = Σy/n and s² = (Σy² - (Σy)²/n)/(n - 1). Of a ratio R = Σy/Σx, by the delta method,
    s² = (s_y² - 2·R·s_xy + R²·s_x²)/x̄², with the covariance s_xy = (Σxy - Σx·Σy/n)/(n - 1).
    Source: Deng, Knoblich and Lu, "Applying the Delta Method in Metric Analytics", arXiv 1803.06336, eq. 3.
    """
    figures = (sums.total, sums.squares, sums.denominator_total, sums.denominator_squares, sums.products)
    if not all(math.isfinite(figure) for figure in figures if figure is not None):
        return Summary(units=sums.units, mean=None, variance=None, reason=_TOO_LARGE)
    if sums.units == 0:
        return Summary(units=0, mean=None, variance=None, reason="there are no units")
    mean, scale = _mean(sums)
    if mean is None:
        return Summary(units=sums.units, mean=None, variance=None, reason="the denominators add up to 0")
    if sums.units == 1:
        return Summary(units=1, mean=mean, variance=None, reason="there is one unit; a variance needs two")
    variance = _variance(sums, mean) / scale / scale
    if not math.isfinite(variance):
        return Summary(units=sums.units, mean=mean, variance=None, reason=_TOO_LARGE)
    if variance <= _LEAST_SPREAD * sums.squares / sums.units / scale / scale:
        return Summary(units=sums.units, mean=mean, variance=None, reason="all units have the same value so far")
    return Summary(units=sums.units, mean=mean, variance=variance)


def _mean(sums: Sums) -> tuple[float | None, float]:
    """Compute the mean, and what a unit's value is divided by, which is 1 but for a ratio."""
    if sums.denominator_total is None:
        return sums.total / sums.units, 1.0
    if sums.denominator_total == 0:
        return None, 1.0
    return sums.total / sums.denominator_total, sums.denominator_total / sums.units


def _variance(sums: Sums, mean: float) -> float:
    spread = _covariance(sums, sums.squares, sums.total, sums.total)
    if sums.denominator_total is None or sums.denominator_squares is None or sums.products is None:
        return spread
    bottom = _covariance(sums, sums.denominator_squares, sums.denominator_total, sums.denominator_total)
    cross = _covariance(sums, sums.products, sums.total, sums.denominator_total)
    return spread - 2 * mean * cross + mean * mean * bottom


def _covariance(sums: Sums, products: float, left: float, right: float) -> float:
    return (products - left * right / sums.units) / (sums.units - 1)


def _add(left: float | None, right: float | None) -> float | None:
    return None if left is None or right is None else left + right
