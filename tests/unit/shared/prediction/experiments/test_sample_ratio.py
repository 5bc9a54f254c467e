"""Whether arms got their share of units, and whether feedback came from all alike."""

import numpy as np
import pytest
from scipy import stats

from shared.prediction.experiments import sample_ratio
from shared.prediction.experiments.sample_ratio import Period


def test_a_planted_split_of_46_to_54_among_10000_units_is_flagged() -> None:
    found = sample_ratio.check_arms([Period(units=[4600, 5400], weights=[50, 50])])
    assert found.alarm
    assert found.p == pytest.approx(float(stats.chi2.sf(64, 1)), rel=1e-9)
    assert found.expected == [5000, 5000]


@pytest.mark.parametrize(
    ("units", "weights"),
    [([4981, 5019], [1, 1]), ([480, 310, 211], [5, 3, 2]), ([3000, 10, 995], [30, 0.1, 10])],
)
def test_with_one_period_it_is_pearsons_test(units: list[int], weights: list[float]) -> None:
    found = sample_ratio.check_arms([Period(units=units, weights=weights)])
    expected = np.array(weights) / sum(weights) * sum(units)
    assert found.statistic == pytest.approx(stats.chisquare(units, expected).statistic)
    assert found.p == pytest.approx(stats.chisquare(units, expected).pvalue)


def test_units_are_expected_by_the_weights_of_the_time_when_they_came() -> None:
    # 95:5 while 10,000 came, and then 50:50 for 2,000; today's weights alone would expect 6,000 each.
    periods = [Period(units=[9490, 510], weights=[95, 5]), Period(units=[1010, 990], weights=[50, 50])]
    found = sample_ratio.check_arms(periods)
    assert found.expected == pytest.approx([10_500, 1500])
    assert not found.alarm


def test_with_weights_that_change_false_alarms_are_as_frequent_as_their_level_says() -> None:
    generator = np.random.default_rng(11)
    plans = [(4000, [0.9, 0.05, 0.05]), (3000, [0.5, 0.25, 0.25]), (2000, [0.1, 0.0, 0.9])]
    runs = [
        sample_ratio.check_arms(
            [Period(units=generator.multinomial(size, weights).tolist(), weights=weights) for size, weights in plans]
        ).p
        for _ in range(4000)
    ]
    found = sum(p is not None and p < 0.05 for p in runs) / len(runs)
    assert 0.04 < found < 0.06


def test_arms_that_never_ran_at_one_time_are_each_held_to_those_that_did() -> None:
    even = [Period(units=[500, 500, 0, 0], weights=[1, 1, 0, 0]), Period(units=[0, 0, 510, 490], weights=[0, 0, 1, 1])]
    skewed = [even[0], Period(units=[0, 0, 700, 300], weights=[0, 0, 1, 1])]
    assert not sample_ratio.check_arms(even).alarm
    assert sample_ratio.check_arms(skewed).alarm
    assert sample_ratio.check_arms(skewed).statistic == pytest.approx(160)


def test_a_few_units_of_an_arm_without_weight_are_counted_and_many_raise_the_alarm() -> None:
    few = sample_ratio.check_arms([Period(units=[500, 505, 3], weights=[1, 1, 0])])
    many = sample_ratio.check_arms([Period(units=[500, 505, 300], weights=[1, 1, 0])])
    assert (few.stray, few.alarm) == (3, False)
    assert (many.stray, many.alarm) == (300, True)


@pytest.mark.parametrize(
    ("periods", "reason"),
    [
        ([], "no unit was seen"),
        ([Period(units=[0, 0], weights=[1, 1])], "no unit was seen"),
        ([Period(units=[10, 0], weights=[1, 0])], "one arm has all the weight"),
    ],
)
def test_where_there_is_nothing_to_test_it_says_so(periods: list[Period], reason: str) -> None:
    found = sample_ratio.check_arms(periods)
    assert (found.p, found.reason, found.alarm) == (None, reason, False)


def test_periods_of_different_arms_are_refused() -> None:
    with pytest.raises(ValueError, match="the same arms"):
        sample_ratio.check_arms([Period(units=[1, 2], weights=[1, 1]), Period(units=[1], weights=[1])])


def test_feedback_that_comes_from_one_arm_more_than_from_another_is_flagged() -> None:
    found = sample_ratio.check_equal_shares(having=[3000, 2700], units=[5000, 5000])
    table = [[3000, 2700], [2000, 2300]]
    assert found.alarm
    assert found.p == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)
    assert not sample_ratio.check_equal_shares(having=[3000, 2950], units=[5000, 5000]).alarm


@pytest.mark.parametrize(
    ("having", "units", "reason"),
    [
        ([0, 0], [10, 10], "no unit has feedback"),
        ([10, 10], [10, 10], "all units have feedback"),
        ([5, 0], [10, 0], "fewer than two arms have units"),
        ([0, 0], [0, 0], "fewer than two arms have units"),
    ],
)
def test_shares_that_can_not_be_compared_say_why(having: list[int], units: list[int], reason: str) -> None:
    found = sample_ratio.check_equal_shares(having=having, units=units)
    assert (found.p, found.reason, found.alarm) == (None, reason, False)
