"""Checks the text of a LightGBM model before LightGBM reads it, whose own reader trusts every length and index.

A text is kept up to its last tree; what follows are the parameters of training, including file names and hosts.
docs/decisions/models.md, "LightGBM is stored as its text, and every tree of it is checked on load".
"""

import itertools

import numpy as np
import numpy.typing as npt

from shared import errors

END = "end of trees\n"
MAX_BYTES = 1 << 30
MAX_TREES = 1_000_000
HEADER = ("version", "num_class", "num_tree_per_iteration", "max_feature_idx", "objective", "tree_sizes")
CATEGORICAL = 1  # The bit of a node's decision type that makes LightGBM look up a set of categories.
NODE_FIELDS = ("split_feature", "threshold", "decision_type", "left_child", "right_child")


def cut(text: str) -> str:
    """Cut off what follows the trees."""
    return text[: text.index(END) + len(END)]


def require_sound(text: object, *, features: int, outputs: int) -> None:
    """Raise UnsafeArtifactError unless this is a text whose trees stay within themselves and within these features.

    `outputs` is how many trees each round has: one per class with more than two classes, else one.
    """
    try:
        if not isinstance(text, str) or len(text) > MAX_BYTES or not text.isascii() or not text.endswith(f"\n{END}"):
            raise ValueError("it is not a text that ends after its trees")
        head, trees = read(text, outputs=outputs)
        _check_head(head, features=features, outputs=outputs)
        for number, tree in enumerate(trees):
            _check_tree(number, tree, features=features)
    except (ValueError, KeyError, OverflowError) as error:
        raise errors.UnsafeArtifactError(f"the artifact's LightGBM model can't be read: {error}") from error


def read(text: str, *, outputs: int) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Read a sound text: the fields of its head, and those of each tree; the values are texts."""
    head, separator, body = text.removesuffix(END).partition("\nTree=")
    fields = _read_fields(head)
    trees = _split_trees(separator.lstrip() + body, sizes=fields["tree_sizes"], outputs=outputs)
    return fields, [_read_fields(tree) for tree in trees]


def _read_fields(block: str) -> dict[str, str]:
    """Read lines of `name=value`; a line without `=`, such as the first one, is a name with an empty value."""
    fields: dict[str, str] = {}
    for line in filter(None, block.split("\n")):
        name, _, value = line.partition("=")
        if name in fields:
            raise ValueError(f"it has {name[:50]!r} twice")
        fields[name] = value
    return fields


def _check_head(head: dict[str, str], *, features: int, outputs: int) -> None:
    absent = [name for name in HEADER if name not in head]
    if absent or head["version"] != "v4":
        raise ValueError(f"it is of version {head.get('version')!r} and lacks {absent}; only version v4 can be read")
    actual = (int(head["max_feature_idx"]) + 1, int(head["num_class"]), int(head["num_tree_per_iteration"]))
    if actual != (features, outputs, outputs):
        raise ValueError(f"it has {actual[0]} features and {actual[1:]} outputs, not {features} and {outputs}")


def _split_trees(body: str, *, sizes: str, outputs: int) -> list[str]:
    """Split the trees as LightGBM does, by the lengths in the head."""
    lengths = [int(size) for size in sizes.split()]
    ends = np.cumsum([0, *lengths]).tolist()
    if min([1, *lengths]) < 1 or len(lengths) > MAX_TREES or len(lengths) % outputs or ends[-1] != len(body):
        raise ValueError("its trees don't have the lengths that it declares")
    trees = [body[start:end] for start, end in itertools.pairwise(ends)]
    if not all(tree.endswith("\n") for tree in trees):
        raise ValueError("its trees don't have the lengths that it declares")
    return trees


def _check_tree(number: int, tree: dict[str, str], *, features: int) -> None:
    if tree["Tree"] != str(number) or tree["num_cat"] != "0" or tree["is_linear"] != "0":
        raise ValueError(f"tree {number} is out of order, or has categorical or linear nodes, which we never write")
    leaves = int(tree["num_leaves"])
    if leaves < 1 or len(read_numbers(tree, "leaf_value")) != leaves:
        raise ValueError(f"tree {number} doesn't have the {leaves} leaves that it declares")
    if leaves == 1:
        return
    nodes = {name: read_numbers(tree, name) for name in NODE_FIELDS}
    if any(len(values) != leaves - 1 for values in nodes.values()):
        raise ValueError(f"tree {number} doesn't have the {leaves - 1} nodes that it declares")
    if ((nodes["split_feature"] < 0) | (nodes["split_feature"] >= features)).any():
        raise ValueError(f"tree {number} splits by a feature that doesn't exist")
    if (nodes["decision_type"].astype(np.int64) & CATEGORICAL).any():
        raise ValueError(f"tree {number} splits by categories, which we never write")
    # A negative child is a leaf. When all nodes but the root and all leaves have one parent each, and every parent is
    # before its child, every path ends at a leaf.
    children = np.concatenate([nodes["left_child"], nodes["right_child"]])
    parents = np.tile(np.arange(leaves - 1), 2)
    expected = np.concatenate([np.arange(-leaves, 0), np.arange(1, leaves - 1)])
    inner = children >= 0
    if not np.array_equal(np.sort(children), expected) or (children[inner] <= parents[inner]).any():
        raise ValueError(f"tree {number} is not a tree: a child has no parent, two parents, or comes before its parent")


def read_numbers(tree: dict[str, str], name: str) -> npt.NDArray[np.float64]:
    """Read the numbers of a field; ValueError when one is none."""
    values = np.asarray(tree[name].split(), dtype=np.float64)
    if np.isnan(values).any():
        raise ValueError(f"{name} holds a value that is not a number")
    return values
