"""Finds the fitted parts that an estimator is made of."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn import base


def of(estimator: Any) -> Iterator[Any]:
    """Give an estimator and all that it holds, however deep: members, calibrated ones, a stack's last."""
    yield estimator
    for held in vars(estimator).values():
        for part in _flat(held):
            yield from of(part)


def _flat(held: Any) -> Iterator[Any]:
    if isinstance(held, base.BaseEstimator) or type(held).__name__ == "_CalibratedClassifier":
        yield held
    elif isinstance(held, list | tuple) or (isinstance(held, np.ndarray) and held.dtype == object):
        for one in held if isinstance(held, list | tuple) else held.ravel():
            yield from _flat(one)
