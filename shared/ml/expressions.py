"""Computes expressions of the recipe language over frames, a whole column at a time.

Missing values are as in SQL: what is computed of one is missing, a comparison with one is neither true nor false, and
`and` and `or` decide where the other side does. See `expression_functions` for how values are held.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from shared.ml import expression_functions as functions
from shared.ml import frames, times
from shared.recipe import expressions, kinds
from shared.recipe.functions import FUNCTIONS

Values = functions.Values
# Which arguments these functions give back.
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
        values = _Reader(frame, types).read(tree, kind)
    if kind == "time":
        return pd.Series(values, index=frame.index).astype("datetime64[us]").dt.tz_localize("UTC")
    return pd.Series(values, index=frame.index, dtype=object if kind == "text" else np.float64)


def keeps(text: str, frame: pd.DataFrame, *, types: Mapping[str, str]) -> Values:
    """Say for each row whether a condition is true there; not where it is missing."""
    return np.asarray(compute(with_plain_dates(text, types=types), frame, types=types) == 1)


def with_plain_dates(text: str, *, types: Mapping[str, str]) -> str:
    """Give an expression that reads dates in UTC whatever the zone it names: a date is the same day everywhere.

    What is stored is what this gives; expressions stored before there was this move dates to their zone for good.
    """
    read = text.strip().encode()
    lines = np.cumsum([0, *(len(line) for line in read.splitlines(keepends=True))])
    zones = [
        node.args[1]
        for node in ast.walk(expressions.parse(text))
        if isinstance(node, ast.Call) and len(node.args) == 2 and _reads_dates(node, types)
    ]
    for zone in sorted(zones, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        begin = lines[zone.lineno - 1] + zone.col_offset
        end = lines[(zone.end_lineno or zone.lineno) - 1] + (zone.end_col_offset or 0)
        read = read[:begin] + b"'UTC'" + read[end:]
    return read.decode()


def _reads_dates(node: ast.Call, types: Mapping[str, str]) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id in times.PARTS and _is_date(node.args[0], types)


def _is_date(node: ast.expr, types: Mapping[str, str]) -> bool:
    """Say whether a node gives nothing but dates; what gives moments besides gives moments."""
    column = expressions.column_of(node)
    if column is not None:
        return types[column] == "date"
    match node:
        case ast.Call(func=ast.Name(id=name)) if name in CHOOSERS:
            return all(_is_date(given, types) for given in node.args[CHOOSERS[name]])
    return isinstance(node, ast.Constant) and node.value is None


class _Reader:
    """Reads a tree over one frame."""

    def __init__(self, frame: pd.DataFrame, types: Mapping[str, str]) -> None:
        self._frame = frame
        self._types = types

    def read(self, node: ast.expr, kind: str | None = None) -> Values:
        """Give a node's values; `kind` says what a None is to be."""
        kind = kind or kinds.kind_of(node, types=self._types)
        column = expressions.column_of(node)
        if column is not None:
            return self._column(column)
        match node:
            case ast.Constant():
                return self._constant(node.value, kind)
            case ast.UnaryOp(op=ast.Not()):
                return 1.0 - self.read(node.operand, kind)
            case ast.UnaryOp():
                sign = -1.0 if isinstance(node.op, ast.USub) else 1.0
                return sign * self.read(node.operand, kind)
            case ast.BinOp():
                left, right = self.read(node.left, kind), self.read(node.right, kind)
                return functions.finite(ARITHMETIC[type(node.op)](left, right))
            case ast.BoolOp():
                return self._logic(node)
            case ast.Compare():
                return self._comparison(node)
            case ast.Call(func=ast.Name(id=name)):
                return self._call(name, node.args, kind)
        raise AssertionError(f"{type(node).__name__} was let through")

    def _column(self, name: str) -> Values:
        values = self._frame[name]
        if self._types[name] in frames.TEMPORAL:
            return times.in_utc(values)
        return np.asarray(values)

    def _constant(self, value: Any, kind: str) -> Values:
        rows = len(self._frame)
        if kind == "time":
            return np.full(rows, np.datetime64("NaT" if value is None else value), dtype="datetime64[us]")
        if kind == "text":
            return np.full(rows, np.nan if value is None else value, dtype=object)
        return np.full(rows, np.nan if value is None else float(value), dtype=np.float64)

    def _logic(self, node: ast.BoolOp) -> Values:
        """Decide as SQL does: one false is enough for `and`, one true for `or`, whatever is missing besides."""
        columns = [self.read(value, "boolean") for value in node.values]
        decides = 0.0 if isinstance(node.op, ast.And) else 1.0
        decided = np.logical_or.reduce([column == decides for column in columns])
        unknown = np.logical_or.reduce([np.isnan(column) for column in columns])
        return np.where(decided, decides, np.where(unknown, np.nan, 1.0 - decides))

    def _comparison(self, node: ast.Compare) -> Values:
        left = self.read(node.left)
        if isinstance(node.ops[0], expressions.MEMBERSHIP):
            wanted = frozenset(expressions.members(node))
            found = functions.truth([value in wanted for value in left.tolist()], left)
            return found if isinstance(node.ops[0], ast.In) else 1.0 - found
        results = []
        for op, comparator in zip(node.ops, node.comparators, strict=True):
            right = self.read(comparator)
            results.append(self._compare(COMPARISONS[type(op)], left, right))
            left = right
        return np.asarray(np.minimum.reduce(results))

    def _compare(self, compare: Callable[[Any, Any], Any], left: Values, right: Values) -> Values:
        there = functions.known(left) & functions.known(right)
        made = np.full(len(left), np.nan)
        made[there] = compare(left[there], right[there]).astype(np.float64)
        return made

    def _call(self, name: str, arguments: list[ast.expr], kind: str) -> Values:
        if name == "time":
            return np.full(len(self._frame), functions.moment(str(expressions.literal(arguments[0]))))
        if name == "text":
            seen = kinds.kind_of(arguments[0], types=self._types)
            return functions.to_text(self.read(arguments[0]), seen)
        known = FUNCTIONS[name]
        given: list[Any] = [
            expressions.literal(argument) if place in known.literals else self.read(argument, wanted)
            for place, (argument, wanted) in enumerate(zip(arguments, self._wanted(name, arguments, kind), strict=True))
        ]
        if name in functions.NUMBERS:
            return functions.finite(functions.NUMBERS[name](*given))
        if name in functions.BOOLEANS:
            return functions.BOOLEANS[name](*given)
        if name in functions.OTHERS:
            return functions.OTHERS[name](*given)
        return times.part_of(given[0], name, zone=given[1] if len(given) > 1 else "UTC")

    def _wanted(self, name: str, arguments: list[ast.expr], kind: str) -> list[str | None]:
        """Give the kind that each argument is to have, so that a None becomes missing in the right form."""
        takes = FUNCTIONS[name].takes
        wanted = [takes[min(place, len(takes) - 1)] for place in range(len(arguments))]
        return [None if one == "any" else kind if one == "same" else one for one in wanted]
