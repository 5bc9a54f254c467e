"""Intervals are those of rows resampled with replacement, the same rows for both models."""

import numpy as np
import pytest
from sklearn import metrics

from shared import errors
from shared.evaluation import contract
from shared.ml.metrics.measuring import Predictions
from tests.unit.evaluation import rows
from workers.evaluation import bootstrap, scored_rows

pytestmark = pytest.mark.slow

OPTIONS = contract.Bootstrap(samples=200, confidence=0.9, seed=4)


def test_encoded_labels_have_the_metrics_of_the_labels() -> None:
    model = rows.classified()
    assert model.encode().measure() == pytest.approx(model.measure(), abs=1e-12)


def test_an_interval_holds_the_middle_of_what_scikit_learn_measures_on_drawn_rows() -> None:
    model = rows.classified()
    assert model.truth is not None
    assert model.predictions.probability is not None
    generator, areas = np.random.default_rng(4), []
    for _ in range(200):
        resample = generator.integers(0, 400, size=400)
        areas.append(metrics.roc_auc_score(model.truth[resample] == "yes", model.predictions.probability[resample, 1]))
    low, high = np.quantile(areas, [0.05, 0.95])
    interval = bootstrap.estimate(model, None, options=OPTIONS).intervals["roc_auc"]
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-9)
    assert interval.low < model.measure()["roc_auc"] < interval.high


def test_the_same_seed_draws_the_same() -> None:
    first, again = (bootstrap.estimate(rows.numbered(), None, options=OPTIONS) for _ in range(2))
    other = bootstrap.estimate(rows.numbered(), None, options=OPTIONS.model_copy(update={"seed": 5}))
    assert first == again != other


def test_a_model_that_is_better_is_told_from_one_that_only_seems_so() -> None:
    model, worse = rows.classified(noise=0.1), rows.classified(noise=3)
    interval, p_value = bootstrap.estimate(model, worse, options=OPTIONS).differences["roc_auc"]
    assert interval.low > 0
    assert p_value == pytest.approx(2 / 201)
    one, similar = rows.classified(), rows.classified(seed=3)
    interval, p_value = bootstrap.estimate(one, similar, options=OPTIONS).differences["roc_auc"]
    assert interval.low < 0 < interval.high
    assert p_value > 0.1


def test_a_model_beside_itself_has_no_difference() -> None:
    model = rows.numbered()
    interval, p_value = bootstrap.estimate(model, model, options=OPTIONS).differences["r2"]
    assert (interval.low, interval.high, p_value) == (0.0, 0.0, 1.0)


def test_too_many_rows_are_drawn_less_often_and_far_too_many_not_at_all() -> None:
    assert bootstrap.choose_samples(500, rows=1000) == 500
    assert bootstrap.choose_samples(500, rows=50_000) == 400
    assert bootstrap.choose_samples(500, rows=1_000_000) == bootstrap.LEAST_SAMPLES
    assert bootstrap.choose_samples(100, rows=1_000_000) == 100
    with pytest.raises(errors.LimitExceededError, match="5,000,000 rows"):
        bootstrap.choose_samples(500, rows=5_000_000)


def one_positive(*, negatives: int) -> scored_rows.ScoredRows:
    """Make rows of which one alone is positive; the classifier gets one negative in ten wrong, and the positive too."""
    truth = [0] * negatives + [1]
    return rows.labelled(truth, [int(place % 10 == 5) for place in range(negatives)] + [0])


def test_drawings_without_a_class_say_nothing_of_metrics_of_all_classes() -> None:
    model = one_positive(negatives=60)
    drawings = bootstrap._draw_rows(61, samples=200, seed=4)
    wholes = [model.take(drawn).measure()["balanced_accuracy"] for drawn in drawings if 60 in drawn]
    estimates = bootstrap.estimate(model, None, options=OPTIONS)
    low, high = np.quantile(wholes, [0.05, 0.95])
    assert (estimates.intervals["balanced_accuracy"].low, estimates.intervals["balanced_accuracy"].high) == (low, high)
    assert estimates.intervals["balanced_accuracy"].high < 0.5, "of the positive row nothing is ever right"
    assert estimates.used["balanced_accuracy"] == len(wholes) < 150
    assert estimates.used["accuracy"] == 200
    [(used, names)] = bootstrap.find_unreliable(estimates).items()
    assert used == len(wholes)
    assert set(names) == {"balanced_accuracy", "f1", "f1_macro", "matthews_corrcoef", "recall", "recall_1", "f1_1"}


def test_differences_leave_the_same_drawings_out() -> None:
    perfect = rows.labelled([0] * 60 + [1], [0] * 60 + [1])
    interval, _ = bootstrap.estimate(perfect, one_positive(negatives=60), options=OPTIONS).differences[
        "balanced_accuracy"
    ]
    assert interval.low > 0.5, "without the positive row the difference would be some hundredths"


def test_enough_rows_of_every_class_leave_no_drawing_out() -> None:
    estimates = bootstrap.estimate(rows.classified(), None, options=OPTIONS)
    assert (set(estimates.used.values()), bootstrap.find_unreliable(estimates)) == ({200}, {})


def test_labels_that_a_drawing_lacks_leave_it_out() -> None:
    truth = np.zeros((40, 2), dtype=np.int64)
    truth[::2, 0] = truth[7, 1] = 1
    model = scored_rows.ScoredRows("multilabel", truth=truth, predictions=Predictions(truth), classes=["a", "b"])
    estimates = bootstrap.estimate(model, None, options=OPTIONS)
    assert estimates.intervals["f1_macro"].low == 1.0, "a label that is not drawn counts 0"
    assert estimates.used["f1_macro"] < 180


def test_an_interval_is_only_of_what_all_rows_define() -> None:
    truth = np.array([0.0, 1.0, 2.0, 3.0])
    model = scored_rows.ScoredRows("regression", truth=truth, predictions=Predictions(truth + 1))
    assert "mean_absolute_percentage_error" not in bootstrap.estimate(model, None, options=OPTIONS).intervals
