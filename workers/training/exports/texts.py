"""What ONNX computes of texts as Python does: tensors of (rows, 1), in which every text is present.

ONNX has no operator for characters; the tokenizer that every ONNX Runtime has takes texts apart, and a loop puts them
together: docs/decisions/exports.md, "Texts are taken apart by ONNX Runtime's own tokenizer".
"""

from typing import Any

import numpy as np
from onnx import helper

from workers.training.exports import characters
from workers.training.exports.graph import BOOL, DOUBLE, INT64, RUNTIME_DOMAIN, STRING, Graph

EMPTY_TEXT = "\ue000 empty \ue000"
"""An empty text that a recipe makes, in the tensors between its steps, where an empty text is a missing one."""
CAPITAL_SIGMA = "\N{GREEK CAPITAL LETTER SIGMA}"


def split(graph: Graph, texts: str, *, pattern: str) -> str:
    """Add the parts of each text that match a pattern, (rows, parts), with one empty text or more at the end."""
    flat = graph.node("Reshape", texts, graph.constant([-1], np.int64))
    parts = graph.node("Tokenizer", flat, domain=RUNTIME_DOMAIN, mark=0, mincharnum=1, pad_value="", tokenexp=pattern)
    # The runtime knows neither loops over nothing nor a choice of nothing.
    return graph.node("Concat", parts, _blanks(graph, flat), axis=1)


def without_sign(graph: Graph, tensor: str) -> str:
    """Add the texts of a recipe's column with an empty text for each sign of one."""
    sign, empty = graph.constant([[EMPTY_TEXT]], object), graph.constant([[""]], object)
    return graph.node("Where", graph.node("Equal", tensor, sign), empty, tensor)


def split_characters(graph: Graph, texts: str) -> str:
    """Add the characters of each text, (rows, characters), with empty texts at the end."""
    return split(graph, texts, pattern="(?s).")


def join(graph: Graph, parts: str) -> str:
    """Add the parts of each row, (rows, parts), one after another, as (rows, 1).

    Each round of the loop joins pairs, so that time grows with the texts' length and hardly with its square. It is no
    Scan, which would let StringConcat append to what an earlier round has left in its output.
    """
    names = ("number", "goes_on", "unjoined", "first", "padded", "second", "joined", "width", "more")
    named = {name: f"{graph.new_name()}_{name}" for name in names}
    zero, one, two, end, axis = (graph.constant([value], np.int64) for value in (0, 1, 2, np.iinfo(np.int64).max, 1))
    nodes: list[tuple[str, tuple[str, ...], str, dict[str, Any]]] = [
        ("Slice", (named["unjoined"], zero, end, axis, two), "first", {}),
        ("Concat", (named["unjoined"], _blanks(graph, parts)), "padded", {"axis": 1}),
        ("Slice", (named["padded"], one, end, axis, two), "second", {}),
        ("StringConcat", (named["first"], named["second"]), "joined", {}),
        ("Shape", (named["joined"],), "width", {"start": 1, "end": 2}),
        ("Greater", (named["width"], one), "more", {}),
    ]
    goes_on, still = f"{graph.new_name()}_still", f"{graph.new_name()}_flat"
    body = helper.make_graph(
        [
            *(helper.make_node(operator, inputs, [named[output]], **more) for operator, inputs, output, more in nodes),
            helper.make_node("Squeeze", [named["more"]], [still]),
        ],
        "join",
        [
            helper.make_tensor_value_info(named["number"], INT64, []),
            helper.make_tensor_value_info(goes_on, BOOL, []),
            helper.make_tensor_value_info(named["unjoined"], STRING, [None, None]),
        ],
        [
            helper.make_tensor_value_info(still, BOOL, []),
            helper.make_tensor_value_info(named["joined"], STRING, [None, None]),
        ],
    )
    is_several = graph.node("Greater", graph.node("Shape", parts, start=1, end=2), one)
    return graph.node("Loop", "", graph.node("Squeeze", is_several), parts, body=body)


def take_part(graph: Graph, parts: str, index: int) -> str:
    """Add a column of the parts, (rows, 1)."""
    return graph.node("Gather", parts, graph.constant([index], np.int64), axis=1)


def matches(graph: Graph, texts: str, pattern: str) -> str:
    """Add whether whole texts match a pattern, in which a dot matches every character."""
    return graph.node("RegexFullMatch", texts, pattern=f"(?s){pattern}")


def count_characters(graph: Graph, texts: str) -> str:
    """Add how many characters each text has, in float64."""
    parts = split_characters(graph, texts)
    is_character = graph.node("Not", graph.node("Equal", parts, _text(graph, "")))
    counts = graph.node("Cast", is_character, to=DOUBLE)
    return graph.node("ReduceSum", counts, graph.constant([1], np.int64), keepdims=1)


def substring(graph: Graph, texts: str, *, start: int, count: int) -> str:
    """Add this many characters of each text, from a position counted from 1."""
    parts = split_characters(graph, texts)
    padded = graph.node("Concat", _slice(graph, parts, start - 1, start - 1 + count), _blanks(graph, parts), axis=1)
    return join(graph, padded)


