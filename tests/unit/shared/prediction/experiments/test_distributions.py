"""Tails and quantiles equal those of scipy, which the API doesn't load."""

import math

import pytest
from scipy import stats

from shared.prediction.experiments import distributions


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 7, 18, 19, 40])
@pytest.mark.parametrize("statistic", [1e-9, 0.3, 3.84, 25.0, 64.0, 400.0, 3000.0])
def test_the_tail_of_chi_squared_is_scipys(degrees: int, statistic: float) -> None:
    expected = float(stats.chi2.sf(statistic, degrees))
    assert distributions.chi_squared_tail(statistic, degrees=degrees) == pytest.approx(expected, rel=1e-11, abs=1e-300)


@pytest.mark.parametrize("statistic", [0.0, -1.0])
def test_no_deviation_at_all_is_certain_to_be_reached(statistic: float) -> None:
    assert distributions.chi_squared_tail(statistic, degrees=3) == 1


@pytest.mark.parametrize("degrees", [1.0, 1.7, 5.0, 29.3, 99.0, 101.0, 4998.2, 2e6, 1e9])
@pytest.mark.parametrize("statistic", [0.0, 1e-6, 0.4, -1.96, 4.5, 30.0])
def test_the_tails_of_student_are_scipys(degrees: float, statistic: float) -> None:
    expected = 2 * float(stats.t.sf(abs(statistic), degrees))
    found = distributions.student_two_sided(statistic, degrees=degrees)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-290)


@pytest.mark.parametrize("degrees", [1.0, 1.7, 5.0, 99.0, 4998.2, 2e6])
@pytest.mark.parametrize("alpha", [1e-6, 0.001, 0.05, 0.3, 0.99])
def test_the_quantiles_of_student_are_scipys(degrees: float, alpha: float) -> None:
    expected = float(stats.t.isf(alpha / 2, degrees))
    assert distributions.student_quantile(alpha, degrees=degrees) == pytest.approx(expected, rel=1e-10)


def test_a_deviation_beyond_all_numbers_has_no_tail() -> None:
    assert distributions.student_two_sided(1e200, degrees=10) == 0
    assert distributions.student_two_sided(math.inf, degrees=10) == 0
