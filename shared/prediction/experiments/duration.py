"""How long an experiment still has to run."""

import dataclasses
import math

from shared.prediction.experiments import distributions, sequences
from shared.prediction.experiments.effects import Effect

POWER = 0.8
"""The probability with which an effect of the size that is looked for is to be found."""
_MOST_UNITS = 1e15


@dataclasses.dataclass(frozen=True, kw_only=True)
class Duration:
    """The units that an experiment needs, and how many days they take; None where that can't be told, with a reason."""

    units_needed: int | None = None
    days_left: float | None = None
    reason: str | None = None


def estimate(
    relative: Effect, *, units: int, units_per_day: float, minimum_effect: float, level: sequences.Level
) -> Duration:
    """Estimate how many units find an effect of the size that is looked for, and how many days they take.

    It is the smallest N, of control and arm together, with half_width(N) + z·s·√(units/N) ≤ `minimum_effect`: s is the
    standard error so far, and z the normal quantile of the power. Then the sequence excludes 0 with that probability if
    the effect is that size. `minimum_effect` is a part of the control's mean, as `relative` is; days are counted as at
    `units_per_day`, and are 0 when there are enough units.
    """
    if relative.standard_error is None:
        return Duration(reason=relative.reason)
    quantile = distributions.normal_quantile(POWER)
    spread = relative.standard_error * math.sqrt(units)

    def reach(count: float) -> float:
        error = spread / math.sqrt(count)
        return sequences.half_width(standard_error=error, units=count, level=level) + quantile * error

    if reach(_MOST_UNITS) > minimum_effect:
        return Duration(reason="the units differ too much from one another for an effect of this size to be found")
    low, high = 1.0, _MOST_UNITS
    while high / low > 1 + 1e-9 and high - low > 1:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if reach(middle) <= minimum_effect else (middle, high)
    needed = math.ceil(high)
    if needed <= units:
        return Duration(units_needed=needed, days_left=0.0)
    if units_per_day <= 0:
        return Duration(units_needed=needed, reason="no new unit came lately")
    return Duration(units_needed=needed, days_left=(needed - units) / units_per_day)
