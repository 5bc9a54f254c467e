"""Reads the trees of an XGBoost document, and refuses what isn't one, and what no operator of ONNX computes.

The document is described in XGBoost's doc/model.schema.
"""

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from shared import errors

MAX_NODES = 5_000_000
_ROOT, _NONE = 0, -1
Tree = dict[str, npt.NDArray[Any]]
"""A tree as `workers.training.exports.boosters` takes them."""


@dataclasses.dataclass(frozen=True)
class Booster:
    """A model: its objective, for each output the sum that it starts from, and its trees, each with its output."""

    objective: str
    base_scores: list[float]
    """In the terms of what is predicted, so of a probability where one is."""
    outputs: int
    features: int
    names: list[str]
    trees: list[Tree]
    tree_outputs: list[int]
    stopped_after: int | None
    """After which round training stopped early, if it did."""


def read(document: Any) -> Booster:
    """Read a document; BadModelError for what isn't one, or isn't imported."""
    try:
        return _read(document["learner"])
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError) as error:
        raise errors.BadModelError(
            f"this is not a model of XGBoost as save_model('model.json') writes it ({type(error).__name__}: {error})"
        ) from error


def _read(learner: dict[str, Any]) -> Booster:
    parameters = {name: str(value) for name, value in learner["learner_model_param"].items()}
    if int(parameters.get("num_target", "1")) > 1:
        raise errors.BadModelError("the model has several targets; only models with one are imported")
    outputs, features = max(int(parameters["num_class"]), 1), int(parameters["num_feature"])
    booster = learner["gradient_booster"]
    if booster["name"] not in ("gbtree", "dart"):
        raise errors.BadModelError(f"the model's booster is {booster['name']!r}; gbtree and dart are imported")
    drops = booster.get("weight_drop", [])
    model = (booster["gbtree"] if booster["name"] == "dart" else booster)["model"]
    weights = drops or [1.0] * len(model["trees"])
    if not model["trees"] or sum(len(tree["left_children"]) for tree in model["trees"]) > MAX_NODES:
        raise errors.BadModelError(f"the model has no trees, or more than {MAX_NODES:,} nodes")
    trees = [_read_tree(tree, weight, features) for tree, weight in zip(model["trees"], weights, strict=True)]
    tree_outputs = [int(output) for output in model["tree_info"]]
    if len(tree_outputs) != len(trees) or not all(0 <= output < outputs for output in tree_outputs):
        raise errors.BadModelError("the model's trees belong to outputs that it doesn't have")
    best = learner.get("attributes", {}).get("best_iteration")
    return Booster(
        objective=str(learner["objective"]["name"]),
        base_scores=_read_base_scores(parameters["base_score"], outputs),
        outputs=outputs,
        features=features,
        names=[str(name) for name in learner.get("feature_names", [])],
        trees=trees,
        tree_outputs=tree_outputs,
        stopped_after=None if best is None else int(best) + 1,
    )


def _read_base_scores(text: str, outputs: int) -> list[float]:
    scores = [float(part) for part in text.strip("[]").split(",")]
    scores = scores * outputs if len(scores) == 1 else scores
    if len(scores) != outputs or not all(map(math.isfinite, scores)):
        raise errors.BadModelError(f"the model's base_score, {text[:50]!r}, doesn't fit its {outputs} outputs")
    return scores


def _read_tree(tree: dict[str, Any], weight: float, features: int) -> Tree:
    left, right = (np.asarray(tree[name], dtype=np.int64) for name in ("left_children", "right_children"))
    splits = np.asarray(tree["split_conditions"], dtype=np.float32)
    columns = np.asarray(tree["split_indices"], dtype=np.int64)
    goes_left = np.asarray(tree["default_left"], dtype=np.int64)
    if any(tree.get("split_type", [])) or any(tree.get("categories", [])):
        raise errors.BadModelError(
            "the model splits by categories, which is not imported; train it on encoded categories (numbers)"
        )
    if int(tree.get("tree_param", {}).get("size_leaf_vector", "1")) > 1:
        raise errors.BadModelError("the model has several numbers in a leaf, which is not imported")
    if len({len(array) for array in (left, right, splits, columns, goes_left)}) != 1:
        raise errors.BadModelError("a tree has fields of different lengths")
    order = _walk(left, right)
    inner = [node for node in order if left[node] != _NONE]
    leaves = [node for node in order if left[node] == _NONE]
    if not np.isfinite(splits[leaves]).all() or np.isnan(splits[inner]).any():
        raise errors.BadModelError("a tree has a number that is none")
    if not ((columns[inner] >= 0) & (columns[inner] < features)).all():
        raise errors.BadModelError("a tree splits by a column that the model doesn't have")
    values = splits[leaves].astype(np.float64) * weight
    if not inner:
        # ONNX has no tree without a node, and no leaf of two parents.
        nodes = {"features": [0], "splits": [0.0], "true": [-1], "false": [-2], "missing": [1]}
        return {name: np.asarray(array) for name, array in nodes.items()} | {"weights": np.repeat(values, 2)}
    places = {node: place for place, node in enumerate(inner)} | {node: ~place for place, node in enumerate(leaves)}
    return {
        "features": columns[inner],
        # A value goes left when it is less than the split, as float32: at most the number before it.
        "splits": np.nextafter(splits[inner], np.float32(-np.inf)).astype(np.float64),
        "true": np.array([places[child] for child in left[inner].tolist()]),
        "false": np.array([places[child] for child in right[inner].tolist()]),
        "missing": goes_left[inner],
        "weights": values,
    }


def _walk(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> list[int]:
    """Walk the nodes from the root on; BadModelError unless each is reached once, so that every path ends."""
    reached, pending = [], [_ROOT]
    seen = np.zeros(len(left), dtype=bool)
    while pending:
        node = pending.pop()
        if not 0 <= node < len(left) or seen[node]:
            raise errors.BadModelError("a tree is none: a node has no place in it, or two parents")
        seen[node] = True
        reached.append(node)
        if left[node] != _NONE:
            pending += [int(right[node]), int(left[node])]
    return reached
