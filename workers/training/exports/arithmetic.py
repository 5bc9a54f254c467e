"""Arithmetic of the expression language in ONNX: float64 as numpy computes it, where what is not finite is missing."""

import ast
from collections.abc import Callable

import numpy as np

from workers.training.exports.graph import Graph

OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "Add",
    ast.Sub: "Sub",
    ast.Mult: "Mul",
    ast.Div: "Div",
    ast.Pow: "Pow",
}


def calculate(graph: Graph, operation: type[ast.operator], left: str, right: str) -> str:
    """Add what an operator makes of two tensors."""
    if operation in (ast.FloorDiv, ast.Mod):
        quotient, rest = _divide(graph, left, right)
        return keep_finite(graph, quotient if operation is ast.FloorDiv else rest)
    return keep_finite(graph, graph.node(OPERATORS[operation], left, right))


def keep_finite(graph: Graph, tensor: str) -> str:
    """Make infinite numbers missing."""
    return graph.node("Where", graph.node("IsInf", tensor), graph.floats(np.nan), tensor)


def _divide(graph: Graph, left: str, right: str) -> tuple[str, str]:
    """Divide as Python does: the quotient is rounded down, and the rest has the divisor's sign."""
    zero = graph.floats(0.0)
    rest = graph.node("Mod", left, right, fmod=1)
    quotient = graph.node("Div", graph.node("Sub", left, rest), right)
    signs_differ = graph.node("Xor", graph.node("Less", rest, zero), graph.node("Less", right, zero))
    is_moved = graph.node("And", graph.node("Not", graph.node("Equal", rest, zero)), signs_differ)
    rest = graph.node("Where", is_moved, graph.node("Add", rest, right), rest)
    quotient = graph.node("Where", is_moved, graph.node("Sub", quotient, graph.floats(1.0)), quotient)
    # The quotient is whole but for the rounding of the division.
    low = graph.node("Floor", quotient)
    is_next = graph.node("Greater", graph.node("Sub", quotient, low), graph.floats(0.5))
    return graph.node("Where", is_next, graph.node("Add", low, graph.floats(1.0)), low), rest


def _apply(operator: str) -> Callable[..., str]:
    return lambda graph, tensor: keep_finite(graph, graph.node(operator, tensor))


def take_log1p(graph: Graph, tensor: str) -> str:
    """Add log(1 + x), exact for small numbers too (W. Kahan's formula): the logarithm's error is that of 1 + x."""
    one = graph.floats(1.0)
    sum_ = graph.node("Add", one, tensor)
    kept = graph.node("Sub", sum_, one)
    is_small = graph.node("Equal", kept, graph.floats(0.0))
    quotient = graph.node("Div", tensor, graph.node("Where", is_small, one, kept))
    # Beyond 2^53 the 1 is lost on both sides.
    ratio = graph.node("Where", graph.node("IsInf", tensor), one, quotient)
    logarithm = graph.node("Mul", graph.node("Log", sum_), ratio)
    return graph.node("Where", is_small, tensor, logarithm)


def round_digits(graph: Graph, tensor: str, digits: int = 0) -> str:
    """Round to this many digits, half to even, as numpy does."""
    if digits == 0:
        return graph.node("Round", tensor)
    factor = graph.floats(10.0 ** min(abs(digits), 300))
    scale, back = ("Mul", "Div") if digits > 0 else ("Div", "Mul")
    return graph.node(back, graph.node("Round", graph.node(scale, tensor, factor)), factor)


def _reduce(operator: str) -> Callable[..., str]:
    def reduce(graph: Graph, *tensors: str) -> str:
        result = tensors[0]
        for tensor in tensors[1:]:
            # What the runtime makes of NaN depends on its place.
            is_missing = graph.node("Or", graph.node("IsNaN", result), graph.node("IsNaN", tensor))
            result = graph.node("Where", is_missing, graph.floats(np.nan), graph.node(operator, result, tensor))
        return result

    return reduce


FUNCTIONS: dict[str, Callable[..., str]] = {
    "abs": _apply("Abs"),
    "sqrt": _apply("Sqrt"),
    "exp": _apply("Exp"),
    "log": _apply("Log"),
    "log1p": lambda graph, tensor: keep_finite(graph, take_log1p(graph, tensor)),
    "floor": _apply("Floor"),
    "ceil": _apply("Ceil"),
    "round": lambda graph, tensor, digits=0: keep_finite(graph, round_digits(graph, tensor, digits)),
    "least": _reduce("Min"),
    "greatest": _reduce("Max"),
}
"""The functions of numbers, each for tensors and the plain values of its literals."""
