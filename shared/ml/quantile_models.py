"""Models of several quantiles, and of intervals that hold the truth with a given confidence."""

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
        """Take an estimator, the quantiles, growing, and the estimator's parameter that says which one it learns."""
        self.estimator = estimator
        self.quantiles = quantiles
        self.parameter = parameter

    def fit(self, X: Any, y: Values, sample_weight: Values | None = None, **more: Any) -> Self:  # noqa: N803
        """Fit a copy for each quantile; `more` is what else each copy's fit is given."""
        weights = more if sample_weight is None else {"sample_weight": sample_weight, **more}
        self.estimators_ = [
            base.clone(self.estimator).set_params(**{self.parameter: quantile}).fit(X, y, **weights)
            for quantile in self.quantiles
        ]
        self.n_features_in_ = self.estimators_[0].n_features_in_
        return self

    def predict(self, X: Any) -> Values:  # noqa: N803
        """Give the quantile that is nearest to the median, the lower of two."""
        distances = [abs(quantile - 0.5) for quantile in self.quantiles]
        return np.asarray(self.estimators_[int(np.argmin(distances))].predict(X), dtype=np.float64)

    def predict_quantiles(self, X: Any) -> Values:  # noqa: N803
        """Give all quantiles, (rows, quantiles)."""
        return np.column_stack([np.asarray(fitted.predict(X), dtype=np.float64) for fitted in self.estimators_])


class ConformalModel(base.RegressorMixin, base.BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types.
    """Puts an interval around what a fitted regressor says: from `below_` under it to `above_` over it.

    Around a model of quantiles it stands around the outer ones.
    """

    def __init__(self, estimator: Any = None, confidence: float = 0.9) -> None:
        """Take a fitted regressor and the part of new rows whose truth the interval is to hold."""
        self.estimator = estimator
        self.confidence = confidence

    def fit(self, lower: Values, upper: Values, truth: Values) -> Self:
        """Learn from the bounds that fitted models gave to rows that they had not seen."""
        miss = miss_rate(self.confidence)
        if hasattr(self.estimator, "predict_quantiles"):
            self.below_ = conformal_quantile(lower - truth, confidence=1 - miss / 2)
            self.above_ = conformal_quantile(truth - upper, confidence=1 - miss / 2)
        else:
            self.below_ = self.above_ = conformal_quantile(np.abs(truth - lower), confidence=1 - miss)
        self.n_features_in_ = self.estimator.n_features_in_
        return self

    def predict(self, X: Any) -> Values:  # noqa: N803
        """Give what the regressor says."""
        return np.asarray(self.estimator.predict(X), dtype=np.float64)

    def predict_quantiles(self, X: Any) -> Values:  # noqa: N803
        """Give the quantiles of a model that has some."""
        return np.asarray(self.estimator.predict_quantiles(X))

    def predict_interval(self, X: Any) -> tuple[Values, Values]:  # noqa: N803
        """Give each row's lower and upper bound."""
        lower, upper = bounds(self.estimator, X)
        return lower - self.below_, upper + self.above_


def bounds(estimator: Any, features: Any) -> tuple[Values, Values]:
    """Give the bounds that an interval is built on: the outer quantiles, or twice the same prediction."""
    if hasattr(estimator, "predict_quantiles"):
        quantiles = estimator.predict_quantiles(features)
        return quantiles[:, 0], quantiles[:, -1]
    prediction = np.asarray(estimator.predict(features), dtype=np.float64)
    return prediction, prediction


def miss_rate(confidence: float) -> float:
    """Give the part of the rows that may lie outside: 0.1 for 0.9, where floats alone would give a little less."""
    return float(1 - decimal.Decimal(str(confidence)))


def conformal_quantile(scores: Values, *, confidence: float) -> float:
    """Give the conformity score that a new row's stays below with this confidence; ValueError when there are too few.

    The quantile at ceil((n + 1) · confidence) / n of n scores, as in MAPIE; Vovk, Gammerman and Shafer (2005).
    """
    level = np.ceil(confidence * (len(scores) + 1)) / len(scores)
    if level > 1:
        raise ValueError(
            f"{len(scores)} rows are too few to measure a confidence of {confidence:g}; "
            f"{math.ceil(round(confidence / (1 - confidence), 9))} or more would do"
        )
    return float(np.quantile(scores, level, method="lower"))
