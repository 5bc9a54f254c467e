"""Finds rows whose nearest neighbours are no single choice: of some that are equally far programs take others."""

from typing import Any

import numpy as np
from sklearn import neighbors

from shared import errors
from workers.training.exports import parity, parts

NEAR = 1e-9
"""Distances that differ by a smaller part of the greater are equal: programs add them up in different orders."""


def require_no_ties(pipeline: Any, reference: parity.Reference) -> None:
    """Raise BadModelError when a row's last neighbour that counts and the next one are equally far."""
    estimators = [
        part
        for part in parts.of(pipeline[-1])
        if isinstance(part, neighbors.KNeighborsClassifier | neighbors.KNeighborsRegressor) and hasattr(part, "_fit_X")
    ]
    if not estimators:
        return
    features = pipeline[:-1].transform(reference.frame)
    for estimator in estimators:
        tied = _ties(estimator, features)
        if tied:
            raise errors.BadModelError(
                f"{type(estimator).__name__} can't be said in ONNX: in {tied} of {len(reference.frame)} rows its last "
                "neighbour and the next one are equally far, and ONNX takes another of these than scikit-learn"
            )


def _ties(estimator: Any, features: Any) -> int:
    count = estimator.n_neighbors
    if count >= estimator.n_samples_fit_:
        return 0
    distances, _ = estimator.kneighbors(features, n_neighbors=count + 1)
    last, following = distances[:, -2], distances[:, -1]
    return int(np.sum(following - last <= NEAR * following))
