"""Intervals are MAPIE's, quantiles those of as many models."""

import numpy as np
import pytest
from mapie import regression
from sklearn import ensemble, linear_model

from shared.ml import quantile_models

random = np.random.default_rng(0)
X = random.normal(size=(200, 3))
Y = X @ [1.0, -2.0, 0.5] + random.normal(size=200)
FITTED, KEPT = slice(0, 100), slice(100, 200)


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.9, 0.95, 0.97])
def test_split_intervals_are_those_of_mapie(confidence: float) -> None:
    model = linear_model.LinearRegression().fit(X[FITTED], Y[FITTED])
    lower, upper = quantile_models.predict_bounds(model, X[KEPT])
    ours = quantile_models.ConformalModel(model, confidence).fit(lower, upper, Y[KEPT])
    theirs = regression.SplitConformalRegressor(model, confidence_level=confidence, prefit=True)
    theirs.conformalize(X[KEPT], Y[KEPT])
    prediction, interval = theirs.predict_interval(X)
    np.testing.assert_allclose(ours.predict(X), prediction, rtol=1e-9)
    np.testing.assert_allclose(np.column_stack(ours.predict_interval(X)), interval[:, :, 0], rtol=1e-9)


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.9])
def test_conformal_quantiles_are_those_of_mapie(confidence: float) -> None:
    miss = quantile_models.compute_miss_rate(confidence)
    estimator = ensemble.GradientBoostingRegressor(loss="quantile", n_estimators=20, random_state=0)
    model = quantile_models.QuantileModels(estimator, (miss / 2, 0.5, 1 - miss / 2), "alpha").fit(X[FITTED], Y[FITTED])
    lower, upper = quantile_models.predict_bounds(model, X[KEPT])
    ours = quantile_models.ConformalModel(model, confidence).fit(lower, upper, Y[KEPT])
    theirs = regression.ConformalizedQuantileRegressor(estimator, confidence_level=confidence)
    theirs.fit(X[FITTED], Y[FITTED]).conformalize(X[KEPT], Y[KEPT])
    prediction, interval = theirs.predict_interval(X)
    np.testing.assert_allclose(ours.predict(X), prediction, rtol=1e-9)
    np.testing.assert_allclose(np.column_stack(ours.predict_interval(X)), interval[:, :, 0], rtol=1e-9)


def test_too_few_rows_say_how_many_would_do() -> None:
    with pytest.raises(ValueError, match=r"8 rows are too few to measure a confidence of 0\.9; 9 or more are needed"):
        quantile_models.compute_conformal_quantile(np.arange(8.0), confidence=0.9)
    assert quantile_models.compute_conformal_quantile(np.arange(9.0), confidence=0.9) == 8.0


def test_an_interval_holds_as_many_new_rows_as_it_promises() -> None:
    model = linear_model.LinearRegression().fit(X[FITTED], Y[FITTED])
    lower, upper = quantile_models.predict_bounds(model, X[KEPT])
    made = quantile_models.ConformalModel(model, 0.8).fit(lower, upper, Y[KEPT])
    new = np.random.default_rng(1)
    others = new.normal(size=(5000, 3))
    truth = others @ [1.0, -2.0, 0.5] + new.normal(size=5000)
    below, above = made.predict_interval(others)
    assert 0.75 < np.mean((below <= truth) & (truth <= above)) < 0.9


def test_the_prediction_is_the_quantile_nearest_to_the_median() -> None:
    estimator = linear_model.QuantileRegressor(alpha=0)
    for quantiles, nearest in (((0.1, 0.4, 0.9), 0.4), ((0.2,), 0.2), ((0.4, 0.6), 0.4)):
        made = quantile_models.QuantileModels(estimator, quantiles).fit(X, Y)
        place = quantiles.index(nearest)
        np.testing.assert_array_equal(made.predict(X), made.predict_quantiles(X)[:, place])


def test_weights_reach_every_quantile() -> None:
    weights = random.uniform(0.1, 3, size=200)
    made = quantile_models.QuantileModels(linear_model.QuantileRegressor(alpha=0), (0.2, 0.8)).fit(X, Y, weights)
    for place, quantile in enumerate((0.2, 0.8)):
        direct = linear_model.QuantileRegressor(alpha=0, quantile=quantile).fit(X, Y, weights)
        np.testing.assert_array_equal(made.predict_quantiles(X)[:, place], direct.predict(X))
