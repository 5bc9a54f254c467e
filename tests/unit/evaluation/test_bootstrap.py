"""Intervals are those of rows drawn with repetition, the same rows for both models."""

import numpy as np
import pytest
from sklearn import metrics

from shared import errors
from shared.evaluation import contract
from shared.ml.metrics.measuring import Predictions
from tests.unit.evaluation import rows
from workers.evaluation import bootstrap, scored

HOW = contract.Bootstrap(samples=200, confidence=0.9, seed=4)


def test_coded_labels_have_the_metrics_of_the_labels() -> None:
    model = rows.classified()
    assert model.coded().measure() == pytest.approx(model.measure(), abs=1e-12)


def test_an_interval_holds_the_middle_of_what_scikit_learn_measures_on_drawn_rows() -> None:
    model = rows.classified()
    assert model.truth is not None
    assert model.made.probability is not None
    dice, areas = np.random.default_rng(4), []
    for _ in range(200):
        drawn = dice.integers(0, 400, size=400)
        areas.append(metrics.roc_auc_score(model.truth[drawn] == "yes", model.made.probability[drawn, 1]))
    low, high = np.quantile(areas, [0.05, 0.95])
    interval = bootstrap.draw(model, None, how=HOW).intervals["roc_auc"]
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-9)
    assert interval.low < model.measure()["roc_auc"] < interval.high


def test_the_same_seed_draws_the_same() -> None:
    first, again = (bootstrap.draw(rows.numbered(), None, how=HOW) for _ in range(2))
    other = bootstrap.draw(rows.numbered(), None, how=HOW.model_copy(update={"seed": 5}))
    assert first == again != other


def test_a_model_that_is_better_is_told_from_one_that_only_seems_so() -> None:
    model, worse = rows.classified(noise=0.1), rows.classified(noise=3)
    interval, p_value = bootstrap.draw(model, worse, how=HOW).differences["roc_auc"]
    assert interval.low > 0
    assert p_value == pytest.approx(2 / 201)
    one, alike = rows.classified(), rows.classified(seed=3)
    interval, p_value = bootstrap.draw(one, alike, how=HOW).differences["roc_auc"]
    assert interval.low < 0 < interval.high
    assert p_value > 0.1


def test_a_model_beside_itself_has_no_difference() -> None:
    model = rows.numbered()
    interval, p_value = bootstrap.draw(model, model, how=HOW).differences["r2"]
    assert (interval.low, interval.high, p_value) == (0.0, 0.0, 1.0)


def test_too_many_rows_are_drawn_less_often_and_far_too_many_not_at_all() -> None:
    assert bootstrap.samples_for(500, rows=1000) == 500
    assert bootstrap.samples_for(500, rows=50_000) == 400
    assert bootstrap.samples_for(500, rows=1_000_000) == bootstrap.LEAST_SAMPLES
    assert bootstrap.samples_for(100, rows=1_000_000) == 100
    with pytest.raises(errors.LimitExceededError, match="5,000,000 rows"):
        bootstrap.samples_for(500, rows=5_000_000)


def one_positive(*, negatives: int) -> scored.Scored:
    """Make rows of which one alone is positive; the classifier gets one negative in ten wrong, and the positive too."""
    truth = [0] * negatives + [1]
    return rows.labelled(truth, [int(place % 10 == 5) for place in range(negatives)] + [0])


def test_drawings_without_a_class_say_nothing_of_metrics_of_all_classes() -> None:
    model = one_positive(negatives=60)
    drawings = bootstrap._drawings(61, samples=200, seed=4)
    wholes = [model.take(drawn).measure()["balanced_accuracy"] for drawn in drawings if 60 in drawn]
    made = bootstrap.draw(model, None, how=HOW)
    low, high = np.quantile(wholes, [0.05, 0.95])
    assert (made.intervals["balanced_accuracy"].low, made.intervals["balanced_accuracy"].high) == (low, high)
    assert made.intervals["balanced_accuracy"].high < 0.5, "of the positive row nothing is ever right"
    assert made.used["balanced_accuracy"] == len(wholes) < 150
    assert made.used["accuracy"] == 200
    [(used, names)] = bootstrap.thin(made).items()
    assert used == len(wholes)
    assert set(names) == {"balanced_accuracy", "f1", "f1_macro", "matthews_corrcoef", "recall"}


def test_differences_leave_the_same_drawings_out() -> None:
    perfect = rows.labelled([0] * 60 + [1], [0] * 60 + [1])
    interval, _ = bootstrap.draw(perfect, one_positive(negatives=60), how=HOW).differences["balanced_accuracy"]
    assert interval.low > 0.5, "without the positive row the difference would be some hundredths"


def test_enough_rows_of_every_class_leave_no_drawing_out() -> None:
    made = bootstrap.draw(rows.classified(), None, how=HOW)
    assert (set(made.used.values()), bootstrap.thin(made)) == ({200}, {})


def test_labels_that_a_drawing_lacks_leave_it_out() -> None:
    truth = np.zeros((40, 2), dtype=np.int64)
    truth[::2, 0] = truth[7, 1] = 1
    model = scored.Scored("multilabel", truth=truth, made=Predictions(truth), classes=["a", "b"])
    made = bootstrap.draw(model, None, how=HOW)
    assert made.intervals["f1_macro"].low == 1.0, "a label that is not drawn counts 0"
    assert made.used["f1_macro"] < 180


def test_an_interval_is_only_of_what_all_rows_define() -> None:
    truth = np.array([0.0, 1.0, 2.0, 3.0])
    model = scored.Scored("regression", truth=truth, made=Predictions(truth + 1))
    assert "mean_absolute_percentage_error" not in bootstrap.draw(model, None, how=HOW).intervals
