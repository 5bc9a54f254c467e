"""Weights that follow what arms have achieved so far: Thompson sampling, by the probability that each arm is the best.

A bandit loses less to bad arms than fixed weights do, and learns less about effects: its estimates are biased, because
arms that were lucky get more units. Two arms are better compared with fixed weights.
"""

import dataclasses
import math
from collections.abc import Sequence

from shared.prediction.experiments.document import Better
from shared.prediction.experiments.sums import Summary

LEAST_ARMS = 3
LEAST_UNITS = 100
"""Units that each arm must have before weights move."""
FLOOR = 0.01
"""The share that each arm keeps, so that it can still be found better later."""
_REACH, _INTERVALS = 8.0, 2000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weights:
    """Shares of the arms that add up to 1, or the reason for which they stay as they are."""

    shares: list[float] | None = None
    best: list[float] | None = None
    """The probability that each arm is the best."""
    reason: str | None = None


def choose_weights(arms: Sequence[Summary], *, better: Better) -> Weights:
    """Choose the share of each arm: f + (1 - k·f)·P, with k arms, the floor f and P the probability of being the best.

    With a flat prior and many units an arm's true mean is normal about its mean with the variance v/n. Then
    P_i = ∫ φ_i(x)·Π_{j≠i} Φ_j(x) dx, integrated by Simpson's rule, so that equal sums always lead to equal weights; it
    is what draws of Thompson sampling converge to. An arm in which all units are alike has the mean variance of others.
    """
    if len(arms) < LEAST_ARMS:
        return Weights(reason=f"there are {len(arms)} arms; weights move with {LEAST_ARMS} or more")
    few = [index for index, arm in enumerate(arms) if arm.units < LEAST_UNITS]
    if few:
        return Weights(reason=f"{len(few)} of the arms have fewer than {LEAST_UNITS} units; weights move once all do")
    means = [arm.mean for arm in arms if arm.mean is not None]
    variances = [arm.variance for arm in arms if arm.variance is not None]
    if len(means) < len(arms) or not variances:
        return Weights(reason="there is no arm in which units differ, so that nothing says how sure the means are")
    usual = sum(variances) / len(variances)
    errors = [math.sqrt((arm.variance or usual) / arm.units) for arm in arms]
    sign = 1.0 if better == "higher" else -1.0
    best = _integrate([sign * mean for mean in means], errors)
    kept = 1 - len(arms) * FLOOR
    return Weights(shares=[FLOOR + kept * chance for chance in best], best=best)


def _integrate(means: Sequence[float], errors: Sequence[float]) -> list[float]:
    """Compute the probability of each of some normal variables to be the greatest."""
    chances = [_chance_of(index, means, errors) for index in range(len(means))]
    total = sum(chances)
    return [chance / total for chance in chances]


def _chance_of(index: int, means: Sequence[float], errors: Sequence[float]) -> float:
    others = [other for other in range(len(means)) if other != index]
    step = 2 * _REACH / _INTERVALS
    terms = []
    for position in range(_INTERVALS + 1):
        z = position * step - _REACH
        x = means[index] + errors[index] * z
        below = math.prod(0.5 * math.erfc((means[other] - x) / errors[other] / math.sqrt(2)) for other in others)
        end = position in {0, _INTERVALS}
        weight = 1 if end else 4 if position % 2 else 2
        terms.append(weight * math.exp(-z * z / 2) * below)
    return math.fsum(terms) * step / 3 / math.sqrt(2 * math.pi)
