"""Finds the fitted estimators inside an estimator."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn import base


def iterate_parts(estimator: Any) -> Iterator[Any]:
    """Iterate over an estimator and all those inside it, at any depth: members, calibrated ones, a final estimator."""
    yield estimator
    for attribute in vars(estimator).values():
        for part in _find_estimators(attribute):
            yield from iterate_parts(part)


def _find_estimators(value: Any) -> Iterator[Any]:
    if isinstance(value, base.BaseEstimator) or type(value).__name__ == "_CalibratedClassifier":
        yield value
    elif isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.dtype == object):
        for member in value if isinstance(value, list | tuple) else value.ravel():
            yield from _find_estimators(member)
