"""The expression language's functions on texts, in ONNX; those that it can't compute exactly are refused by name."""

from typing import Any

import numpy as np

from shared import errors
from workers.training.exports import characters, texts, values
from workers.training.exports.graph import Graph
from workers.training.exports.values import Values

PATTERNS = {"contains": ".*{}.*", "starts_with": "{}.*", "ends_with": ".*{}"}


def call(graph: Graph, name: str, columns: tuple[Values, ...], options: list[Any]) -> Values:
    """Add a function of texts, with the plain values of its literals; BadModelError for one that can't be exported."""
    first = columns[0]
    if name in PATTERNS:
        pattern = PATTERNS[name].format(characters.escape(options[0]))
        return values.to_truth(graph, texts.matches(graph, first.tensor, pattern), first)
    match name:
        case "length":
            count = texts.count_characters(graph, first.tensor)
            return values.mark(graph, "number", graph.node("Where", first.missing, graph.floats(np.nan), count))
        case "concat":
            return _concatenate(graph, columns)
        case "lower" | "upper":
            changed = texts.change_case(graph, first.tensor, upper=name == "upper")
        case "strip":
            changed = texts.strip(graph, first.tensor)
        case "replace":
            changed = texts.replace(graph, first.tensor, *options)
        case "substring":
            changed = texts.substring(graph, first.tensor, start=options[0], count=options[1])
        case "split_part":
            changed, exists = texts.split_part(graph, first.tensor, *options)
            return Values("text", changed, graph.node("Or", first.missing, graph.node("Not", exists)))
        case "text":
            return _write_text(graph, first)
        case _:
            raise errors.BadModelError(
                f"the function {name!r} can't be exported to ONNX, which reads numbers otherwise"
            )
    return Values("text", changed, first.missing)


def _concatenate(graph: Graph, columns: tuple[Values, ...]) -> Values:
    result = columns[0].tensor
    for column in columns[1:]:
        result = graph.node("StringConcat", result, column.tensor)
    return Values("text", result, values.any_missing(graph, columns))


def _write_text(graph: Graph, column: Values) -> Values:
    if column.kind == "text":
        return column
    if column.kind != "boolean":
        raise errors.BadModelError(
            f"`text` of a {column.kind} can't be exported to ONNX, which writes numbers and times otherwise"
        )
    is_true = graph.node("Equal", column.tensor, graph.floats(1.0))
    words = (graph.constant([[word]], object) for word in ("true", "false"))
    return Values("text", graph.node("Where", is_true, *words), column.missing)
