"""Calibrates a fitted classifier by the scores that it gave out of fold.

The same as scikit-learn's `CalibratedClassifierCV(model, ensemble=False)`, except that the recipe stays outside, so
that a calibrated model is a recipe and an estimator like every other.
"""

from typing import Any, Self

import numpy as np
from sklearn import base, calibration

from shared import errors
from shared.ml import targets
from shared.training import refinements

Values = targets.Values


class Stand(base.ClassifierMixin, base.BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types.
    """Stands for a fitted classifier while only its scores are known: its rows are the scores."""

    def __init__(self, classes: Values | None = None) -> None:
        """Take the labels in the order of the scores' columns."""
        self.classes = classes

    def fit(self, X: Values, y: Values, sample_weight: Values | None = None) -> Self:  # noqa: ARG002, N803
        """Learn nothing."""
        self.classes_ = self.classes
        return self

    def predict(self, X: Values) -> Values:  # noqa: N803
        """Give the labels; scikit-learn asks for this method but doesn't call it."""
        raise NotImplementedError

    def decision_function(self, X: Values) -> Values:  # noqa: N803
        """Give the scores."""
        return X[:, 0] if X.shape[1] == 1 else X


def scores_of(estimator: Any, features: Values) -> Values:
    """Give the scores that scikit-learn calibrates, (rows, 1) for two classes and (rows, classes) for more."""
    if hasattr(estimator, "decision_function"):
        scores = np.asarray(estimator.decision_function(features), dtype=np.float64)
    elif hasattr(estimator, "predict_proba"):
        scores = np.asarray(estimator.predict_proba(features), dtype=np.float64)
        scores = scores[:, 1] if scores.shape[1] == 2 else scores
    else:
        raise errors.BadModelError(
            f"{type(estimator).__name__} gives neither probabilities nor decisions, so there is nothing to calibrate"
        )
    scores = scores.reshape(len(scores), -1)
    if scores.shape[1] not in (1, len(estimator.classes_)):
        raise errors.BadModelError(
            f"{type(estimator).__name__} gives {scores.shape[1]} decisions a row for {len(estimator.classes_)} "
            "classes; with decision_function_shape `ovr` it can be calibrated"
        )
    return scores


def fit_calibration(
    scores: Values, values: Values, *, wanted: refinements.Calibration, weights: Values | None = None
) -> calibration.CalibratedClassifierCV:
    """Fit the calibrators on scores given out of fold; the result calibrates scores until `complete` is called."""
    stand = Stand(targets.encode(values).labels)
    made = calibration.CalibratedClassifierCV(stand, method=wanted.method, cv=2, ensemble=False)
    return made.fit(scores, values, sample_weight=weights)


def complete(made: calibration.CalibratedClassifierCV, estimator: Any) -> calibration.CalibratedClassifierCV:
    """Put the fitted classifier where its stand was."""
    made.estimator = estimator
    made.calibrated_classifiers_[0].estimator = estimator
    made.n_features_in_ = estimator.n_features_in_
    return made
