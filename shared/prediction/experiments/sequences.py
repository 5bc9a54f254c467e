"""Intervals and p-values that hold at every look, so that whoever watches an experiment may stop it at any time.

A plain 95 % interval is right once. Looked at 200 times it excludes the truth in two runs of five.
"""

import dataclasses
import math


@dataclasses.dataclass(frozen=True, kw_only=True)
class Level:
    """How sure an experiment's sequence is to be, and for which size it is narrowest. Fixed at the start.

    `alpha`, in (0, 1), bounds the probability that the truth is ever outside; `tuning_units` is the number of units, of
    both arms together, for which the interval is about as narrow as it can be.
    """

    alpha: float
    tuning_units: float

    @property
    def rho(self) -> float:
        """Compute rho = √((-2·ln alpha + ln(-2·ln alpha + 1))/N*), by eq. 161 of arXiv 2103.06476v7."""
        surprise = -2 * math.log(self.alpha)
        return math.sqrt((surprise + math.log(surprise + 1)) / self.tuning_units)


def half_width(*, standard_error: float, units: float, level: Level) -> float:
    """Compute half the width of an asymptotic confidence sequence, in the unit of the estimate.

    With s the estimate's standard error at N units and t = N·rho² + 1, it is s·√N·√(2·t/(N·rho)²·ln(√t/alpha)).
    Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, arXiv 2103.06476, eq. 9. It holds as N grows, whatever the
    distribution of the units is; with a handful of units nothing is promised.
    """
    growth = units * level.rho**2 + 1
    return (
        standard_error
        * math.sqrt(units)
        * math.sqrt(2 * growth * (0.5 * math.log(growth) - math.log(level.alpha)))
        / (units * level.rho)
    )


def always_valid_p(*, estimate: float, standard_error: float, units: int, level: Level) -> float:
    """Compute the p-value of "the effect is 0" that holds at every look, in [0, 1].

    With d the estimate, it is min(1, √t·exp(-rho²·d²·N/s²/(2·t))), and below alpha just where the sequence excludes 0.
    Source: arXiv 2103.06476v7, eq. 155.
    """
    growth = units * level.rho**2 + 1
    # Divided before it is squared, since the square of a great ratio overflows.
    deviation = level.rho * (estimate / standard_error) * math.sqrt(units / (2 * growth))
    return min(1.0, math.exp(0.5 * math.log(growth) - min(deviation, 1e6, key=abs) ** 2))
