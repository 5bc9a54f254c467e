"""Paired tests look at the rows on which two models differ."""

import pytest
from scipy import stats

from tests.unit.evaluation import rows
from workers.evaluation import paired


def test_labels_are_compared_by_the_rows_on_which_one_alone_is_right() -> None:
    truth = [1] * 20
    model = rows.labelled(truth, [1] * 15 + [0] * 5)
    baseline = rows.labelled(truth, [0] * 9 + [1] * 9 + [0] * 2)
    found = paired.compare(model, baseline)
    assert found is not None
    # Rows 0 to 8 are the model's alone, rows 15 to 17 the baseline's.
    assert (found.model_better, found.baseline_better, found.statistic) == (9, 3, 3.0)
    assert found.p_value == pytest.approx(stats.binomtest(3, 12).pvalue)


def test_numbers_are_compared_by_their_absolute_errors() -> None:
    model, baseline = rows.numbered(noise=0.1), rows.numbered(noise=2)
    found = paired.compare(model, baseline)
    assert found is not None
    errors = [abs(scored.predictions.prediction - scored.truth) for scored in (model, baseline)]
    assert found.p_value == stats.wilcoxon(*errors).pvalue < 1e-6
    assert found.model_better + found.baseline_better == 200


@pytest.mark.parametrize("model", [rows.numbered(), rows.labelled([0, 1], [0, 0])])
def test_a_model_is_no_better_than_itself(model: object) -> None:
    found = paired.compare(model, model)  # type: ignore[arg-type]
    assert found is not None
    assert (found.p_value, found.model_better, found.baseline_better) == (1.0, 0, 0)