def strip(graph: Graph, texts: str) -> str:
    """Add the texts without white space at both ends."""
    other = f"[^{characters.space()}]"
    return take_part(graph, split(graph, texts, pattern=f"{other}(?s:.*){other}|{other}"), 0)


def change_case(graph: Graph, texts: str, *, upper: bool) -> str:
    """Add the texts in upper or in lower case."""
    if not upper:
        texts = _lower_sigmas(graph, texts)
    changed = characters.list_changed(str.upper if upper else str.lower)
    parts = split_characters(graph, texts)
    replacements = graph.node(
        "LabelEncoder",
        parts,
        domain="ai.onnx.ml",
        keys_strings=list(changed),
        values_strings=list(changed.values()),
        default_string="",
    )
    is_kept = graph.node("Equal", replacements, _text(graph, ""))
    return join(graph, graph.node("Where", is_kept, parts, replacements))


def _lower_sigmas(graph: Graph, texts: str) -> str:
    """Lower capital sigmas, which become another letter at the end of a word: Unicode's Final_Sigma."""
    parts = split(graph, texts, pattern=f"{CAPITAL_SIGMA}|[^{CAPITAL_SIGMA}]+")
    blanks = [_blanks(graph, parts)] * 2
    padded = graph.node("Concat", *blanks, parts, *blanks, axis=1)
    shifted = {shift: _slice(graph, padded, 2 + shift, shift - 2 or None) for shift in (-2, -1, 1, 2)}
    sigma = _text(graph, CAPITAL_SIGMA)
    cased, ignorable = f"[{characters.cased()}]", f"[{characters.ignorable()}]"
    beside = []
    for shift, pattern in ((-1, f".*{cased}{ignorable}*"), (1, f"{ignorable}*{cased}.*")):
        # What is passed over as a whole ends at another sigma, which is cased, or at the end of the text.
        is_passed = matches(graph, shifted[shift], f"{ignorable}+")
        reaches_sigma = graph.node("And", is_passed, graph.node("Equal", shifted[2 * shift], sigma))
        beside.append(graph.node("Or", matches(graph, shifted[shift], pattern), reaches_sigma))
    is_final = graph.node("And", beside[0], graph.node("Not", beside[1]))
    final = _text(graph, "\N{GREEK SMALL LETTER FINAL SIGMA}")
    small = graph.node("Where", is_final, final, _text(graph, "\N{GREEK SMALL LETTER SIGMA}"))
    return join(graph, graph.node("Where", graph.node("Equal", parts, sigma), small, parts))


def replace(graph: Graph, texts: str, old: str, new: str) -> str:
    """Add the texts with every occurrence of a text replaced."""
    parts, counts = _split_at(graph, texts, old)
    later = graph.node("StringConcat", _text(graph, new), parts)
    # The first part follows nothing, and behind the last one are only blanks.
    width = graph.node("Squeeze", graph.node("Shape", parts, start=1, end=2))
    numbers = graph.node("Range", graph.constant(0, np.int64), width, graph.constant(1, np.int64))
    is_later = graph.node(
        "And", graph.node("Greater", numbers, graph.constant(0, np.int64)), graph.node("Less", numbers, counts)
    )
    return join(graph, graph.node("Where", is_later, later, parts))


def split_part(graph: Graph, texts: str, separator: str, number: int) -> tuple[str, str]:
    """Add the nth part between separators, counted from 1, and whether there is one."""
    parts, counts = _split_at(graph, texts, separator)
    padded = graph.node("Concat", parts, _blanks(graph, parts, width=number), axis=1)
    exists = graph.node("GreaterOrEqual", counts, graph.constant(number, np.int64))
    return take_part(graph, padded, number - 1), exists


def _split_at(graph: Graph, texts: str, separator: str) -> tuple[str, str]:
    """Split at each separator: the parts, (rows, parts), and how many there are, (rows, 1)."""
    flat = graph.node("Reshape", texts, graph.constant([-1], np.int64))
    parts, counts = graph.nodes("StringSplit", flat, outputs=2, delimiter=separator)
    # An empty text has one part for Python, and none for ONNX.
    counts = graph.node("Max", counts, graph.constant([1], np.int64))
    padded = graph.node("Concat", parts, _blanks(graph, flat), axis=1)
    return padded, graph.node("Unsqueeze", counts, graph.constant([1], np.int64))


def _text(graph: Graph, text: str) -> str:
    return graph.constant([[text]], object)


def _blanks(graph: Graph, like: str, *, width: int = 1) -> str:
    """Add empty texts, (rows, width), with as many rows as another tensor has."""
    rows = graph.node("Shape", like, start=0, end=1)
    return graph.node("Expand", _text(graph, ""), graph.node("Concat", rows, graph.constant([width], np.int64), axis=0))


def _slice(graph: Graph, parts: str, start: int, end: int | None) -> str:
    """Add the columns from one position to another, counted from the end where it is negative."""
    bounds = (start, np.iinfo(np.int64).max if end is None else end, 1)
    return graph.node("Slice", parts, *(graph.constant([bound], np.int64) for bound in bounds))
