"""Evaluates the conditions of `when`.

What isn't there is null: a parameter without a value, a field that a result lacks, the result of a step that has none.
Of null, `==` and `!=` say whether both are null; `<`, `>` and `in` are false; arithmetic and `len` are null; `and`,
`or` and `not` take it as false. A division by zero is null. `and`, `or` and `not` take true, false and null alone.
Numbers and texts are never compared by `<` with each other, and never equal.
"""

import math
import operator
from collections.abc import Callable
from typing import Any

from shared.orchestration.language import conditions, references, values

LookUp = Callable[[references.Reference], Any]
_MAX_NUMBER = 2**63
_MAX_TEXT = 20_000
_ORDER = {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}


def holds(node: conditions.Node, look_up: LookUp) -> bool:
    """Say whether a condition holds; ValueError where it can't be told, such as for a text compared with a number."""
    return _to_truth(evaluate(node, look_up), of="the condition")


def evaluate(node: conditions.Node, look_up: LookUp) -> Any:
    """Evaluate a part of a condition; `look_up` returns what a reference stands for, None for what isn't there."""
    match node:
        case conditions.Constant():
            return node.value
        case conditions.Name():
            return look_up(node.reference)
    name, operands = node.operator, node.operands
    if name in ("and", "or"):
        # The first that decides ends it, so the others may be what has no meaning then.
        for operand in operands:
            if _to_truth(evaluate(operand, look_up), of=f"a side of `{name}`") == (name == "or"):
                return name == "or"
        return name == "and"
    if name == "coalesce":
        evaluated = (evaluate(operand, look_up) for operand in operands)
        return next((value for value in evaluated if value is not None), None)
    return _apply(name, [evaluate(operand, look_up) for operand in operands])


def _apply(name: str, given: list[Any]) -> Any:
    if name == "[]":
        return given
    if name == "not":
        return not _to_truth(given[0], of="what follows `not`")
    if name == "len":
        return _measure(given[0])
    if name == "negative":
        return _calculate("-", 0, given[0])
    left, right = given
    if name in ("==", "!="):
        return _equal(left, right) == (name == "==")
    if name in ("in", "not in"):
        return _contains(right, left) == (name == "in") if right is not None else False
    return _compare(name, left, right) if name in _ORDER else _calculate(name, left, right)


def _to_truth(value: Any, *, of: str) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    raise ValueError(f"{of} is {values.describe(value)}, which is neither true nor false; compare it with something")


def _equal(left: Any, right: Any) -> bool:
    # In Python true is 1.
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return bool(left == right)


def _contains(container: Any, value: Any) -> bool:
    if isinstance(container, list):
        # Python's own look is fast, and finds all that is equal here, besides true for 1.
        return value in container and any(_equal(member, value) for member in container)
    if isinstance(container, str | dict) and isinstance(value, str):
        return value in container
    if isinstance(container, str | dict) and value is None:
        return False
    raise ValueError(f"`in` looks for a text in a text or for a value in a list, not in {values.describe(container)}")


def _compare(name: str, left: Any, right: Any) -> bool:
    if left is None or right is None:
        return False
    if not (_is_number(left) and _is_number(right)) and not (isinstance(left, str) and isinstance(right, str)):
        raise ValueError(
            f"{name} compares two numbers or two texts, not {values.describe(left)} and {values.describe(right)}"
        )
    return bool(_ORDER[name](left, right))


def _calculate(name: str, left: Any, right: Any) -> Any:
    if left is None or right is None:
        return None
    if name == "+" and isinstance(left, str) and isinstance(right, str):
        if len(left) + len(right) > _MAX_TEXT:
            raise ValueError(f"a text of the condition would have more than {_MAX_TEXT} characters")
        return left + right
    if not (_is_number(left) and _is_number(right)):
        raise ValueError(f"{name} takes numbers, not {values.describe(left)} and {values.describe(right)}")
    if name in ("/", "//", "%") and right == 0:
        return None
    try:
        value = _ARITHMETIC[name](left, right)
    except OverflowError as error:
        raise ValueError(f"a number of the condition is too large: {left} {name} {right}") from error
    if (isinstance(value, int) and abs(value) > _MAX_NUMBER) or not math.isfinite(value):
        raise ValueError(f"a number of the condition is too large: {left} {name} {right}")
    return value


def _measure(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, str | list | dict):
        return len(value)
    raise ValueError(f"len takes a text, a list or an object, not {values.describe(value)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
