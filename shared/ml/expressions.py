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

from shared.ml import exact_numbers, expression_functions, frames, integers, times
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
    """Compute an expression over a frame of `frames`, whose columns have these types, as a series of its dtypes.

    A row with an integer beyond float64 is calculated exactly, and every other in float64, as ONNX does: what a row
    becomes doesn't depend on the others of its frame.
    """
    tree = expressions.parse(text)
    kind = kinds.kind_of(tree, types=types)
    with np.errstate(all="ignore"):
        values = _compute_rows(tree, frame, types, kind) if _calculates(tree) else _evaluate(tree, frame, types, kind)
    if kind == "time":
        return pd.Series(values, index=frame.index).astype("datetime64[us]").dt.tz_localize("UTC")
    if kind == "number" and kinds.keeps_integers(tree, types=types) and exact_numbers.are_exact(values):
        return integers.from_objects(values, index=frame.index)
    if kind == "number":
        values = integers.round_to_floats(values, name="derive")
    return pd.Series(values, index=frame.index, dtype=object if kind == "text" else np.float64)


def compute_condition(text: str, frame: pd.DataFrame, *, types: Mapping[str, str]) -> pd.Series:
    """Compute a condition, float64: 1 where it is true, 0 where it is false, NaN where that is unknown.

    Dates are the same in every zone, and integers are calculated exactly in every row.
    """
    tree = expressions.parse(with_plain_dates(text, types=types))
    kind = kinds.kind_of(tree, types=types)
    with np.errstate(all="ignore"):
        evaluator = _Evaluator(frame, types, exact=False if _calculates(tree) else None)
        values = evaluator.evaluate(tree, kind)
        if evaluator.may_have_rounded or (_calculates(tree) and _find_exact(tree, frame).any()):
            values = _evaluate(tree, frame, types, kind, exact=True)
    return pd.Series(values, index=frame.index, dtype=np.float64)


def find_true(text: str, frame: pd.DataFrame, *, types: Mapping[str, str]) -> Values:
    """Find the rows in which a condition is true; a missing result is not true."""
    return np.asarray(compute_condition(text, frame, types=types) == 1)


def _calculates(tree: ast.expr) -> bool:
    return any(isinstance(node, ast.BinOp) for node in ast.walk(tree))


def _compute_rows(tree: ast.expr, frame: pd.DataFrame, types: Mapping[str, str], kind: str) -> Values:
    exact = _find_exact(tree, frame)
    if exact.all() and len(exact):
        return _evaluate(tree, frame, types, kind, exact=True)
    values = _evaluate(tree, frame[~exact], types, kind, exact=False)
    if not exact.any():
        return values
    others = _evaluate(tree, frame[exact], types, kind, exact=True)
    result = np.empty(len(frame), dtype=object if exact_numbers.are_exact(values, others) else values.dtype)
    result[~exact], result[exact] = values, others
    return result


def _find_exact(tree: ast.expr, frame: pd.DataFrame) -> Values:
    """Find the rows in which one of the expression's integers is beyond float64."""
    found = np.zeros(len(frame), dtype=bool)
    for name in expressions.columns_of(tree):
        if integers.is_exact(frame[name]):
            numbers = frame[name].fillna(0).to_numpy(dtype=np.int64)
            found |= (numbers >= integers.LIMIT) | (numbers <= -integers.LIMIT)
    return found


def _evaluate(
    tree: ast.expr, frame: pd.DataFrame, types: Mapping[str, str], kind: str, *, exact: bool | None = None
) -> Values:
    return _Evaluator(frame, types, exact=exact).evaluate(tree, kind)


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
    """Evaluates a tree over one frame.

    `exact`: whether integers are Python's, or else float64; None leaves that to the frame's columns.
    """

    def __init__(self, frame: pd.DataFrame, types: Mapping[str, str], *, exact: bool | None) -> None:
        self._frame = frame
        self._types = types
        self._exact = exact
        self.may_have_rounded = False
        """Whether float64 may have rounded a whole number that was calculated."""

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
                return self._sign(node, kind)
            case ast.BinOp():
                return self._calculate(node, kind)
            case ast.BoolOp():
                return self._decide(node)
            case ast.Compare():
                return self._compare(node)
            case ast.Call(func=ast.Name(id=name)):
                return self._call(name, node.args, kind)
        raise AssertionError(f"{type(node).__name__} should have been refused by the parser")

    def _sign(self, node: ast.UnaryOp, kind: str) -> Values:
        operand = self.evaluate(node.operand, kind)
        if isinstance(node.op, ast.UAdd):
            return operand
        return exact_numbers.negate(operand) if exact_numbers.are_exact(operand) else -1.0 * operand

    def _calculate(self, node: ast.BinOp, kind: str) -> Values:
        left, right, operation = self.evaluate(node.left, kind), self.evaluate(node.right, kind), type(node.op)
        if exact_numbers.are_exact(left, right):
            return exact_numbers.calculate(operation, left, right, in_floats=ARITHMETIC[operation])
        result = ARITHMETIC[operation](left, right)
        if operation in exact_numbers.WHOLE:
            self.may_have_rounded |= any(np.any(np.abs(values) >= integers.LIMIT) for values in (left, right, result))
        return expression_functions.keep_finite(result)

    def _read_column(self, name: str) -> Values:
        values = self._frame[name]
        if self._types[name] in frames.TEMPORAL:
            return times.to_utc(values)
        if integers.is_exact(values) if self._exact is None else self._exact and self._types[name] == "integer":
            return integers.to_objects(values)
        return np.asarray(integers.to_floats(values))

    def _repeat(self, value: Any, kind: str) -> Values:
        rows = len(self._frame)
        if kind == "time":
            return np.full(rows, np.datetime64("NaT" if value is None else value), dtype="datetime64[us]")
        if kind == "text":
            return np.full(rows, np.nan if value is None else value, dtype=object)
        if isinstance(value, int) and abs(value) >= integers.LIMIT:
            return np.full(rows, value, dtype=object)
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
        columns = [value for index, value in enumerate(values) if index not in literals]
        if FUNCTIONS[name].takes[0] == "number" and exact_numbers.are_exact(*columns):
            if name in exact_numbers.FUNCTIONS:
                return exact_numbers.FUNCTIONS[name](*values)
            values = [exact_numbers.to_floats(value) for value in values]
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
