"""The parameters of a fitted estimator, as its model's version shows them."""

import math
from typing import Any

import numpy as np
from pydantic import JsonValue
from sklearn import base, multioutput

from shared.ml import quantile_models, targets


def read(estimator: Any) -> dict[str, JsonValue]:
    """Read the estimator's own parameters, without those of a wrapper around it."""
    if isinstance(estimator, multioutput.MultiOutputClassifier | quantile_models.QuantileModels):
        estimator = estimator.estimator
    return {name: _to_json(value) for name, value in sorted(estimator.get_params(deep=False).items())}


def _to_json(value: Any) -> JsonValue:
    """Convert a parameter's value to JSON; a number that is not finite becomes null."""
    if isinstance(value, np.generic | np.ndarray):
        return _to_json(value.tolist())
    if isinstance(value, dict):
        return {targets.format_label(key): _to_json(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(member) for member in value]
    if isinstance(value, base.BaseEstimator):
        return {"name": type(value).__name__, "params": read(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else f"{value}"
