"""Sums of arms: they add up, and means and variances are computed from them alone."""

import math

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from shared.prediction.experiments import sums

values = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50)


@hypothesis.given(values)
def test_the_mean_and_the_variance_are_those_of_the_units(drawn: list[float]) -> None:
    found = sums.summarize(sums.add_units(drawn))
    assert found.mean == pytest.approx(np.mean(drawn), rel=1e-9, abs=1e-9)
    if found.variance is None:
        assert np.var(drawn, ddof=1) <= 1e-11 * np.mean(np.square(drawn)) + 1e-300
        assert found.reason == "all units have the same value so far"
    else:
        assert found.variance == pytest.approx(np.var(drawn, ddof=1), rel=1e-3)


@hypothesis.given(values, values)
def test_sums_of_disjoint_units_add_up(first: list[float], second: list[float]) -> None:
    added, whole = sums.add_units(first) + sums.add_units(second), sums.add_units(first + second)
    assert added.units == whole.units
    assert added.total == pytest.approx(whole.total, rel=1e-9, abs=1e-3)
    assert added.squares == pytest.approx(whole.squares, rel=1e-9, abs=1e-3)


def test_sums_of_a_ratio_add_up_in_all_parts() -> None:
    added = sums.add_units([1, 2], denominators=[3, 4]) + sums.add_units([5], denominators=[6])
    assert added == sums.add_units([1, 2, 5], denominators=[3, 4, 6])
    assert added + sums.Sums() == sums.Sums() + added == added


def test_sums_of_a_ratio_and_of_a_mean_are_not_mixed_up() -> None:
    with pytest.raises(ValueError, match="of different metrics"):
        sums.add_units([1]) + sums.add_units([1], denominators=[1])


def test_a_ratios_error_is_the_spread_of_simulated_ratios() -> None:
    generator = np.random.default_rng(5)
    size, runs = 400, 4000
    rates = generator.beta(2, 3, (runs, size))
    requests = 1 + generator.poisson(4 + 6 * rates)
    hits = generator.binomial(requests, rates)
    ratios = hits.sum(axis=1) / requests.sum(axis=1)
    computed = [
        sums.summarize(sums.add_units(map(float, top), denominators=map(float, bottom)))
        for top, bottom in zip(hits[:200], requests[:200], strict=True)
    ]
    errors = [math.sqrt(each.variance / size) for each in computed if each.variance is not None]
    assert computed[0].mean == pytest.approx(ratios[0])
    assert np.mean(errors) == pytest.approx(np.std(ratios, ddof=1), rel=0.05)
    # What taking requests for units would say is far from it.
    naive = math.sqrt(np.mean(ratios) * (1 - np.mean(ratios)) / (requests.sum() / runs))
    assert naive < 0.7 * np.mean(errors)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (sums.Sums(), "there are no units"),
        (sums.add_units([3.0]), "there is one unit; a variance needs two"),
        (sums.add_units([0.1] * 1000), "all units have the same value so far"),
        (sums.add_units([1.0, 2.0], denominators=[0.0, 0.0]), "the denominators add up to 0"),
        (sums.Sums(units=2, total=1e308, squares=math.inf), "the values are too large to be summed"),
        (sums.Sums(units=2, total=math.nan, squares=1.0), "the values are too large to be summed"),
    ],
)
def test_what_is_undefined_has_a_reason(given: sums.Sums, reason: str) -> None:
    found = sums.summarize(given)
    assert found.variance is None
    assert found.reason == reason
