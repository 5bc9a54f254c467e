"""Moves what a fitted regressor predicts towards 0, so that float32, in which ONNX adds up trees, keeps its digits.

docs/decisions/exports.md, "ONNX is compared in parts of the answers' spread".
"""

import copy
from typing import Any

import numpy as np
from sklearn import ensemble, svm, tree

from workers.training.exports import trees

_OF_MEMBERS = (
    ensemble.AdaBoostRegressor,
    ensemble.BaggingRegressor,
    ensemble.ExtraTreesRegressor,
    ensemble.RandomForestRegressor,
)
"""What predicts a mean or a median of its members, which moves as they all do."""


def subtract(fitted: Any, offset: float) -> Any | None:
    """Copy a regressor so that it predicts less by the offset; None when there is no rule for its type."""
    if trees.is_histogram_booster(fitted):
        is_linear = type(fitted._loss.link).__name__ == "IdentityLink"
        return _replace(fitted, _baseline_prediction=fitted._baseline_prediction - offset) if is_linear else None
    match fitted:
        case ensemble.GradientBoostingRegressor() if hasattr(fitted.init_, "constant_"):
            return _replace(fitted, init_=_replace(fitted.init_, constant_=fitted.init_.constant_ - offset))
        case svm.SVR() | svm.NuSVR():
            return _replace(fitted, intercept_=fitted.intercept_ - offset, _intercept_=fitted._intercept_ - offset)
        case tree.DecisionTreeRegressor():
            moved = copy.deepcopy(fitted)
            np.subtract(moved.tree_.value, offset, out=moved.tree_.value)
            return moved
        case ensemble.GradientBoostingRegressor() | ensemble.VotingRegressor():
            return None
    if isinstance(fitted, _OF_MEMBERS):
        members = [subtract(member, offset) for member in fitted.estimators_]
        if any(member is None for member in members):
            return None
        is_list = isinstance(fitted.estimators_, list)
        return _replace(fitted, estimators_=members if is_list else np.asarray(members, dtype=object))
    return None


def _replace(fitted: Any, **attributes: Any) -> Any:
    """Copy an estimator with other values for some of its attributes."""
    changed = copy.copy(fitted)
    for name, value in attributes.items():
        setattr(changed, name, value)
    return changed
