"""Finds rows whose nearest neighbours are tied: among equally distant ones ONNX and scikit-learn choose differently."""

from typing import Any

import numpy as np
from sklearn import neighbors

from shared import errors
from workers.training.exports import parity, parts

TOLERANCE = 1e-9
"""Distances whose relative difference is smaller are equal: programs sum them up in different orders."""


def require_no_ties(pipeline: Any, reference: parity.Reference) -> None:
    """Raise BadModelError when a row's last counted neighbour and the next one are equally far."""
    estimators = [
        part
        for part in parts.iterate_parts(pipeline[-1])
        if isinstance(part, neighbors.KNeighborsClassifier | neighbors.KNeighborsRegressor) and hasattr(part, "_fit_X")
    ]
    if not estimators:
        return
    features = pipeline[:-1].transform(reference.frame)
    for estimator in estimators:
        tied = _count_ties(estimator, features)
        if tied:
            raise errors.BadModelError(
                f"{type(estimator).__name__} can't be exported to ONNX: in {tied} of {len(reference.frame)} rows its "
                "last neighbour and the next one are equally far, and ONNX chooses another of these than scikit-learn"
            )


def _count_ties(estimator: Any, features: Any) -> int:
    count = estimator.n_neighbors
    if count >= estimator.n_samples_fit_:
        return 0
    distances, _ = estimator.kneighbors(features, n_neighbors=count + 1)
    last, following = distances[:, -2], distances[:, -1]
    return int(np.sum(following - last <= TOLERANCE * following))
