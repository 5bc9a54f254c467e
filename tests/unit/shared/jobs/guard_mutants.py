"""Copies of a module of SQL with one of its guards taken out, to see that a test misses it."""

import ast
import collections
import functools
import inspect
import types
from collections.abc import Collection
from typing import Any

_CLAUSES = {"with_for_update", "limit", "order_by", "on_conflict_do_nothing"}


class _Guards(ast.NodeTransformer):
    """Names every guard of a module, and takes out those that are wanted out.

    Guards are the arguments of `where`, `and_` and `or_`, the arms of `case`, the clauses above, and the answers
    that a statement has touched a row. A name is `function: source`, with `#2` when the same comes again in it.
    """

    def __init__(self, out: Collection[str] = ()) -> None:
        self.names: list[str] = []
        self._out = set(out)
        self._function: list[str] = []
        self._seen: collections.Counter[str] = collections.Counter()

    def _is_out(self, what: str) -> bool:
        name = f"{self._function[0] if self._function else '<module>'}: {what}"
        self._seen[name] += 1
        if self._seen[name] > 1:
            name += f" #{self._seen[name]}"
        self.names.append(name)
        return name in self._out

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Remember the outermost function that a guard stands in."""
        self._function.append(node.name)
        self.generic_visit(node)
        self._function.pop()
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Take guards out of a statement."""
        self.generic_visit(node)
        if not isinstance(node.func, ast.Attribute):
            return node
        if node.func.attr in {"where", "and_"}:
            node.args = [_sql("true") if self._is_out(ast.unparse(guard)) else guard for guard in node.args]
        elif node.func.attr == "or_":
            node.args = [_sql("false") if self._is_out(f"never {ast.unparse(arm)}") else arm for arm in node.args]
        elif node.func.attr == "case":
            node.args = [self._arm(arm) for arm in node.args]
        elif node.func.attr in _CLAUSES and self._is_out(f".{node.func.attr}()"):
            return node.func.value
        return node

    def _arm(self, arm: ast.expr) -> ast.expr:
        assert isinstance(arm, ast.Tuple)
        condition, value = arm.elts
        text = f"{ast.unparse(condition)} -> {ast.unparse(value)}"
        for name, constant in ((f"never {text}", "false"), (f"always {text}", "true")):
            if self._is_out(name):
                return ast.Tuple([_sql(constant), value], ast.Load())
        return arm

    def visit_Return(self, node: ast.Return) -> ast.AST:
        """Let an answer that a statement has touched a row always be yes."""
        self.generic_visit(node)
        if (
            node.value is not None
            and ast.unparse(node.value).endswith("rowcount == 1")
            and self._is_out("answer " + ast.unparse(node.value))
        ):
            node.value = ast.Constant(True)
        return node


def _sql(constant: str) -> ast.expr:
    return ast.parse(f"sa.{constant}()", mode="eval").body


@functools.cache
def names(module: types.ModuleType) -> list[str]:
    """Name a module's guards."""
    guards = _Guards()
    guards.visit(ast.parse(inspect.getsource(module)))
    return guards.names


@functools.cache
def without(module: types.ModuleType, *guards: str) -> Any:
    """Build a copy of a module that lacks some guards; the module itself when there are none to take out."""
    if not guards:
        return module
    unknown = set(guards) - set(names(module))
    assert not unknown, f"{module.__name__} has no guard {sorted(unknown)}"
    tree = _Guards(guards).visit(ast.parse(inspect.getsource(module)))
    mutant = types.ModuleType(f"{module.__name__}_mutant")
    exec(compile(ast.fix_missing_locations(tree), mutant.__name__, "exec"), mutant.__dict__)
    return mutant
