"""Holm's correction."""

import numpy as np
import pytest

from shared.prediction.experiments import holm


def test_the_example_of_a_calculation_by_hand() -> None:
    assert holm.adjust([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_one_p_value_stays_as_it_is() -> None:
    assert holm.adjust([0.04]) == [0.04]


def test_what_is_unknown_stays_unknown_and_counts() -> None:
    assert holm.adjust([None, 0.02, 0.7]) == pytest.approx([None, 0.06, 1.0])
    assert holm.adjust([]) == []


def test_among_four_arms_without_an_effect_one_is_found_by_mistake_in_at_most_5_percent() -> None:
    generator = np.random.default_rng(9)
    runs = [holm.adjust(list(generator.random(4))) for _ in range(4000)]
    mistaken = sum(min(p for p in run if p is not None) < 0.05 for run in runs) / len(runs)
    assert 0.035 < mistaken <= 0.056
