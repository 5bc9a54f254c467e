"""Models of several quantiles, and of intervals that contain the truth with a given confidence."""

import decimal
import math
from typing import Any, Self

import numpy as np
from sklearn import base

from shared.ml import targets

Values = targets.Values


class QuantileModels(base.RegressorMixin, base.BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types.
    """Fits one copy of an estimator for each quantile; the one nearest to the median is the prediction."""

    def __init__(
        self, estimator: Any = None, quantiles: tuple[float, ...] = (0.5,), parameter: str = "quantile"
    ) -> None:
        """Take an estimator, the quantiles in ascending order, and the estimator's parameter that sets its quantile."""
        self.estimator = estimator
        self.quantiles = quantiles
        self.parameter = parameter

    def fit(self, X: Any, y: Values, sample_weight: Values | None = None, **fit_params: Any) -> Self:  # noqa: N803
        """Fit a copy for each quantile; `fit_params` are passed to each copy's fit."""
        if sample_weight is not None:
            fit_params = {"sample_weight": sample_weight, **fit_params}
        self.estimators_ = [
            base.clone(self.estimator).set_params(**{self.parameter: quantile}).fit(X, y, **fit_params)
            for quantile in self.quantiles
        ]
        self.n_features_in_ = self.estimators_[0].n_features_in_
        return self

    def predict(self, X: Any) -> Values:  # noqa: N803
        """Predict the quantile that is nearest to the median, the lower one of two that are equally near."""
        distances = [abs(quantile - 0.5) for quantile in self.quantiles]
        return np.asarray(self.estimators_[int(np.argmin(distances))].predict(X), dtype=np.float64)

    def predict_quantiles(self, X: Any) -> Values:  # noqa: N803
        """Predict all quantiles, (rows, quantiles)."""
        return np.column_stack([np.asarray(fitted.predict(X), dtype=np.float64) for fitted in self.estimators_])


class ConformalModel(base.RegressorMixin, base.BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types.
    """Puts an interval around a fitted regressor's prediction: from `below_` under it to `above_` over it.

    For a model of quantiles the interval is around the outer ones.
    docs/decisions/models.md, "Conformal intervals are two numbers beside a plain estimator".
    """

    def __init__(self, estimator: Any = None, confidence: float = 0.9) -> None:
        """Take a fitted regressor and the share of new rows whose truth the interval must contain."""
        self.estimator = estimator
        self.confidence = confidence

    def fit(self, lower: Values, upper: Values, truth: Values) -> Self:
        """Learn from the bounds that fitted models predicted for rows that they were not fitted on."""
        miss = compute_miss_rate(self.confidence)
        if hasattr(self.estimator, "predict_quantiles"):
            self.below_ = compute_conformal_quantile(lower - truth, confidence=1 - miss / 2)
            self.above_ = compute_conformal_quantile(truth - upper, confidence=1 - miss / 2)
        else:
            self.below_ = self.above_ = compute_conformal_quantile(np.abs(truth - lower), confidence=1 - miss)
        self.n_features_in_ = self.estimator.n_features_in_
        return self

    def predict(self, X: Any) -> Values:  # noqa: N803
        """Return the regressor's prediction."""
        return np.asarray(self.estimator.predict(X), dtype=np.float64)

    def predict_quantiles(self, X: Any) -> Values:  # noqa: N803
        """Predict the quantiles, of a model of quantiles."""
        return np.asarray(self.estimator.predict_quantiles(X))

    def predict_interval(self, X: Any) -> tuple[Values, Values]:  # noqa: N803
        """Predict each row's lower and upper bound."""
        lower, upper = predict_bounds(self.estimator, X)
        return lower - self.below_, upper + self.above_


def predict_bounds(estimator: Any, features: Any) -> tuple[Values, Values]:
    """Predict the bounds that an interval is built on: the outer quantiles, or the same prediction twice."""
    if hasattr(estimator, "predict_quantiles"):
        quantiles = estimator.predict_quantiles(features)
        return quantiles[:, 0], quantiles[:, -1]
    prediction = np.asarray(estimator.predict(features), dtype=np.float64)
    return prediction, prediction


def compute_miss_rate(confidence: float) -> float:
    """Return the share of rows that may be outside the interval: exactly 0.1 for 0.9, unlike `1 - 0.9` in floats."""
    return float(1 - decimal.Decimal(str(confidence)))


def compute_conformal_quantile(scores: Values, *, confidence: float) -> float:
    """Compute the score that a new row's score stays below with this confidence; ValueError for too few scores.

    The quantile at ceil((n + 1) · confidence) / n of n scores, as in MAPIE; Vovk, Gammerman and Shafer (2005).
    """
    level = np.ceil(confidence * (len(scores) + 1)) / len(scores)
    if level > 1:
        raise ValueError(
            f"{len(scores)} rows are too few to measure a confidence of {confidence:g}; "
            f"{math.ceil(round(confidence / (1 - confidence), 9))} or more are needed"
        )
    return float(np.quantile(scores, level, method="lower"))
