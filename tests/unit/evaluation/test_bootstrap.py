"""Intervals are those of rows drawn with repetition, the same rows for both models."""

import numpy as np
import pytest
from sklearn import metrics

from shared import errors
from shared.evaluation import contract
from tests.unit.evaluation import rows
from workers.evaluation import bootstrap

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
