"""Computes expressions of the recipe language over frames, a whole column at a time.

Missing values are as in SQL: what is computed from one is missing, a comparison with one is neither true nor false, and
`and` and `or` still have a result where the other side decides it. See `expression_functions` for the dtypes.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from shared.ml import expression_functions, frames, times
from shared.recipe import expressions, kinds
from shared.recipe.functions import FUNCTIONS

Values = expression_functions.Values
# Which of their arguments these functions may return.
CHOOSERS = {"coalesce": slice(0, None), "where": slice(1, None), "null_if": slice(0, 1)}

ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.mod,
    ast.Pow: np.power,
}
COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def compute(text: str, frame: pd.DataFrame, *, types: Mapping[str, str]) -> pd.Series:
    """Compute an expression over a frame of `frames`, whose columns have these types, as a series of its dtypes."""
    tree = expressions.parse(text)
    kind = kinds.kind_of(tree, types=types)
    with np.errstate(all="ignore"):
        values = _Evaluator(frame, types).evaluate(tree, kind)
    if kind == "time":
        return pd.Series(values, index=frame.index).astype("datetime64[us]").dt.tz_localize("UTC")
    return pd.Series(values, index=frame.index, dtype=object if kind == "text" else np.float64)


def find_true(text: str, frame: pd.DataFrame, *, types: Mapping[str, str]) -> Values:
    """Find the rows in which a condition is true; a missing result is not true."""
    return np.asarray(compute(with_plain_dates(text, types=types), frame, types=types) == 1)


def with_plain_dates(text: str, *, types: Mapping[str, str]) -> str:
    """Rewrite an expression so that it reads dates in UTC, whatever zone it names: a date is the same day everywhere.

    The rewritten expression is stored; older stored expressions, which were not rewritten, convert dates to the zone.
    """
    source = text.strip().encode()
    lines = np.cumsum([0, *(len(line) for line in source.splitlines(keepends=True))])
    zones = [
        node.args[1]
        for node in ast.walk(expressions.parse(text))
        if isinstance(node, ast.Call) and len(node.args) == 2 and _reads_dates(node, types)
    ]
    for zone in sorted(zones, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        begin = lines[zone.lineno - 1] + zone.col_offset
        end = lines[(zone.end_lineno or zone.lineno) - 1] + (zone.end_col_offset or 0)
        source = source[:begin] + b"'UTC'" + source[end:]
    return source.decode()


def _reads_dates(node: ast.Call, types: Mapping[str, str]) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id in times.PARTS and _is_date(node.args[0], types)


def _is_date(node: ast.expr, types: Mapping[str, str]) -> bool:
    """Return whether a node's values are all dates; if some are timestamps, all count as timestamps."""
    column = expressions.column_of(node)
    if column is not None:
        return types[column] == "date"
    match node:
        case ast.Call(func=ast.Name(id=name)) if name in CHOOSERS:
            return all(_is_date(argument, types) for argument in node.args[CHOOSERS[name]])
    return isinstance(node, ast.Constant) and node.value is None


