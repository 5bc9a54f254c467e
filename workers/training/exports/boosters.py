"""Converts LightGBM's trees to ONNX's operator TreeEnsemble, which compares and adds up in float64 as LightGBM does.

The rules for missing values are those of `NumericalDecision` in LightGBM's include/LightGBM/tree.h, the transforms
those of `ConvertOutput` of its objectives. docs/decisions/exports.md, "LightGBM is written as ONNX from its text".
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from shared import errors
from shared.ml import booster_text
from workers.training.exports.graph import Graph

IDENTITIES = frozenset({"fair", "huber", "mape", "quantile", "regression", "regression_l1"})
EXPONENTIALS = frozenset({"gamma", "poisson", "tweedie"})
AT_MOST = 0
"""The mode of a node that sends a value to the left when it is at most the threshold."""
DEFAULT_LEFT, ZERO_IS_MISSING, NAN_IS_MISSING = 2, 4, 8
"""Bits of a node's decision type."""
Tree = dict[str, npt.NDArray[Any]]
"""A tree's nodes (`features`, `splits`, `true`, `false`, and `missing`: 1 where NaN takes the way of `true`), and the
`weights` of its leaves; a child below 0 is the leaf of the number that `~` makes of it."""
ZERO = float(np.float32(1e-35))
"""LightGBM reads numbers from -ZERO to ZERO as 0 (`kZeroThreshold`)."""


def compute_numbers(graph: Graph, estimator: Any, features: str) -> str:
    """Add what a LightGBM regressor predicts of float64 features, (rows,); BadModelError for a foreign objective."""
    head, sums = _add_sums(graph, estimator, features, outputs=1)
    flat = graph.node("Reshape", sums, graph.constant([-1], np.int64))
    name, *options = head["objective"].split()
    if name in EXPONENTIALS:
        return graph.node("Exp", flat)
    if name in IDENTITIES and not options:
        return flat
    raise _make_refusal(head)


def compute_probabilities(graph: Graph, estimator: Any, features: str) -> str:
    """Add a LightGBM classifier's float64 probabilities, (rows, classes); BadModelError for a foreign objective."""
    outputs = 1 if len(estimator.classes_) == 2 else len(estimator.classes_)
    head, sums = _add_sums(graph, estimator, features, outputs=outputs)
    match head["objective"].split():
        case ["binary", "sigmoid:1"]:
            probability = graph.node("Sigmoid", sums)
            return graph.node("Concat", graph.node("Sub", graph.floats(1.0), probability), probability, axis=1)
        case ["multiclass", *_]:
            return graph.node("Softmax", sums, axis=1)
    raise _make_refusal(head)


def _make_refusal(head: dict[str, str]) -> errors.BadModelError:
    return errors.BadModelError(f"LightGBM with the objective {head['objective']!r} can't be exported to ONNX")


def _add_sums(graph: Graph, estimator: Any, features: str, *, outputs: int) -> tuple[dict[str, str], str]:
    """Add each output's sum over its trees, (rows, outputs), and return it behind the head of the model's text."""
    head, tree_fields = booster_text.read(estimator.model_text_, outputs=outputs)
    trees = [_read_tree(fields) for fields in tree_fields]
    sums = add_trees(graph, trees, features, outputs=outputs)
    if "average_output" in head:
        sums = graph.node("Div", sums, graph.floats(len(trees) / outputs))
    return head, sums


def add_trees(
    graph: Graph, trees: Sequence[Tree], features: str, *, outputs: int, tree_outputs: Sequence[int] | None = None
) -> str:
    """Add each output's sum over its trees, (rows, outputs).

    `tree_outputs` names the output of each tree; without it, the trees of a round stand side by side.
    """
    if tree_outputs is None:
        tree_outputs = [number % outputs for number in range(len(trees))]
    starts = np.cumsum([0, *(len(tree["splits"]) for tree in trees)])
    leaf_starts = np.cumsum([0, *(len(tree["weights"]) for tree in trees)])
    leaf_counts = [len(tree["weights"]) for tree in trees]
    children = {
        name: np.concatenate(
            [
                np.where(tree[name] < 0, ~tree[name] + leaf_start, tree[name] + start)
                for tree, start, leaf_start in zip(trees, starts, leaf_starts, strict=False)
            ]
        )
        for name in ("true", "false")
    }
    splits = np.concatenate([tree["splits"] for tree in trees])
    return graph.node(
        "TreeEnsemble",
        features,
        domain="ai.onnx.ml",
        n_targets=outputs,
        tree_roots=starts[:-1].tolist(),
        nodes_featureids=np.concatenate([tree["features"] for tree in trees]).tolist(),
        nodes_splits=splits,
        nodes_modes=np.full(len(splits), AT_MOST, np.uint8),
        nodes_missing_value_tracks_true=np.concatenate([tree["missing"] for tree in trees]).tolist(),
        nodes_truenodeids=children["true"].tolist(),
        nodes_falsenodeids=children["false"].tolist(),
        nodes_trueleafs=np.concatenate([tree["true"] < 0 for tree in trees]).astype(int).tolist(),
        nodes_falseleafs=np.concatenate([tree["false"] < 0 for tree in trees]).astype(int).tolist(),
        leaf_targetids=np.repeat(np.asarray(tree_outputs), leaf_counts).tolist(),
        leaf_weights=np.concatenate([tree["weights"] for tree in trees]),
    )


def _read_tree(fields: dict[str, str]) -> Tree:
    """Read a tree's nodes and leaves."""
    weights = booster_text.read_numbers(fields, "leaf_value")
    if len(weights) == 1:
        # ONNX has no tree without a node, and no leaf of two parents.
        nodes = {"features": [0], "splits": [0.0], "true": [-1], "false": [-2], "missing": [1]}
        return {name: np.asarray(values) for name, values in nodes.items()} | {"weights": np.repeat(weights, 2)}
    columns = {name: booster_text.read_numbers(fields, name) for name in booster_text.NODE_FIELDS}
    decisions, thresholds = columns["decision_type"].astype(np.int64), columns["threshold"]
    if (decisions & ZERO_IS_MISSING).any():
        raise errors.BadModelError("LightGBM with `zero_as_missing` can't be exported to ONNX")
    # A missing value goes the node's own way where training saw some there, and else counts as 0.
    missing = np.where(decisions & NAN_IS_MISSING, decisions & DEFAULT_LEFT, thresholds >= 0) != 0
    return {
        "features": columns["split_feature"].astype(np.int64),
        "splits": _move_beside_zero(thresholds),
        "true": columns["left_child"].astype(np.int64),
        "false": columns["right_child"].astype(np.int64),
        "missing": missing.astype(np.int64),
        "weights": weights,
    }


def _move_beside_zero(thresholds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Move thresholds from -ZERO to ZERO to where all numbers there are on the side of 0."""
    is_near = np.abs(thresholds) <= ZERO
    return np.where(is_near, np.where(thresholds < 0, np.nextafter(-ZERO, -np.inf), ZERO), thresholds)
