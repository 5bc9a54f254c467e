"""Infers which kind of values an expression has over columns of given types, or why its parts don't fit each other."""

import ast
from collections.abc import Mapping

from shared.recipe import expressions, functions

Kind = functions.Kind
UNORDERED = (ast.Eq, ast.NotEq, *expressions.MEMBERSHIP)


def kind_of(tree: ast.expr, *, types: Mapping[str, str]) -> Kind:
    """Infer the kind of an expression's values over columns of these types; ValueError when parts don't fit."""
    name = expressions.column_of(tree)
    if name is not None:
        return functions.KINDS[types[name]]
    match tree:
        case ast.Constant():
            return _literal_kind(tree.value)
        case ast.UnaryOp(op=ast.Not()) | ast.BoolOp():
            return _require_all(expressions.list_operands(tree), "boolean", types=types, user="and, or and not")
        case ast.UnaryOp() | ast.BinOp():
            return _require_all(expressions.list_operands(tree), "number", types=types, user="arithmetic")
        case ast.Compare():
            _require_comparable(tree, types)
            return "boolean"
        case ast.Call(func=ast.Name(id=function)):
            return _call_kind(function, [kind_of(argument, types=types) for argument in tree.args])
    raise ValueError(f"{expressions.describe(tree)} is not part of the expression language")


def keeps_integers(tree: ast.expr, *, types: Mapping[str, str]) -> bool:
    """Return whether an expression only chooses among integers, of which some are a column's, and makes no others."""
    leaves = _list_chosen(tree)
    columns = [name for leaf in leaves if (name := expressions.column_of(leaf)) is not None]
    literals = [leaf.value for leaf in leaves if isinstance(leaf, ast.Constant)]
    return (
        bool(columns)
        and len(columns) + len(literals) == len(leaves)
        and all(types[name] == "integer" for name in columns)
        and all(value is None or type(value) is int for value in literals)
    )


def _list_chosen(tree: ast.expr) -> list[ast.expr]:
    """List the nodes among whose values an expression chooses; itself when it chooses none."""
    match tree:
        case ast.Call(func=ast.Name(id="coalesce" | "least" | "greatest")):
            chosen = tree.args
        case ast.Call(func=ast.Name(id="where")):
            chosen = tree.args[1:]
        case ast.Call(func=ast.Name(id="null_if")):
            chosen = tree.args[:1]
        case _:
            return [tree]
    return [leaf for node in chosen for leaf in _list_chosen(node)]


def _literal_kind(value: object) -> Kind:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "number"


def _require_all(nodes: list[ast.expr], kind: Kind, *, types: Mapping[str, str], user: str) -> Kind:
    for node in nodes:
        actual = kind_of(node, types=types)
        if actual not in (kind, "null"):
            raise ValueError(f"{user} needs a {kind}, but {ast.unparse(node)[:100]!r} is a {actual}")
    return kind


def _require_comparable(node: ast.Compare, types: Mapping[str, str]) -> None:
    left = kind_of(node.left, types=types)
    if isinstance(node.ops[0], expressions.MEMBERSHIP):
        others = [_literal_kind(member) for member in expressions.read_members(node)]
    else:
        others = [kind_of(other, types=types) for other in node.comparators]
    for other in others:
        if "null" in (left, other):
            raise ValueError("nothing equals None; use is_null(…)")
        if other != left:
            hint = '; write a time as time("2026-01-31")' if "time" in (left, other) else ""
            raise ValueError(f"a {left} can't be compared with a {other}{hint}")
    if left == "boolean" and not all(isinstance(op, UNORDERED) for op in node.ops):
        raise ValueError("booleans have no order; use == or !=")


def _call_kind(name: str, arguments: list[Kind]) -> Kind:
    function = functions.FUNCTIONS[name]
    takes = function.takes
    if function.repeats:
        takes += takes[-1:] * (len(arguments) - len(takes))
    same: Kind = "null"
    for number, (expected, actual) in enumerate(zip(takes, arguments, strict=False), start=1):
        if expected == "same" and "null" not in (same, actual) and actual != same:
            raise ValueError(f"{name} needs values of one kind, but argument {number} is a {actual}, not a {same}")
        if expected == "same" and actual != "null":
            same = actual
        if expected not in ("same", "any") and actual not in (expected, "null"):
            raise ValueError(f"{name} needs a {expected} as argument {number}, not a {actual}")
    if function.returns != "same":
        return function.returns  # type: ignore[return-value]  # FUNCTIONS holds kinds; `col` is a column.
    if same == "null":
        raise ValueError(f"{name} has only None to choose from")
    return same
