"""Thompson's weights."""

import math

import numpy as np
import pytest

from shared.prediction.experiments import bandit
from shared.prediction.experiments.document import Better
from shared.prediction.experiments.sums import Summary


def arms(*means: float, units: int = 1000, variance: float | None = 0.2) -> list[Summary]:
    return [Summary(units=units, mean=mean, variance=variance) for mean in means]


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_an_arms_share_is_how_often_draws_find_it_the_best(better: Better) -> None:
    given = [
        Summary(units=400, mean=0.20, variance=0.16),
        Summary(units=5000, mean=0.22, variance=0.17),
        Summary(units=900, mean=0.21, variance=0.165),
    ]
    found = bandit.choose_weights(given, better=better)
    scales = [math.sqrt((arm.variance or 0) / arm.units) for arm in given]
    draws = np.random.default_rng(1).normal([arm.mean or 0 for arm in given], scales, (400_000, 3))
    best = draws.argmax(axis=1) if better == "higher" else draws.argmin(axis=1)
    expected = np.bincount(best, minlength=3) / len(draws)
    assert found.best == pytest.approx(expected, abs=0.004)
    assert found.shares == pytest.approx(0.01 + 0.97 * expected, abs=0.004)
    assert sum(found.shares or []) == pytest.approx(1)


def test_an_arm_that_has_lost_keeps_one_percent() -> None:
    assert bandit.choose_weights(arms(0.1, 0.5, 0.9), better="higher").shares == pytest.approx([0.01, 0.01, 0.98])


def test_arms_that_are_alike_share_alike() -> None:
    assert bandit.choose_weights(arms(0.5, 0.5, 0.5, 0.5), better="higher").shares == pytest.approx([0.25] * 4)


def test_an_arm_without_any_success_yet_is_not_taken_for_certain() -> None:
    given = [*arms(0.02, 0.03, units=100, variance=0.02), *arms(0.0, units=100, variance=None)]
    best = bandit.choose_weights(given, better="higher").best
    assert best is not None
    assert 0.01 < best[2] < 0.3


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (arms(0.1, 0.2), "there are 2 arms; weights move with 3 or more"),
        ([*arms(0.1, 0.2), *arms(0.3, units=99)], "1 of the arms have fewer than 100 units; weights move once all do"),
        (arms(0.1, 0.1, 0.1, variance=None), "there is no arm in which units differ"),
    ],
)
def test_weights_that_stay_say_why(given: list[Summary], reason: str) -> None:
    found = bandit.choose_weights(given, better="higher")
    assert found.shares is None
    assert reason in str(found.reason)
