"""The estimators that `"estimators": "auto"` tries for each problem, those that usually do well, and their spaces."""

from typing import Any

from shared.training.estimators.spec import Problem

_LEAF = {"int_low": 1, "int_high": 50, "log": True}
_TREES = {"min_samples_leaf": _LEAF, "max_features": {"values": ["sqrt", 0.3, 0.6, 1.0]}}
_BOOSTING = {
    "learning_rate": {"low": 0.02, "high": 0.3, "log": True},
    "max_iter": {"int_low": 50, "int_high": 400, "log": True},
    "max_leaf_nodes": {"int_low": 8, "int_high": 128, "log": True},
    "min_samples_leaf": {"int_low": 5, "int_high": 100, "log": True},
    "l2_regularization": {"low": 1e-6, "high": 10.0, "log": True},
}
_MANY_TREES = {"n_estimators": 200}
_STRENGTH = {"low": 1e-3, "high": 1e3, "log": True}


def _list_candidates(*estimators: tuple[str, dict[str, Any], dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"name": name, "params": params, "space": space} for name, params, space in estimators]


_CLASSIFIERS = _list_candidates(
    ("LogisticRegression", {"max_iter": 1000}, {"C": _STRENGTH}),
    ("HistGradientBoostingClassifier", {}, _BOOSTING),
    ("RandomForestClassifier", _MANY_TREES, _TREES),
    ("ExtraTreesClassifier", _MANY_TREES, _TREES),
)
_CLUSTERS = {"int_low": 2, "int_high": 20}
# In the order in which they are started, the fastest first.
CANDIDATES: dict[Problem, list[dict[str, Any]]] = {
    "classification": _CLASSIFIERS,
    "multilabel": _CLASSIFIERS,
    "regression": _list_candidates(
        ("Ridge", {}, {"alpha": _STRENGTH}),
        ("HistGradientBoostingRegressor", {}, _BOOSTING),
        ("RandomForestRegressor", _MANY_TREES, _TREES),
        ("ExtraTreesRegressor", _MANY_TREES, _TREES),
    ),
    "quantile": _list_candidates(
        ("QuantileRegressor", {}, {"alpha": {"low": 1e-4, "high": 1.0, "log": True}}),
        ("HistGradientBoostingRegressor", {}, _BOOSTING),
    ),
    "clustering": _list_candidates(
        ("KMeans", {"n_init": 10}, {"n_clusters": _CLUSTERS}),
        (
            "GaussianMixture",
            {"n_init": 3},
            {"n_components": _CLUSTERS, "covariance_type": {"values": ["full", "diag", "tied"]}},
        ),
    ),
    "anomaly": _list_candidates(
        ("IsolationForest", {"n_estimators": 200}, {"max_samples": {"low": 0.05, "high": 1.0}}),
        ("LocalOutlierFactor", {}, {"n_neighbors": {"int_low": 5, "int_high": 100, "log": True}}),
    ),
}
