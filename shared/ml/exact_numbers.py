"""Calculates with arrays of numbers of which some are whole and beyond float64: objects, Python's integers and floats.

Whole numbers stay exact where the result is whole; everything else is calculated in float64, as it is elsewhere.
"""

import ast
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]
Number = int | float
Ufunc = Callable[[Any, Any], Any]
# Beyond this, results become floats, so that no expression can make numbers of thousands of digits.
MOST = 2**127
WHOLE: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


def are_exact(*columns: Values) -> bool:
    """Return whether one of these arrays of numbers is of objects."""
    return any(column.dtype == object for column in columns)


def calculate(operation: type[ast.operator], left: Values, right: Values, *, in_floats: Ufunc) -> Values:
    """Apply an operation row by row, in whole numbers or else by `in_floats`; what is not finite is missing."""

    def apply(first: Number, second: Number) -> Number:
        whole = WHOLE.get(operation)
        if whole is not None and isinstance(first, int) and isinstance(second, int):
            if second == 0 and operation in (ast.FloorDiv, ast.Mod):
                return math.nan
            return _limit(whole(first, second))
        return _keep_finite(float(in_floats(np.float64(first), np.float64(second))))

    return map_rows(apply, left, right)


def negate(values: Values) -> Values:
    """Change each number's sign."""
    return map_rows(operator.neg, values)


def map_rows(function: Callable[..., Number], *columns: Values) -> Values:
    """Call a function with the numbers of each row, whole ones as integers; missing where one of them is."""
    results = np.empty(len(columns[0]), dtype=object)
    for index, row in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        numbers = [_to_whole(number) for number in row]
        results[index] = math.nan if any(number != number for number in numbers) else function(*numbers)
    return results


def to_floats(values: Values) -> Values:
    """Convert numbers to float64, which may round them; other arrays stay as they are."""
    return values.astype(np.float64) if values.dtype == object else values


def _round(number: Number, digits: int = 0) -> Number:
    digits = max(-300, min(digits, 300))
    if isinstance(number, int):
        return number if digits >= 0 else round(number, digits)
    return float(np.round(number, digits))


def _least(*numbers: Number) -> Number:
    return min(numbers)


def _greatest(*numbers: Number) -> Number:
    return max(numbers)


FUNCTIONS: dict[str, Callable[..., Values]] = {
    "abs": lambda values: map_rows(abs, values),
    "floor": lambda values: map_rows(math.floor, values),
    "ceil": lambda values: map_rows(math.ceil, values),
    "round": lambda values, digits=0: map_rows(lambda number: _round(number, digits), values),
    "least": lambda *columns: map_rows(_least, *columns),
    "greatest": lambda *columns: map_rows(_greatest, *columns),
}


def _to_whole(number: Number) -> Number:
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _limit(number: int) -> Number:
    return number if -MOST <= number <= MOST else float(number)


def _keep_finite(number: float) -> float:
    return number if math.isfinite(number) else math.nan
