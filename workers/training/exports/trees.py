"""Trees in ONNX: finds estimators that have some, and makes thresholds be compared in float64."""

from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from workers.training.exports import parts
from workers.training.exports.graph import DOUBLE, ML_OPSET

_LISTS = ("nodes_values", "nodes_hitrates", "class_weights", "target_weights", "base_values")


def has_trees(estimator: Any) -> bool:
    """Return whether an estimator, or one inside it, is a tree or has trees."""
    return any(hasattr(part, "tree_") or is_histogram_booster(part) for part in parts.iterate_parts(estimator))


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
