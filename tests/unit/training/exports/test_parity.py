"""An ONNX model that answers otherwise than scikit-learn is refused, with the reason."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from shared import errors
from shared.ml import predictions
from workers.training.exports import parity

pytestmark = pytest.mark.slow

LABELS = predictions.Predictions(np.array(["a", "b", "a"], dtype=object), probability=np.eye(3)[:, :2])
NUMBERS = predictions.Predictions(np.array([1.0, -1000.0]))


def reference(answers: predictions.Predictions) -> parity.Reference:
    rows = len(answers.prediction)
    return parity.Reference(pd.DataFrame(index=range(rows)), answers, training_rows=rows)


def difference(said: npt.NDArray[Any], wanted: npt.NDArray[Any], *, field: str = "prediction") -> float:
    """Compare numbers as one field of a model's answers."""
    labels = np.zeros(len(wanted), dtype=np.int64)
    answers = predictions.Predictions(wanted) if field == "prediction" else predictions.Predictions(labels, wanted)
    return parity.compare(reference(answers), {field: said}).greatest_difference


def test_a_label_that_flips_is_counted_and_refused() -> None:
    found = parity.compare(reference(LABELS), {"prediction": np.array(["a", "a", "a"], dtype=object)})
    assert found.label_mismatches == 1
    with pytest.raises(errors.BadModelError, match="another label than scikit-learn in 1 of 3 rows"):
        found.require()


def test_labels_of_booleans_are_the_numbers_that_onnx_has_for_them() -> None:
    said = predictions.Predictions(np.array([True, False]))
    assert parity.compare(reference(said), {"prediction": np.array([1, 0])}).label_mismatches == 0
    assert parity.compare(reference(said), {"prediction": np.array([1, 1])}).label_mismatches == 1


def test_a_difference_of_numbers_is_a_part_of_their_spread_or_of_the_distance_from_their_median() -> None:
    wanted = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    # The quartiles are 1 and 3, so the spread is 2 / 1.349.
    assert difference(wanted + np.array([0, 0, 1e-3, 0, 0]), wanted) == pytest.approx(1e-3 * 1.349 / 2)
    assert difference(wanted + np.array([1e-3, 0, 0, 0, 0]), wanted) == pytest.approx(1e-3 / 2)


FAR_FROM_0 = [
    (1_700_000_000, 1.0),
    (1_700_000_000, 60.0),
    (1_700_000_000_000, 60_000.0),
    (-4_000_000_000, 30.0),
    (1e15, 1e6),
]


@pytest.mark.parametrize(("offset", "spread"), FAR_FROM_0)
def test_what_float32_loses_of_numbers_far_from_0_is_refused(offset: float, spread: float) -> None:
    wanted = offset + spread * np.random.default_rng(0).normal(size=500)
    found = parity.compare(reference(predictions.Predictions(wanted)), {"prediction": wanted.astype(np.float32)})
    with pytest.raises(errors.BadModelError, match=r"of the answers' spread in 500 rows; 0\.001 is allowed"):
        found.require()


def test_neither_outliers_nor_rows_without_a_value_hide_a_difference() -> None:
    wanted = 1_700_000_000 + 60 * np.random.default_rng(0).normal(size=500)
    wanted[:50] = 0.0
    assert difference(wanted.astype(np.float32), wanted) > 0.1


def test_a_long_tail_may_be_as_inexact_as_it_is_far_out() -> None:
    wanted = np.exp(4 * np.random.default_rng(0).normal(size=500))
    assert difference(wanted.astype(np.float32), wanted) < 1e-6


def test_answers_that_are_all_the_same_but_for_rounding_are_compared_to_thirteen_digits() -> None:
    wanted = np.full(20, 1_700_000_000.4)
    assert difference(wanted, wanted) == 0
    assert difference(wanted + 1e-6, wanted) < parity.MAX_DIFFERENCE
    assert difference(wanted.astype(np.float32), wanted) > parity.MAX_DIFFERENCE
    noisy = np.nextafter(wanted, np.where(np.arange(20) % 2, np.inf, 0))
    assert difference(wanted, noisy) < parity.MAX_DIFFERENCE


def test_each_quantile_is_compared_in_its_own_spread() -> None:
    labels = np.zeros(500)
    column = np.random.default_rng(0).normal(size=500)
    wanted = np.column_stack([1000 * column, 1e9 + column])
    answers = predictions.Predictions(labels, quantiles=wanted)
    found = parity.compare(reference(answers), {"quantiles": wanted.astype(np.float32)})
    assert found.greatest_difference > 1


@pytest.mark.parametrize("odd", [np.nan, np.inf, 3.0])
def test_a_number_that_is_far_off_or_none_is_refused(odd: float) -> None:
    found = parity.compare(reference(NUMBERS), {"prediction": np.array([odd, -1000.0])})
    with pytest.raises(errors.BadModelError, match="differs from scikit-learn"):
        found.require()


def test_probabilities_are_compared_in_their_spread() -> None:
    wanted = np.array([[0.5, 0.5], [0.1, 0.9], [0.9, 0.1], [0.3, 0.7], [0.7, 0.3]])
    # The quartiles are 0.3 and 0.7.
    assert difference(wanted + np.array([0, 1e-4]), wanted, field="probability") == pytest.approx(1e-4 * 1.349 / 0.4)


def test_a_constant_does_not_stand_for_small_probabilities() -> None:
    rare = 1e-4 + 1e-5 * np.random.default_rng(0).normal(size=500)
    wanted = np.column_stack([1 - rare, rare])
    assert difference(np.full_like(wanted, [1 - 1e-4, 1e-4]), wanted, field="probability") > parity.MAX_DIFFERENCE
    assert difference(wanted.astype(np.float32), wanted, field="probability") < parity.MAX_DIFFERENCE


def test_certain_probabilities_need_no_more_digits_than_float32_has() -> None:
    certain = 1e-12 * np.random.default_rng(0).random(500)
    wanted = np.column_stack([1 - certain, certain])
    assert difference(wanted.astype(np.float32), wanted, field="probability") < parity.MAX_DIFFERENCE
