"""How long an experiment has to run: the estimate is held to simulated experiments."""

import numpy as np
import pytest

from shared.prediction.experiments import duration, effects, sequences, sums
from shared.prediction.experiments.effects import Effect

LEVEL = sequences.Level(alpha=0.05, tuning_units=5000)


def early_look() -> Effect:
    arms = [sums.Summary(units=500, mean=mean, variance=0.16) for mean in (0.20, 0.21)]
    return effects.compare(arms[0], arms[1], level=LEVEL).relative


def test_with_the_units_that_are_needed_the_effect_is_found_in_about_four_of_five_runs() -> None:
    found = duration.estimate(early_look(), units=1000, units_per_day=100, minimum_effect=0.2, level=LEVEL)
    assert found.units_needed is not None
    each = found.units_needed // 2
    generator = np.random.default_rng(2)
    totals = generator.binomial(each, [[0.20], [0.24]], (2, 1000)).astype(float)
    rejected = 0
    for control, treatment in totals.T:
        arms = [sums.summarize(sums.Sums(units=each, total=total, squares=total)) for total in (control, treatment)]
        interval = effects.compare(arms[0], arms[1], level=LEVEL).absolute.sequence
        rejected += interval is not None and interval.low > 0
    assert rejected / 1000 == pytest.approx(0.8, abs=0.05)


def test_days_are_counted_at_the_rate_at_which_units_come() -> None:
    slow = duration.estimate(early_look(), units=1000, units_per_day=100, minimum_effect=0.2, level=LEVEL)
    fast = duration.estimate(early_look(), units=1000, units_per_day=200, minimum_effect=0.2, level=LEVEL)
    assert slow.units_needed == fast.units_needed
    assert slow.days_left == pytest.approx((slow.units_needed or 0) / 100 - 10)
    assert fast.days_left == pytest.approx((slow.days_left or 0) / 2)


def test_no_day_is_left_when_there_are_enough_units() -> None:
    found = duration.estimate(early_look(), units=1000, units_per_day=0, minimum_effect=5.0, level=LEVEL)
    assert found.days_left == 0


@pytest.mark.parametrize(
    ("relative", "rate", "least", "reason"),
    [
        (Effect(reason="there are no units"), 1.0, 0.1, "there are no units"),
        (early_look(), 0.0, 0.1, "no new unit came lately"),
        (early_look(), 1.0, 1e-9, "the units differ too much"),
    ],
)
def test_what_can_not_be_told_has_a_reason(relative: Effect, rate: float, least: float, reason: str) -> None:
    found = duration.estimate(relative, units=1000, units_per_day=rate, minimum_effect=least, level=LEVEL)
    assert found.days_left is None
    assert reason in str(found.reason)