class _Evaluator:
    """Evaluates a tree over one frame."""

    def __init__(self, frame: pd.DataFrame, types: Mapping[str, str]) -> None:
        self._frame = frame
        self._types = types

    def evaluate(self, node: ast.expr, kind: str | None = None) -> Values:
        """Compute a node's values; `kind` is the kind that a None has here."""
        kind = kind or kinds.kind_of(node, types=self._types)
        column = expressions.column_of(node)
        if column is not None:
            return self._read_column(column)
        match node:
            case ast.Constant():
                return self._repeat(node.value, kind)
            case ast.UnaryOp(op=ast.Not()):
                return 1.0 - self.evaluate(node.operand, kind)
            case ast.UnaryOp():
                sign = -1.0 if isinstance(node.op, ast.USub) else 1.0
                return sign * self.evaluate(node.operand, kind)
            case ast.BinOp():
                left, right = self.evaluate(node.left, kind), self.evaluate(node.right, kind)
                return expression_functions.keep_finite(ARITHMETIC[type(node.op)](left, right))
            case ast.BoolOp():
                return self._decide(node)
            case ast.Compare():
                return self._compare(node)
            case ast.Call(func=ast.Name(id=name)):
                return self._call(name, node.args, kind)
        raise AssertionError(f"{type(node).__name__} should have been refused by the parser")

    def _read_column(self, name: str) -> Values:
        values = self._frame[name]
        if self._types[name] in frames.TEMPORAL:
            return times.to_utc(values)
        return np.asarray(values)

    def _repeat(self, value: Any, kind: str) -> Values:
        rows = len(self._frame)
        if kind == "time":
            return np.full(rows, np.datetime64("NaT" if value is None else value), dtype="datetime64[us]")
        if kind == "text":
            return np.full(rows, np.nan if value is None else value, dtype=object)
        return np.full(rows, np.nan if value is None else float(value), dtype=np.float64)

    def _decide(self, node: ast.BoolOp) -> Values:
        """Decide as SQL does: one false is enough for `and`, one true for `or`, even if other operands are missing."""
        columns = [self.evaluate(value, "boolean") for value in node.values]
        deciding = 0.0 if isinstance(node.op, ast.And) else 1.0
        is_decided = np.logical_or.reduce([column == deciding for column in columns])
        is_unknown = np.logical_or.reduce([np.isnan(column) for column in columns])
        return np.where(is_decided, deciding, np.where(is_unknown, np.nan, 1.0 - deciding))

    def _compare(self, node: ast.Compare) -> Values:
        left = self.evaluate(node.left)
        if isinstance(node.ops[0], expressions.MEMBERSHIP):
            members = frozenset(expressions.read_members(node))
            is_member = expression_functions.to_truth([value in members for value in left.tolist()], left)
            return is_member if isinstance(node.ops[0], ast.In) else 1.0 - is_member
        results = []
        for op, comparator in zip(node.ops, node.comparators, strict=True):
            right = self.evaluate(comparator)
            results.append(self._compare_present(COMPARISONS[type(op)], left, right))
            left = right
        return np.asarray(np.minimum.reduce(results))

    def _compare_present(self, compare: Callable[[Any, Any], Any], left: Values, right: Values) -> Values:
        present = expression_functions.is_present(left) & expression_functions.is_present(right)
        result = np.full(len(left), np.nan)
        result[present] = compare(left[present], right[present]).astype(np.float64)
        return result

    def _call(self, name: str, arguments: list[ast.expr], kind: str) -> Values:
        if name == "time":
            return np.full(
                len(self._frame), expression_functions.parse_time(str(expressions.read_literal(arguments[0])))
            )
        if name == "text":
            argument_kind = kinds.kind_of(arguments[0], types=self._types)
            return expression_functions.to_text(self.evaluate(arguments[0]), argument_kind)
        literals = FUNCTIONS[name].literals
        argument_kinds = self._argument_kinds(name, len(arguments), kind)
        values: list[Any] = [
            expressions.read_literal(argument) if index in literals else self.evaluate(argument, argument_kinds[index])
            for index, argument in enumerate(arguments)
        ]
        if name in expression_functions.NUMBERS:
            return expression_functions.keep_finite(expression_functions.NUMBERS[name](*values))
        if name in expression_functions.BOOLEANS:
            return expression_functions.BOOLEANS[name](*values)
        if name in expression_functions.OTHERS:
            return expression_functions.OTHERS[name](*values)
        return times.extract_part(values[0], name, zone=values[1] if len(values) > 1 else "UTC")

    def _argument_kinds(self, name: str, count: int, kind: str) -> list[str | None]:
        """List the kind that each argument must have, so that a None becomes a missing value of that kind."""
        takes = FUNCTIONS[name].takes
        argument_kinds = [takes[min(index, len(takes) - 1)] for index in range(count)]
        return [None if expected == "any" else kind if expected == "same" else expected for expected in argument_kinds]
