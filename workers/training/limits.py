"""Refuses a fit that would take too long or too much memory, before it starts."""

import math
from collections.abc import Collection
from typing import Any

from shared import errors
from shared.ml import targets
from shared.training.estimators import allow_list
from shared.training.estimators.spec import Problem
from shared.training.setup import DEFAULT_QUANTILES
from workers.training.experiment import Experiment

MAX_CLASSES = 1_000
MAX_MODEL_BYTES = 8 << 30
# A node of scikit-learn's trees without its values, and one of histogram boosting, in bytes.
TREE_NODE_BYTES = 64
HISTOGRAM_NODE_BYTES = 56
# LightGBM's text for each leaf and its split, and the trees that are read from it.
TEXT_LEAF_BYTES = 300
# The share of distinct rows in a bootstrap sample of the same size, 1 - 1/e.
BOOTSTRAP_SHARE = 1 - 1 / math.e


def require_all_affordable(
    estimator: Any, *, experiment: Experiment, rows: int, classes: list[targets.Label] | None
) -> None:
    """Raise LimitExceededError when an experiment's estimator or one of its members takes too much time or memory."""
    copies, classes_each = 1, len(classes or [])
    if experiment.setup.problem == "multilabel":
        copies, classes_each = classes_each, 2
    elif experiment.setup.problem == "quantile":
        copies = len(experiment.setup.quantiles or DEFAULT_QUANTILES)
    name = experiment.estimator.name
    require_affordable(name, estimator.get_params(deep=False), rows=rows, classes=classes_each, copies=copies)
    members = [member for _, member in getattr(estimator, "estimators", None) or []]
    for document, member in zip(experiment.estimator.estimators or [], members, strict=True):
        params = member.get_params(deep=False)
        require_affordable(document.name, params, rows=rows, classes=classes_each, copies=len(members))


def require_affordable(name: str, params: dict[str, Any], *, rows: int, classes: int, copies: int = 1) -> None:
    """Raise LimitExceededError for too many rows or too large a model; `params` are all of the estimator's.

    `classes` is 0 for regression; `copies` is how many of the estimator are fitted side by side.
    """
    max_rows = allow_list.specs()[name].max_rows
    if max_rows is not None and rows > max_rows:
        raise errors.LimitExceededError(
            f"{name} takes at most {max_rows:,} rows, as its cost grows with their square; there are {rows:,}; "
            f"use {_suggest_estimators(allow_list.specs()[name].problems)}"
        )
    needed_bytes = copies * estimate_model_bytes(name, params, rows=rows, classes=classes)
    if needed_bytes > MAX_MODEL_BYTES:
        raise errors.LimitExceededError(
            f"{name} on {rows:,} rows could take {needed_bytes / 2**30:,.0f} GiB; at most {MAX_MODEL_BYTES >> 30} GiB "
            "are allowed: give a smaller n_estimators (max_iter), max_depth or max_leaf_nodes, or a larger "
            "min_samples_leaf"
        )


def _suggest_estimators(problems: Collection[Problem]) -> str:
    """Suggest estimators for the same problems whose cost grows linearly with the rows."""
    if "clustering" in problems:
        return "KMeans or MiniBatchKMeans"
    if "anomaly" in problems:
        return "IsolationForest"
    return "a linear, boosting or forest estimator"


def estimate_model_bytes(name: str, params: dict[str, Any], *, rows: int, classes: int) -> int:
    """Estimate the most bytes that an ensemble of trees can take; 0 for other estimators."""
    leaves = _count_leaves(params, rows=rows)
    if name.startswith("HistGradientBoosting"):
        trees = params["max_iter"] * (classes if classes > 2 else 1)
        return int(trees * 2 * leaves * HISTOGRAM_NODE_BYTES)
    if name.startswith("GradientBoosting"):
        trees = params["n_estimators"] * (classes if classes > 2 else 1)
        return int(trees * 2 * leaves * (TREE_NODE_BYTES + 8))
    if name.startswith(("RandomForest", "ExtraTrees")):
        share = BOOTSTRAP_SHARE if params["bootstrap"] else 1.0
        return int(params["n_estimators"] * 2 * leaves * share * (TREE_NODE_BYTES + 8 * max(classes, 1)))
    if name.startswith("LGBM"):
        trees = params["n_estimators"] * (classes if classes > 2 else 1)
        return int(trees * min(params["num_leaves"], rows) * TEXT_LEAF_BYTES)
    if name.startswith("Bagging"):
        return int(params["n_estimators"] * 2 * rows * BOOTSTRAP_SHARE * (TREE_NODE_BYTES + 8 * max(classes, 1)))
    if name == "IsolationForest":
        return int(params["n_estimators"] * 2 * _count_samples(params["max_samples"], rows) * (TREE_NODE_BYTES + 8))
    return 0


def _count_samples(max_samples: Any, rows: int) -> float:
    """Count the rows that a tree of an isolation forest is grown from."""
    if max_samples == "auto":
        return min(256, rows)
    return float(min(max_samples, rows) if isinstance(max_samples, int) else max_samples * rows)


def _count_leaves(params: dict[str, Any], *, rows: int) -> float:
    smallest = params.get("min_samples_leaf") or 1
    bounds = [rows / smallest if smallest >= 1 else 1 / smallest]
    if params.get("max_leaf_nodes") is not None:
        bounds.append(params["max_leaf_nodes"])
    if params.get("max_depth") is not None:
        bounds.append(2.0 ** min(params["max_depth"], 60))
    return max(1.0, min(bounds))
