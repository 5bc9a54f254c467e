"""Converts expressions of the recipe language to ONNX, as `shared.ml.expressions` computes them."""

import ast
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shared import errors
from shared.ml import expression_functions, integers
from shared.recipe import expressions, kinds
from shared.recipe.functions import FUNCTIONS
from workers.training.exports import arithmetic, dates, text_calls, values
from workers.training.exports.graph import BOOL, DOUBLE, Block, Graph
from workers.training.exports.values import Values

COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "Equal",
    ast.NotEq: "Equal",
    ast.Lt: "Less",
    ast.LtE: "LessOrEqual",
    ast.Gt: "Greater",
    ast.GtE: "GreaterOrEqual",
}


def compute(graph: Graph, fitted: Any, blocks: Sequence[Block]) -> Block:
    """Add the column that `Derive` computes; BadModelError, with the part's name, for what ONNX can't say exactly."""
    types: Mapping[str, str] = fitted.types or {}
    if not blocks:
        raise errors.BadModelError(f"derive of {fitted.name!r} reads no column, so that ONNX knows no number of rows")
    tree = expressions.parse(fitted.expression)
    column = _Evaluator(graph, blocks, types).evaluate(tree, kinds.kind_of(tree, types=types))
    return values.write(graph, column, fitted.name, like=blocks[0].tensor)


