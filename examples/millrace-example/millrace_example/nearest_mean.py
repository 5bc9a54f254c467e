"""A classifier that says the class whose mean is nearest."""

from typing import Any, Self

import numpy as np
from sklearn import base


class NearestMeanClassifier(base.ClassifierMixin, base.BaseEstimator):
    """Ranks the classes by the distance of their means; `sharpness` is how fast a probability falls with it."""

    def __init__(self, sharpness: float = 1.0) -> None:
        """Take how sharply near is told from far."""
        self.sharpness = sharpness

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803  # scikit-learn passes it by this name.
        """Learn each class's mean."""
        features = np.asarray(X, dtype=np.float64)
        self.n_features_in_ = features.shape[1]
        self.classes_ = np.unique(y)
        self.means_ = np.stack([features[np.asarray(y) == label].mean(axis=0) for label in self.classes_])
        return self

    def predict_proba(self, X: Any) -> Any:  # noqa: N803
        """Compute each class's probability, (rows, classes)."""
        features = np.asarray(X, dtype=np.float64)
        distances = np.linalg.norm(features[:, None, :] - self.means_[None], axis=2)
        weights = np.exp(-self.sharpness * (distances - distances.min(axis=1, keepdims=True)))
        return weights / weights.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> Any:  # noqa: N803
        """Predict the most probable class."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]
