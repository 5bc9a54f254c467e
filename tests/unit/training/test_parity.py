"""An ONNX model that answers otherwise than scikit-learn is refused, with the reason."""

import numpy as np
import pandas as pd
import pytest

from shared import errors
from shared.ml import predictions
from workers.training.exports import parity

pytestmark = pytest.mark.slow

LABELS = predictions.Predictions(np.array(["a", "b", "a"], dtype=object), probability=np.eye(3)[:, :2])
NUMBERS = predictions.Predictions(np.array([1.0, -1000.0]))


def reference(answers: predictions.Predictions) -> parity.Reference:
    return parity.Reference(pd.DataFrame(index=range(len(answers.prediction))), answers)


def test_a_label_that_flips_is_counted_and_refused() -> None:
    found = parity.compare(reference(LABELS), {"prediction": np.array(["a", "a", "a"], dtype=object)})
    assert found.label_mismatches == 1
    with pytest.raises(errors.BadModelError, match="another label than scikit-learn in 1 of 3 rows"):
        found.require()


def test_labels_of_booleans_are_the_numbers_that_onnx_has_for_them() -> None:
    said = predictions.Predictions(np.array([True, False]))
    assert parity.compare(reference(said), {"prediction": np.array([1, 0])}).label_mismatches == 0
    assert parity.compare(reference(said), {"prediction": np.array([1, 1])}).label_mismatches == 1


def test_the_greatest_difference_of_numbers_is_a_part_of_the_greatest_number() -> None:
    found = parity.compare(reference(NUMBERS), {"prediction": np.array([1.5, -1000.0])})
    assert found.greatest_difference == pytest.approx(0.0005)
    found.require()


@pytest.mark.parametrize("odd", [np.nan, np.inf, 3.0])
def test_a_number_that_is_far_off_or_none_is_refused(odd: float) -> None:
    found = parity.compare(reference(NUMBERS), {"prediction": np.array([odd, -1000.0])})
    with pytest.raises(errors.BadModelError, match="differs from scikit-learn"):
        found.require()


def test_a_probability_is_compared_as_it_is() -> None:
    given = {"prediction": LABELS.prediction, "probability": np.eye(3)[:, :2] + 0.002}
    assert parity.compare(reference(LABELS), given).greatest_difference == pytest.approx(0.002)
