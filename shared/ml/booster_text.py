"""Checks the text of a LightGBM model before LightGBM reads it, whose own reader trusts what stands there.

A text is kept up to its last tree; what follows there are the settings of training, file names and machines among them.
"""

import itertools

import numpy as np
import numpy.typing as npt

from shared import errors

END = "end of trees\n"
MAX_BYTES = 1 << 30
MAX_TREES = 1_000_000
HEADER = ("version", "num_class", "num_tree_per_iteration", "max_feature_idx", "objective", "tree_sizes")
CATEGORICAL = 1  # The bit of a decision's type that has LightGBM look up a set of categories.
NUMBERS = ("split_feature", "threshold", "decision_type", "left_child", "right_child")


def cut(text: str) -> str:
    """Cut off what follows the trees."""
    return text[: text.index(END) + len(END)]


def require_sound(text: object, *, features: int, outputs: int) -> None:
    """Raise UnsafeArtifactError unless this is a text whose trees stay within themselves and these features.

    `outputs` is how many trees each round has: one a class for more than two classes, else one.
    """
    try:
        if not isinstance(text, str) or len(text) > MAX_BYTES or not text.isascii() or not text.endswith(f"\n{END}"):
            raise ValueError("it is no text that ends with its trees")
        head, separator, body = text.removesuffix(END).partition("\nTree=")
        fields = _fields(head)
        _check_head(fields, features=features, outputs=outputs)
        for number, tree in enumerate(_trees(separator.lstrip() + body, sizes=fields["tree_sizes"], outputs=outputs)):
            _check_tree(number, _fields(tree), features=features)
    except (ValueError, KeyError, OverflowError) as error:
        raise errors.UnsafeArtifactError(f"the artifact's LightGBM model can't be read: {error}") from error


def _fields(block: str) -> dict[str, str]:
    """Split lines of `name=value`; a line without `=` stands for itself, as the first of all does."""
    fields: dict[str, str] = {}
    for line in filter(None, block.split("\n")):
        name, _, value = line.partition("=")
        if name in fields:
            raise ValueError(f"{name[:50]!r} stands there twice")
        fields[name] = value
    return fields


def _check_head(head: dict[str, str], *, features: int, outputs: int) -> None:
    absent = [name for name in HEADER if name not in head]
    if absent or head["version"] != "v4":
        raise ValueError(f"it is of version {head.get('version')!r} and lacks {absent}; version v4 would do")
    seen = (int(head["max_feature_idx"]) + 1, int(head["num_class"]), int(head["num_tree_per_iteration"]))
    if seen != (features, outputs, outputs):
        raise ValueError(f"it has {seen[0]} features and {seen[1:]} outputs, not {features} and {outputs}")


def _trees(body: str, *, sizes: str, outputs: int) -> list[str]:
    """Cut the trees apart as LightGBM does, by the lengths that the head gives."""
    lengths = [int(size) for size in sizes.split()]
    ends = np.cumsum([0, *lengths]).tolist()
    if min([1, *lengths]) < 1 or len(lengths) > MAX_TREES or len(lengths) % outputs or ends[-1] != len(body):
        raise ValueError("its trees are not as long as it says")
    trees = [body[start:end] for start, end in itertools.pairwise(ends)]
    if not all(tree.endswith("\n") for tree in trees):
        raise ValueError("its trees are not as long as it says")
    return trees


def _check_tree(number: int, tree: dict[str, str], *, features: int) -> None:
    if tree["Tree"] != str(number) or tree["num_cat"] != "0" or tree["is_linear"] != "0":
        raise ValueError(f"tree {number} is out of order, or of a sort that we never write")
    leaves = int(tree["num_leaves"])
    if leaves < 1 or len(_numbers(tree, "leaf_value")) != leaves:
        raise ValueError(f"tree {number} has not the {leaves} leaves that it says")
    if leaves == 1:
        return
    nodes = {name: _numbers(tree, name) for name in NUMBERS}
    if any(len(values) != leaves - 1 for values in nodes.values()):
        raise ValueError(f"tree {number} has not the {leaves - 1} nodes that it says")
    if ((nodes["split_feature"] < 0) | (nodes["split_feature"] >= features)).any():
        raise ValueError(f"tree {number} splits by a feature that is not there")
    if (nodes["decision_type"].astype(np.int64) & CATEGORICAL).any():
        raise ValueError(f"tree {number} splits by categories, which we never write")
    # Below 0 a child is a leaf. When all nodes but the root and all leaves have one parent each, and no parent comes
    # after its child, every way ends.
    children = np.concatenate([nodes["left_child"], nodes["right_child"]])
    parents = np.tile(np.arange(leaves - 1), 2)
    expected = np.concatenate([np.arange(-leaves, 0), np.arange(1, leaves - 1)])
    inner = children >= 0
    if not np.array_equal(np.sort(children), expected) or (children[inner] <= parents[inner]).any():
        raise ValueError(f"tree {number} is no tree")


def _numbers(tree: dict[str, str], name: str) -> npt.NDArray[np.float64]:
    values = np.asarray(tree[name].split(), dtype=np.float64)
    if np.isnan(values).any():
        raise ValueError(f"{name} holds what is no number")
    return values
