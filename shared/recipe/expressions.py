"""The expression language of recipes: what may be written.

Expressions are read by Python's parser and checked against our own list of nodes; nothing is ever run as Python. There
are no attributes, no subscripts, no keywords, and no names but those of columns and functions.
docs/decisions/models.md, "Expressions have a tree of their own, which is walked against a list".
"""

import ast
import re
from typing import Annotated

import pydantic

from shared.recipe import functions, time_zones

MAX_LENGTH = 2_000
MAX_NODES = 500
MAX_DEPTH = 60
MAX_POWER = 10
MAX_LITERAL = 500
MAX_LIST = 200
MAX_ARGUMENT = 20_000
# What a column of integers can hold.
MAX_INTEGER = 2**63

_LINE_END = re.compile(r"\r\n|\r|\n")
ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
ORDER = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)
MEMBERSHIP = (ast.In, ast.NotIn)
ALLOWED_NODES = (ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Call, ast.Name, ast.Constant, ast.List, ast.Tuple)
DESCRIPTIONS: dict[type[ast.AST], str] = {
    ast.Attribute: "a dot (attribute)",
    ast.Subscript: "an index in brackets",
    ast.Slice: "a slice",
    ast.Starred: "a star",
    ast.Lambda: "a lambda",
    ast.IfExp: "`… if … else …` (use where(…))",
    ast.NamedExpr: "`:=`",
    ast.ListComp: "a list comprehension",
    ast.SetComp: "a set comprehension",
    ast.DictComp: "a dictionary comprehension",
    ast.GeneratorExp: "a generator",
    ast.Dict: "a dictionary",
    ast.Set: "a set",
    ast.JoinedStr: "an f-string",
    ast.Await: "`await`",
    ast.Yield: "`yield`",
    ast.YieldFrom: "`yield from`",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.MatMult: "@",
    ast.BitAnd: "& (use `and`)",
    ast.BitOr: "| (use `or`)",
    ast.BitXor: "^ (use **)",
}
"""What error messages call the nodes that are refused."""


def parse(text: str) -> ast.expr:
    """Parse an expression; ValueError, with what is wrong and what to write instead, for what is not on our list."""
    if "\\" in text or "\0" in text:
        raise ValueError("no backslashes are allowed in an expression; write the character itself")
    if len(text) > MAX_LENGTH:
        raise ValueError(f"the expression has {len(text)} characters; at most {MAX_LENGTH} are allowed")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else "it is nested too deeply"
        raise ValueError(f"the expression can't be read: {reason}") from error
    _require_small(tree)
    _require_allowed(tree, [line.encode() for line in _LINE_END.split(text.strip())])
    return tree


def _validate(text: str) -> str:
    problem = _find_problem(text)
    if problem is not None:
        raise ValueError(problem)
    return text


def _find_problem(text: str) -> str | None:
    """Return what is wrong with an expression; None for a valid one.

    Pydantic keeps an error with its traceback, and so all that the functions on it held, until it has all errors: trees
    of many wrong expressions, which the garbage collector would walk again and again.
    """
    try:
        _require_zones(parse(text))
    except ValueError as error:
        return str(error)
    return None


def _require_zones(tree: ast.expr) -> None:
    """Refuse an unknown time zone; it is the second argument of the functions that read parts of times."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) > 1:
            name = read_literal(node.args[1]) if functions.FUNCTIONS[node.func.id].takes == ("time", "text") else None
            if name is not None and name not in time_zones.list_names():
                raise ValueError(f"there is no time zone {name!r}; write it like Europe/Berlin, or UTC")


Text = Annotated[
    str, pydantic.StringConstraints(min_length=1, max_length=MAX_LENGTH), pydantic.AfterValidator(_validate)
]


def columns_of(tree: ast.expr) -> list[str]:
    """List the names of the columns that an expression reads, each once."""
    functions_called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = [
        name for node in ast.walk(tree) if (name := column_of(node)) is not None and id(node) not in functions_called
    ]
    return list(dict.fromkeys(names))


def column_of(node: ast.AST) -> str | None:
    """Return the column that a node stands for: a bare name, or `col("…")`; None for other nodes."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "col":
        return str(read_literal(node.args[0]))
    return None


def read_literal(node: ast.expr) -> object:
    """Read a literal's value, with its sign; ValueError when the node is no literal."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        value = node.operand.value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return -value
    if isinstance(node, ast.Constant):
        return node.value
    raise ValueError(f"{ast.unparse(node)[:100]!r} is not a literal, which is needed here")


def read_members(node: ast.Compare) -> list[object]:
    """Read the literals to the right of an `in`."""
    members = node.comparators[0]
    if len(node.ops) > 1 or not isinstance(members, ast.List | ast.Tuple) or not members.elts:
        raise ValueError('`in` needs a list of literals, such as town in ["Oslo", "Bergen"]')
    return [read_literal(member) for member in members.elts]


def _require_small(tree: ast.expr) -> None:
    """Count nodes and depth level by level, before anything walks the tree recursively."""
    level: list[ast.AST] = [tree]
    nodes = depth = 0
    while level:
        nodes += sum(isinstance(node, ast.expr) for node in level)
        depth += 1
        if nodes > MAX_NODES or depth > MAX_DEPTH:
            raise ValueError(
                f"the expression is too large; at most {MAX_NODES} parts and {MAX_DEPTH} levels are allowed"
            )
        level = [child for node in level for child in ast.iter_child_nodes(node)]


def describe(node: ast.AST) -> str:
    """Describe a node in plain words."""
    return DESCRIPTIONS.get(type(node), type(node).__name__)


def _require_allowed(node: ast.expr, lines: list[bytes]) -> None:
    """Check a node and all nodes below it against our list; `lines` are the text's, in UTF-8."""
    if not isinstance(node, ALLOWED_NODES):
        raise ValueError(f"{describe(node)} is not part of the expression language")
    match node:
        case ast.Constant():
            _require_plain(node.value)
        case ast.Name():
            _require_as_written(node, lines)
        case ast.List() | ast.Tuple():
            raise ValueError("a list is allowed only to the right of `in`")
        case ast.Call():
            _require_call(node)
        case ast.Compare():
            _require_comparison(node)
        case ast.BinOp():
            _require_arithmetic(node)
        case ast.UnaryOp(op=ast.Invert()):
            raise ValueError("~ is not part of the expression language; use `not`")
    for child in list_operands(node):
        _require_allowed(child, lines)


