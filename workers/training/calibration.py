"""Calibrates a fitted classifier by its out-of-fold scores.

The same as scikit-learn's `CalibratedClassifierCV(model, ensemble=False)`, except that the recipe stays outside, so
that a calibrated model is a recipe and an estimator like every other: docs/decisions/models.md, "Calibration and
threshold share out-of-fold scores, and the recipe stays outside the calibrator".
"""

from typing import Any, Self

import numpy as np
from sklearn import base, calibration

from shared import errors
from shared.ml import targets
from shared.training import refinements

Values = targets.Values


class PrecomputedScores(base.ClassifierMixin, base.BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types.
    """Takes a fitted classifier's place while only its scores are known: the rows it gets are the scores."""

    def __init__(self, classes: Values | None = None) -> None:
        """Keep the labels, in the order of the scores' columns."""
        self.classes = classes

    def fit(self, X: Values, y: Values, sample_weight: Values | None = None) -> Self:  # noqa: ARG002, N803
        """Learn nothing."""
        self.classes_ = self.classes
        return self

    def predict(self, X: Values) -> Values:  # noqa: N803
        """Predict labels: scikit-learn requires this method but doesn't call it."""
        raise NotImplementedError

    def decision_function(self, X: Values) -> Values:  # noqa: N803
        """Return the rows, which are the scores."""
        return X[:, 0] if X.shape[1] == 1 else X


def compute_scores(estimator: Any, features: Values) -> Values:
    """Compute the scores that scikit-learn calibrates, (rows, 1) for two classes and (rows, classes) for more."""
    if hasattr(estimator, "decision_function"):
        scores = np.asarray(estimator.decision_function(features), dtype=np.float64)
    elif hasattr(estimator, "predict_proba"):
        scores = np.asarray(estimator.predict_proba(features), dtype=np.float64)
        scores = scores[:, 1] if scores.shape[1] == 2 else scores
    else:
        raise errors.BadModelError(
            f"{type(estimator).__name__} has neither probabilities nor decisions, so there is nothing to calibrate"
        )
    scores = scores.reshape(len(scores), -1)
    if scores.shape[1] not in (1, len(estimator.classes_)):
        raise errors.BadModelError(
            f"{type(estimator).__name__} returns {scores.shape[1]} decisions per row for {len(estimator.classes_)} "
            "classes; with decision_function_shape `ovr` it can be calibrated"
        )
    return scores


def fit_calibration(
    scores: Values, values: Values, *, settings: refinements.Calibration, weights: Values | None = None
) -> calibration.CalibratedClassifierCV:
    """Fit the calibrators on out-of-fold scores; the result calibrates scores until `attach_classifier` is called."""
    classifier = PrecomputedScores(targets.encode(values).labels)
    calibrated = calibration.CalibratedClassifierCV(classifier, method=settings.method, cv=2, ensemble=False)
    return calibrated.fit(scores, values, sample_weight=weights)


def attach_classifier(
    calibrated: calibration.CalibratedClassifierCV, estimator: Any
) -> calibration.CalibratedClassifierCV:
    """Replace the precomputed scores inside a calibrated classifier by the fitted classifier."""
    calibrated.estimator = estimator
    calibrated.calibrated_classifiers_[0].estimator = estimator
    calibrated.n_features_in_ = estimator.n_features_in_
    return calibrated