class _Evaluator:
    """Writes a tree over the columns of some blocks."""

    def __init__(self, graph: Graph, blocks: Sequence[Block], types: Mapping[str, str]) -> None:
        self._graph = graph
        self._block_of = {name: block for block in blocks for name in block.names}
        self._types = types

    def evaluate(self, node: ast.expr, kind: str | None = None) -> Values:
        """Add a node's values; `kind` is the kind that a None has here."""
        kind = kind or kinds.kind_of(node, types=self._types)
        column = expressions.column_of(node)
        if column is not None:
            block = self._graph.pick(self._block_of[column], [column])
            return values.read(self._graph, block, kinds.kind_of(node, types=self._types))
        match node:
            case ast.Constant():
                return self._repeat(node.value, kind)
            case ast.UnaryOp(op=ast.Not()):
                operand = self.evaluate(node.operand, kind)
                return self._number("boolean", "Sub", self._graph.floats(1.0), operand.tensor)
            case ast.UnaryOp(op=ast.USub()):
                return self._number("number", "Neg", self.evaluate(node.operand, kind).tensor)
            case ast.UnaryOp():
                return self.evaluate(node.operand, kind)
            case ast.BinOp():
                left, right = self.evaluate(node.left, kind), self.evaluate(node.right, kind)
                result = arithmetic.calculate(self._graph, type(node.op), left.tensor, right.tensor)
                return values.mark(self._graph, "number", result)
            case ast.BoolOp():
                return self._decide(node)
            case ast.Compare():
                return self._compare(node)
            case ast.Call(func=ast.Name(id=name)):
                return self._call(name, node.args, kind)
        raise AssertionError(f"{type(node).__name__} should have been refused by the parser")

    def _number(self, kind: str, operator: str, *tensors: str) -> Values:
        return values.mark(self._graph, kind, self._graph.node(operator, *tensors))

    def _repeat(self, value: Any, kind: str) -> Values:
        if isinstance(value, int) and abs(value) >= integers.LIMIT:
            raise errors.BadModelError(f"the number {value} can't be exported to ONNX: float64 merges its neighbours")
        return values.repeat(self._graph, value, kind)

    def _decide(self, node: ast.BoolOp) -> Values:
        """Decide as SQL does: one false is enough for `and`, one true for `or`, even if other operands are missing."""
        graph, columns = self._graph, tuple(self.evaluate(value, "boolean") for value in node.values)
        deciding = 0.0 if isinstance(node.op, ast.And) else 1.0
        is_decided = graph.node("Equal", columns[0].tensor, graph.floats(deciding))
        for column in columns[1:]:
            is_decided = graph.node("Or", is_decided, graph.node("Equal", column.tensor, graph.floats(deciding)))
        other = graph.node(
            "Where", values.any_missing(graph, columns), graph.floats(np.nan), graph.floats(1.0 - deciding)
        )
        return self._number("boolean", "Where", is_decided, graph.floats(deciding), other)

    def _compare(self, node: ast.Compare) -> Values:
        left = self.evaluate(node.left)
        if isinstance(node.ops[0], expressions.MEMBERSHIP):
            return self._find_members(left, expressions.read_members(node), is_in=isinstance(node.ops[0], ast.In))
        holds, columns = [], [left]
        for op, comparator in zip(node.ops, node.comparators, strict=True):
            right = self.evaluate(comparator)
            holds.append(self._compare_two(op, left, right))
            columns.append(right)
            left = right
        result = holds[0]
        for other in holds[1:]:
            result = self._graph.node("And", result, other)
        return values.to_truth(self._graph, result, *columns)

    def _compare_two(self, op: ast.cmpop, left: Values, right: Values) -> str:
        if left.kind == "text" and not isinstance(op, ast.Eq | ast.NotEq):
            raise errors.BadModelError(
                "the order of texts can't be exported to ONNX, which only knows whether two are equal"
            )
        result = self._graph.node(COMPARISONS[type(op)], left.tensor, right.tensor)
        return self._graph.node("Not", result) if isinstance(op, ast.NotEq) else result

    def _find_members(self, left: Values, members: list[Any], *, is_in: bool) -> Values:
        graph = self._graph
        is_text = left.kind == "text"
        constant = graph.constant([members], object if is_text else np.float64)
        matches = graph.node("Cast", graph.node("Equal", left.tensor, constant), to=DOUBLE)
        found = graph.node("Cast", graph.node("ReduceMax", matches, graph.constant([1], np.int64)), to=BOOL)
        return values.to_truth(graph, found if is_in else graph.node("Not", found), left)

    def _call(self, name: str, arguments: list[ast.expr], kind: str) -> Values:
        graph, literals = self._graph, FUNCTIONS[name].literals
        if name == "time":
            moment = expression_functions.parse_time(str(expressions.read_literal(arguments[0])))
            return values.repeat(graph, int(moment.astype(np.int64)), "time")
        takes = FUNCTIONS[name].takes
        expected = [takes[min(index, len(takes) - 1)] for index in range(len(arguments))]
        columns = tuple(
            self.evaluate(argument, {"any": None, "same": kind}.get(takes_kind, takes_kind))
            for index, (argument, takes_kind) in enumerate(zip(arguments, expected, strict=True))
            if index not in literals
        )
        options: list[Any] = [
            expressions.read_literal(argument) for index, argument in enumerate(arguments) if index in literals
        ]
        match name:
            case "is_null":
                return values.mark(graph, "boolean", graph.node("Cast", columns[0].missing, to=DOUBLE))
            case "where":
                condition = graph.node("Equal", columns[0].tensor, graph.floats(1.0))
                return values.choose(graph, condition, columns[1], columns[2])
            case "coalesce":
                return self._coalesce(columns)
            case "null_if":
                return self._null_if(columns[0], columns[1])
            case "days_between" | "seconds_between":
                return self._count_seconds(columns, 86_400.0 if name == "days_between" else 1.0)
        if name in dates.PARTS:
            calendar = dates.Calendar(graph, columns[0].tensor, zone=options[0] if options else "UTC")
            return values.mark(graph, "number", calendar.select(name))
        if name in arithmetic.FUNCTIONS:
            result = arithmetic.FUNCTIONS[name](graph, *(column.tensor for column in columns), *options)
            return values.mark(graph, "number", result)
        return text_calls.call(graph, name, columns, options)

    def _coalesce(self, columns: tuple[Values, ...]) -> Values:
        result = columns[0]
        for column in columns[1:]:
            result = values.choose(self._graph, result.missing, column, result)
        return result

    def _null_if(self, left: Values, right: Values) -> Values:
        graph = self._graph
        is_missing = values.any_missing(graph, (left, right))
        is_equal = graph.node("Equal", left.tensor, right.tensor)
        both = graph.node("And", graph.node("Not", is_missing), is_equal)
        return values.choose(graph, both, values.repeat(graph, None, left.kind), left)

    def _count_seconds(self, columns: tuple[Values, ...], unit: float) -> Values:
        graph = self._graph
        microseconds = graph.node("Cast", graph.node("Sub", columns[1].tensor, columns[0].tensor), to=DOUBLE)
        seconds = graph.node("Div", graph.node("Div", microseconds, graph.floats(1e6)), graph.floats(unit))
        return self._number("number", "Where", values.any_missing(graph, columns), graph.floats(np.nan), seconds)
