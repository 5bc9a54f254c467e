"""What ONNX needs to know of trees: which estimators have some, and thresholds that are compared in float64."""

from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from workers.training.exports import parts
from workers.training.exports.graph import DOUBLE, ML_OPSET

_LISTS = ("nodes_values", "nodes_hitrates", "class_weights", "target_weights", "base_values")


def any_in(estimator: Any) -> bool:
    """Tell whether an estimator, or one that it is made of, is a tree or made of trees."""
    return any(hasattr(part, "tree_") or is_histogram(part) for part in parts.of(estimator))


def is_histogram(fitted: Any) -> bool:
    """Tell whether a part is a histogram booster, whose trees compare float64; all others round features to float32."""
    return hasattr(fitted, "_predictors")


def compare_in_float64(model: onnx.ModelProto, booster: Any) -> None:
    """Make a histogram booster's ONNX take float64 features, and give it thresholds that nothing has rounded."""
    trees = [tree.nodes for round_ in booster._predictors for tree in round_]
    thresholds = np.concatenate([np.where(nodes["is_leaf"], 0.0, nodes["num_threshold"]) for nodes in trees])
    for node in model.graph.node:
        if node.op_type.startswith("TreeEnsemble"):
            _widen(node, thresholds)
    model.graph.input[0].type.tensor_type.elem_type = DOUBLE
    for opset in model.opset_import:
        if opset.domain == "ai.onnx.ml":
            opset.version = ML_OPSET


def _widen(node: onnx.NodeProto, thresholds: Any) -> None:
    """Put tensors of float64 in place of a node's lists of float32."""
    lists = {one.name: np.asarray(one.floats, np.float64) for one in node.attribute if one.name in _LISTS}
    kept = [one for one in node.attribute if one.name not in lists]
    del node.attribute[:]
    node.attribute.extend(kept)
    for name, values in {**lists, "nodes_values": thresholds}.items():
        tensor = f"{name}_as_tensor"
        node.attribute.append(onnx.helper.make_attribute(tensor, numpy_helper.from_array(values, tensor)))
