"""Effects of arms: what is undefined says why, and nothing is NaN."""

import math

import hypothesis
import pytest
from hypothesis import strategies as st

from shared.prediction.experiments import effects, sequences, sums

LEVEL = sequences.Level(alpha=0.05, tuning_units=5000)
FIGURES = st.floats(allow_nan=False, allow_infinity=False)


def summary(mean: float, variance: float = 1.0, units: int = 1000) -> sums.Summary:
    return sums.Summary(units=units, mean=mean, variance=variance)


def test_an_effect_is_told_in_the_metrics_unit_and_as_a_part_of_the_control() -> None:
    found = effects.compare(summary(4.0, 2.0, 200), summary(5.0, 3.0, 300), level=LEVEL)
    assert found.absolute.estimate == 1.0
    assert found.absolute.standard_error == pytest.approx(math.sqrt(2 / 200 + 3 / 300))
    assert found.relative.estimate == 0.25
    assert found.relative.standard_error == pytest.approx(math.sqrt(3 / (16 * 300) + 2 * 25 / (256 * 200)))
    assert found.absolute.sequence is not None
    assert found.absolute.plain is not None
    assert found.absolute.sequence.low < found.absolute.plain.low < 1.0 < found.absolute.plain.high


@pytest.mark.parametrize("mean", [0.0, -2.0])
def test_there_is_no_relative_effect_of_a_control_that_is_not_positive(mean: float) -> None:
    found = effects.compare(summary(mean), summary(1.0), level=LEVEL)
    assert found.absolute.estimate == 1.0 - mean
    assert found.relative.estimate is None
    assert f"the control's mean is {mean:g}" in str(found.relative.reason)


def test_the_reason_of_an_arm_is_the_reason_of_its_effect() -> None:
    found = effects.compare(summary(1.0), sums.summarize(sums.Sums()), level=LEVEL)
    assert found.absolute == found.relative == effects.Effect(reason="in the arm, there are no units")


@hypothesis.given(
    st.tuples(FIGURES, FIGURES, st.integers(0, 10**9)), st.tuples(FIGURES, FIGURES, st.integers(0, 10**9))
)
def test_no_figure_is_ever_nan_or_infinite(first: tuple[float, float, int], second: tuple[float, float, int]) -> None:
    arms = [
        sums.summarize(sums.Sums(units=n, total=total, squares=abs(square))) for total, square, n in (first, second)
    ]
    found = effects.compare(arms[0], arms[1], level=LEVEL)
    for effect in (found.absolute, found.relative):
        figures = [effect.estimate, effect.standard_error]
        for interval in (effect.sequence, effect.plain):
            figures += [interval.low, interval.high, interval.p] if interval else [None]
        if effect.reason is None:
            assert all(figure is not None and math.isfinite(figure) for figure in figures)
        else:
            assert figures == [None] * 4
