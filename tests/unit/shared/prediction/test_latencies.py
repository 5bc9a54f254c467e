"""Histograms of latencies: they add up, and their quantiles are near those of the latencies themselves."""

import math
import random

import pytest

from shared.prediction.records import latencies


def histogram(values: list[float]) -> dict[int, int]:
    counted: dict[int, int] = {}
    for value in values:
        bucket = latencies.bucket_of(value)
        counted[bucket] = counted.get(bucket, 0) + 1
    return counted


@pytest.mark.parametrize("quantile", [0.01, 0.5, 0.9, 0.99])
def test_quantiles_are_within_five_percent(quantile: float) -> None:
    chance = random.Random(3)
    values = sorted(chance.lognormvariate(-6, 1) for _ in range(5000))
    rank = math.ceil(quantile * len(values))
    assert latencies.find_rank(histogram(values), rank) == pytest.approx(values[rank - 1], rel=0.05)


def test_two_histograms_add_up_to_that_of_all() -> None:
    chance = random.Random(4)
    values = [chance.expovariate(1000) for _ in range(500)]
    assert latencies.merge(histogram(values[:100]), histogram(values[100:])) == dict(sorted(histogram(values).items()))


@pytest.mark.parametrize(("seconds", "bucket"), [(0.0, 0), (-1.0, 0), (1e-6, 0), (1e9, latencies.LAST)])
def test_what_is_beyond_the_buckets_is_in_the_first_or_last(seconds: float, bucket: int) -> None:
    assert latencies.bucket_of(seconds) == bucket


def test_nothing_has_no_quantile() -> None:
    assert math.isnan(latencies.find_rank({}, 1))