def list_operands(node: ast.expr) -> list[ast.expr]:
    """List a node's operands: its children that are expressions, which a function's name and a list are not."""
    match node:
        case ast.Call(func=ast.Name(id="col")):
            return []
        case ast.Call():
            return node.args
        case ast.BinOp():
            return [node.left, node.right]
        case ast.UnaryOp():
            return [node.operand]
        case ast.BoolOp():
            return node.values
        case ast.Compare():
            return [node.left] if isinstance(node.ops[0], MEMBERSHIP) else [node.left, *node.comparators]
    return []


def _require_plain(value: object) -> None:
    if not isinstance(value, bool | int | float | str | None):
        raise ValueError(f"{value!r} is neither a number, a text, True, False nor None")
    if isinstance(value, str) and len(value) > MAX_LITERAL:
        raise ValueError(f"a text has {len(value)} characters; at most {MAX_LITERAL} are allowed")
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise ValueError(f"a whole number is beyond {MAX_INTEGER}, which no column of integers can hold")
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise ValueError("a number is too large")


def _require_as_written(node: ast.Name, lines: list[bytes]) -> None:
    # Python's parser normalizes some characters to others; a column's name must stay as it is written. Python's own
    # `get_source_segment` would split the whole text into lines again for each name.
    if lines[node.lineno - 1][node.col_offset : node.end_col_offset] != node.id.encode():
        raise ValueError(f'write the column that Python reads as {node.id!r} as col("…"), with its exact characters')


def _require_call(node: ast.Call) -> None:
    if not isinstance(node.func, ast.Name) or node.func.id not in functions.FUNCTIONS:
        raise ValueError(
            f"there is no function {ast.unparse(node.func)[:100]!r}; these are: {', '.join(functions.FUNCTIONS)}"
        )
    name, function = node.func.id, functions.FUNCTIONS[node.func.id]
    if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
        raise ValueError(f"{name} takes its arguments in order, without names or stars")
    least, most = len(function.takes) - function.optional, MAX_LIST if function.repeats else len(function.takes)
    if not least <= len(node.args) <= most:
        count = f"{least} or more" if function.repeats else " or ".join(map(str, sorted({least, most})))
        raise ValueError(f"{name} takes {count} arguments, not {len(node.args)}")
    for index in function.literals:
        if index < len(node.args):
            _require_literal(name, node.args[index], function.takes[index])


def _require_literal(name: str, node: ast.expr, kind: str) -> None:
    value = read_literal(node)
    type_ = str if kind == "text" else int
    if not isinstance(value, type_) or isinstance(value, bool):
        raise ValueError(f"{name} needs a literal {'text' if type_ is str else 'whole number'}, not {value!r}")
    if isinstance(value, str) and not 0 < len(value) <= MAX_LITERAL and name != "replace":
        raise ValueError(f"{name} needs a text of 1 to {MAX_LITERAL} characters")
    if isinstance(value, int) and abs(value) > MAX_ARGUMENT:
        raise ValueError(f"{name} can't take the number {value}; at most {MAX_ARGUMENT} is allowed")


def _require_comparison(node: ast.Compare) -> None:
    if not all(isinstance(op, ORDER + MEMBERSHIP) for op in node.ops):
        raise ValueError("`is` is not part of the expression language; use == or is_null(…)")
    if isinstance(node.ops[0], MEMBERSHIP):
        members = read_members(node)
        if len(members) > MAX_LIST:
            raise ValueError(f"a list has {len(members)} members; at most {MAX_LIST} are allowed")
        for member in members:
            _require_plain(member)
    elif any(isinstance(op, MEMBERSHIP) for op in node.ops):
        raise ValueError("`in` can't be part of a chain of comparisons")


def _require_arithmetic(node: ast.BinOp) -> None:
    if not isinstance(node.op, ARITHMETIC):
        raise ValueError(f"{describe(node.op)} is not part of the expression language; use + - * / // % **")
    if isinstance(node.op, ast.Pow):
        try:
            power = read_literal(node.right)
        except ValueError:
            power = None
        if not isinstance(power, int | float) or isinstance(power, bool) or abs(power) > MAX_POWER:
            raise ValueError(f"** needs a literal number from -{MAX_POWER} to {MAX_POWER} on its right")
