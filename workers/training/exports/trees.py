"""Trees in ONNX: finds estimators that have some, and makes thresholds be compared in float64.

docs/decisions/exports.md, "Forests are written as float64 trees where float32 ones answer differently"
"""

from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from sklearn import ensemble, tree

from shared import errors
from workers.training.exports import boosters, parts
from workers.training.exports.graph import DOUBLE, FLOAT, ML_OPSET, Graph

CLASSIFIERS = (
    ensemble.ExtraTreesClassifier,
    ensemble.RandomForestClassifier,
    tree.DecisionTreeClassifier,  # and ExtraTreeClassifier, which is one.
)
REGRESSORS = (ensemble.ExtraTreesRegressor, ensemble.RandomForestRegressor, tree.DecisionTreeRegressor)
MAX_NODES = 5_000_000
_LISTS = ("nodes_values", "nodes_hitrates", "class_weights", "target_weights", "base_values")


def has_trees(estimator: Any) -> bool:
    """Return whether an estimator, or one inside it, is a tree or has trees."""
    return any(
        hasattr(part, "tree_") or is_histogram_booster(part) or hasattr(part, "model_text_")
        for part in parts.iterate_parts(estimator)
    )


def is_histogram_booster(fitted: Any) -> bool:
    """Return whether this is a histogram booster, whose trees compare float64; all others round features to float32."""
    return hasattr(fitted, "_predictors")


def compare_in_float64(model: onnx.ModelProto, booster: Any) -> None:
    """Make a histogram booster's ONNX model take float64 features, and replace its thresholds by unrounded ones."""
    node_arrays = [tree.nodes for round_ in booster._predictors for tree in round_]
    thresholds = np.concatenate([np.where(nodes["is_leaf"], 0.0, nodes["num_threshold"]) for nodes in node_arrays])
    for node in model.graph.node:
        if node.op_type.startswith("TreeEnsemble"):
            _widen(node, thresholds)
    model.graph.input[0].type.tensor_type.elem_type = DOUBLE
    for opset in model.opset_import:
        if opset.domain == "ai.onnx.ml":
            opset.version = ML_OPSET


def _widen(node: onnx.NodeProto, thresholds: Any) -> None:
    """Replace a node's lists of float32 by tensors of float64."""
    lists = {
        attribute.name: np.asarray(attribute.floats, np.float64)
        for attribute in node.attribute
        if attribute.name in _LISTS
    }
    kept = [attribute for attribute in node.attribute if attribute.name not in lists]
    del node.attribute[:]
    node.attribute.extend(kept)
    for name, values in {**lists, "nodes_values": thresholds}.items():
        tensor = f"{name}_as_tensor"
        node.attribute.append(onnx.helper.make_attribute(tensor, numpy_helper.from_array(values, tensor)))


def compute_probabilities(graph: Graph, fitted: Any, features: str) -> str:
    """Add the float64 probabilities, (rows, classes), of a tree or forest of one target."""
    classes = len(fitted.classes_)
    if classes == 1:
        raise errors.BadModelError(f"{type(fitted).__name__} of a single class can't be exported to ONNX")
    if classes == 2:
        second = _average(graph, fitted, features, outputs=[1])
        return graph.node("Concat", graph.node("Sub", graph.floats(1.0), second), second, axis=1)
    return _average(graph, fitted, features, outputs=list(range(classes)))


def compute_numbers(graph: Graph, fitted: Any, features: str) -> str:
    """Add the float64 numbers, (rows,), that a tree or forest of one target predicts."""
    return graph.node("Reshape", _average(graph, fitted, features, outputs=[0]), graph.constant([-1], np.int64))


def _average(graph: Graph, fitted: Any, features: str, *, outputs: list[int]) -> str:
    """Add the mean over all trees of some of the values in their leaves, (rows, outputs)."""
    members = [member.tree_ for member in getattr(fitted, "estimators_", [fitted])]
    nodes = sum(member.node_count for member in members) * len(outputs)
    if nodes > MAX_NODES:
        raise errors.BadModelError(
            f"{type(fitted).__name__} has {nodes:,} nodes; at most {MAX_NODES:,} are exported to ONNX"
        )
    # scikit-learn rounds features to float32, and compares them with thresholds of float64.
    rounded = graph.node("Cast", graph.node("Cast", features, to=FLOAT), to=DOUBLE)
    read = [_read_tree(member, output) for member in members for output in outputs]
    sums = boosters.add_trees(graph, read, rounded, outputs=len(outputs))
    return sums if len(members) == 1 else graph.node("Div", sums, graph.floats(len(members)))


def _read_tree(member: Any, output: int) -> boosters.Tree:
    """Read a tree of scikit-learn, in whose arrays inner nodes and leaves are mixed."""
    is_leaf = member.children_left < 0
    weights = member.value[is_leaf].reshape(int(is_leaf.sum()), -1)[:, output]
    if is_leaf[0]:
        # ONNX has no tree without a node, and no leaf of two parents.
        nodes = {"features": [0], "splits": [0.0], "true": [-1], "false": [-2], "missing": [1]}
        return {name: np.asarray(values) for name, values in nodes.items()} | {"weights": np.repeat(weights, 2)}
    position = np.where(is_leaf, ~(np.cumsum(is_leaf) - 1), np.cumsum(~is_leaf) - 1)
    inner = ~is_leaf
    return {
        "features": member.feature[inner].astype(np.int64),
        "splits": member.threshold[inner].astype(np.float64),
        "true": position[member.children_left[inner]],
        "false": position[member.children_right[inner]],
        "missing": member.missing_go_to_left[inner].astype(np.int64),
        "weights": weights.astype(np.float64),
    }
