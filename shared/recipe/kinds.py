"""Which kind of values an expression has over columns of given types, or why its parts don't fit each other."""

import ast
from collections.abc import Mapping

from shared.recipe import expressions, functions

Kind = functions.Kind
UNORDERED = (ast.Eq, ast.NotEq, *expressions.MEMBERSHIP)


def kind_of(tree: ast.expr, *, types: Mapping[str, str]) -> Kind:
    """Give the kind of an expression's values over columns of these types; ValueError when parts don't fit."""
    name = expressions.column_of(tree)
    if name is not None:
        return functions.KINDS[types[name]]
    match tree:
        case ast.Constant():
            return _literal_kind(tree.value)
        case ast.UnaryOp(op=ast.Not()) | ast.BoolOp():
            return _all(expressions.operands(tree), "boolean", types=types, of="and, or and not")
        case ast.UnaryOp() | ast.BinOp():
            return _all(expressions.operands(tree), "number", types=types, of="arithmetic")
        case ast.Compare():
            _require_comparable(tree, types)
            return "boolean"
        case ast.Call(func=ast.Name(id=called)):
            return _call_kind(called, [kind_of(argument, types=types) for argument in tree.args])
    raise ValueError(f"{expressions.words_for(tree)} is not part of the expression language")


def _literal_kind(value: object) -> Kind:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "number"


def _all(nodes: list[ast.expr], wanted: Kind, *, types: Mapping[str, str], of: str) -> Kind:
    for node in nodes:
        seen = kind_of(node, types=types)
        if seen not in (wanted, "null"):
            raise ValueError(f"{of} needs a {wanted}, but {ast.unparse(node)[:100]!r} is a {seen}")
    return wanted


def _require_comparable(node: ast.Compare, types: Mapping[str, str]) -> None:
    left = kind_of(node.left, types=types)
    if isinstance(node.ops[0], expressions.MEMBERSHIP):
        others = [_literal_kind(member) for member in expressions.members(node)]
    else:
        others = [kind_of(other, types=types) for other in node.comparators]
    for other in others:
        if "null" in (left, other):
            raise ValueError("nothing equals None; use is_null(…)")
        if other != left:
            hint = '; write a moment as time("2026-01-31")' if "time" in (left, other) else ""
            raise ValueError(f"a {left} can't be compared with a {other}{hint}")
    if left == "boolean" and not all(isinstance(op, UNORDERED) for op in node.ops):
        raise ValueError("booleans have no order; use == or !=")


def _call_kind(name: str, given: list[Kind]) -> Kind:
    known = functions.FUNCTIONS[name]
    takes = known.takes + known.takes[-1:] * (len(given) - len(known.takes)) if known.repeats else known.takes
    same: Kind = "null"
    for place, (wanted, seen) in enumerate(zip(takes, given, strict=False), start=1):
        if wanted == "same" and "null" not in (same, seen) and seen != same:
            raise ValueError(f"{name} needs values of one kind, but argument {place} is a {seen}, not a {same}")
        if wanted == "same" and seen != "null":
            same = seen
        if wanted not in ("same", "any") and seen not in (wanted, "null"):
            raise ValueError(f"{name} needs a {wanted} as argument {place}, not a {seen}")
    if known.gives != "same":
        return known.gives  # type: ignore[return-value]  # The table above holds kinds; `col` is a column.
    if same == "null":
        raise ValueError(f"{name} has only None to choose from")
    return same
