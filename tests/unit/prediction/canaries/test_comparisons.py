"""Comparisons: they find what is there, and seldom what isn't, however often one looks."""

import math
import random

import pytest

from shared.prediction.records import latencies
from workers.prediction.canaries.comparisons import (
    Sums,
    compare_means,
    compare_quantiles,
    count_as_sums,
    find_quantile,
    sums_of,
)


def sums(values: list[float]) -> Sums:
    return Sums(len(values), sum(values), sum(value * value for value in values))


def histogram(values: list[float]) -> dict[int, int]:
    counted: dict[int, int] = {}
    for value in values:
        bucket = latencies.bucket_of(value)
        counted[bucket] = counted.get(bucket, 0) + 1
    return counted


def test_worse_is_positive_whichever_way_is_better() -> None:
    good, bad = sums([1.0, 1.0, 0.0] * 400), sums([0.0, 0.0, 1.0] * 400)
    assert compare_means(bad, good, greater_is_better=True).at_least > 0.2
    assert compare_means(bad, good, greater_is_better=False).at_most < -0.2


def test_the_half_width_is_that_of_the_formula() -> None:
    # By hand: N = 2000, s² = 0.25·(1/1000 + 1/1000)·(1000/999), alpha = 0.05, N* = 5000.
    group = sums([0.0, 1.0] * 500)
    found = compare_means(group, group, greater_is_better=True)
    rho2 = (5.991464547 + math.log(6.991464547)) / 5000
    s = math.sqrt(2 * 0.25 * (1000 / 999) / 1000)
    spread = 2000 * rho2 + 1
    half = s * math.sqrt(2000) * math.sqrt(2 * spread / (2000**2 * rho2) * math.log(math.sqrt(spread) / 0.05))
    assert found.worse_by == 0.0
    assert found.at_most == pytest.approx(half, rel=1e-9)
    assert found.at_least == -found.at_most


def test_equal_arms_are_seldom_told_apart_however_often_one_looks() -> None:
    chance = random.Random(7)
    runs, wrong = 300, 0
    for _ in range(runs):
        canary, stable = [0, 0], [0, 0]
        for _look in range(40):
            for side in (canary, stable):
                side[0] += 50
                side[1] += sum(chance.random() < 0.2 for _ in range(50))
            groups = [Sums(count, hits, hits) for count, hits in (canary, stable)]
            if compare_means(*groups, greater_is_better=False).at_least > 0:
                wrong += 1
                break
    # One-sided at most 5 %, and three standard errors of 300 runs.
    assert wrong / runs < 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_nothing_is_known_of_nobody() -> None:
    assert math.isnan(compare_means(Sums(0, 0, 0), sums([1.0, 2.0]), greater_is_better=True).at_least)
    assert math.isnan(compare_means(sums([1.0]), sums([1.0, 2.0]), greater_is_better=True).at_least)


def test_no_error_in_few_requests_is_not_taken_for_never() -> None:
    few = compare_means(count_as_sums(0, 20), count_as_sums(0, 2000), greater_is_better=False)
    many = compare_means(count_as_sums(0, 2000), count_as_sums(0, 2000), greater_is_better=False)
    assert few.at_most > 0.1 > many.at_most > 0


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_a_slower_tail_is_found_and_an_equal_one_is_not(factor: float) -> None:
    chance = random.Random(9)
    stable = [chance.lognormvariate(-6, 0.5) for _ in range(4000)]
    canary = [factor * chance.lognormvariate(-6, 0.5) for _ in range(4000)]
    found = compare_quantiles(histogram(canary), histogram(stable), quantile=0.99)
    assert (found.at_least > 0) is (factor > 1)
    assert math.isfinite(found.at_most)
    assert find_quantile(histogram(canary), 0.5) == pytest.approx(factor * math.exp(-6), rel=0.15)


def test_the_tail_of_few_requests_may_be_anything() -> None:
    few = histogram([0.001] * 50)
    assert compare_quantiles(few, histogram([0.001] * 5000), quantile=0.99).at_most == math.inf


def test_the_sums_of_latencies_are_near_their_own() -> None:
    values = [0.001 * each for each in range(1, 200)]
    assert sums_of(histogram(values)).mean == pytest.approx(sums(values).mean, rel=0.02)
