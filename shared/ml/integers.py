"""Whole numbers that float64 can't tell from their neighbours: how frames hold them, and what becomes of them.

From 2^53 on two identifiers may be the same float64. A frame's column of integers is float64 as long as all of its
numbers are smaller, and pandas' Int64 (`DTYPE`) where one is not; equal numbers are equal in both. What asks which
number it is (grouping, ordering, comparing, encoding, text) takes both, and what calculates takes float64.
docs/decisions/models.md, "Integers that float64 would merge are exact".
"""

import contextlib
import decimal
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

LIMIT = 2**53
"""The smallest number that float64 can't tell from its neighbour."""
LEAST, MOST = -(2**63), 2**63 - 1
DTYPE = pd.Int64Dtype()
Values = npt.NDArray[Any]
Data = TypeVar("Data", pd.Series, pd.DataFrame)


class RoundedWarning(UserWarning):
    """Whole numbers become float64, which rounds them."""


def is_exact(values: pd.Series) -> bool:
    """Return whether a column holds numbers that float64 would merge."""
    return bool(values.dtype == DTYPE)


def to_floats(data: Data) -> Data:
    """Convert exact columns to float64, which may round them; everything else stays as it is."""
    if isinstance(data, pd.Series):
        return data.astype(np.float64) if is_exact(data) else data
    exact = [name for name, dtype in data.dtypes.items() if dtype == DTYPE]
    return data.astype(dict.fromkeys(exact, np.float64)) if exact else data


def unify(frames: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """Make columns exact in all frames if they are in one, so that frames can be concatenated without rounding."""
    exact = {name: DTYPE for frame in frames for name, dtype in frame.dtypes.items() if dtype == DTYPE}
    return [frame.astype(exact) for frame in frames] if exact else frames


def to_objects(values: pd.Series) -> Values:
    """Convert a column of integers to an array of Python's; missing is NaN."""
    if is_exact(values):
        return values.to_numpy(dtype=object, na_value=np.nan)
    return _to_array(int(number) if number.is_integer() else number for number in values.to_numpy(np.float64).tolist())


def from_objects(numbers: Values, *, index: pd.Index) -> pd.Series:
    """Make a column of an array of whole numbers; one that is missing, or beyond 64 bits, is missing."""
    missing = np.array([number != number or not LEAST <= number <= MOST for number in numbers.tolist()], dtype=bool)
    integers = np.array([0 if gap else int(number) for number, gap in zip(numbers, missing, strict=True)], np.int64)
    if not _exceed(integers):
        return pd.Series(np.where(missing, np.nan, integers), index=index, dtype=np.float64)
    return pd.Series(pd.arrays.IntegerArray(integers, missing), index=index)


def parse(texts: Values, numbers: Values) -> Values:
    """Return `numbers`, which are what the texts read as in float64, as objects with all digits of the texts.

    Without a number from 2^53 on they are returned as they are.
    """
    large = np.flatnonzero(np.abs(numbers) >= LIMIT)
    if not len(large):
        return numbers
    exact = numbers.astype(object)
    for index in large:
        exact[index] = _read(str(texts[index]), float(numbers[index]))
    return exact


def round_to_floats(numbers: Values, *, name: str) -> Values:
    """Convert an array of numbers, which may be Python's, to float64; a warning says when some are rounded."""
    if numbers.dtype != object:
        return numbers
    floats = np.array([float(number) for number in numbers.tolist()], dtype=np.float64)
    rounded = [a for a, b in zip(numbers.tolist(), floats.tolist(), strict=True) if isinstance(a, int) and a != b]
    if rounded:
        warnings.warn(
            f"{name} makes numbers of whole numbers beyond 2^53, such as {rounded[0]}, which rounds them; cast the "
            "column to string to keep every digit",
            RoundedWarning,
            stacklevel=2,
        )
    return floats


@contextlib.contextmanager
def ignore_rounding() -> Iterator[None]:
    """Ignore warnings of rounded numbers, where fitting has told of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RoundedWarning)
        yield


def _exceed(integers: npt.NDArray[np.int64]) -> bool:
    return bool(len(integers)) and (int(integers.max()) >= LIMIT or int(integers.min()) <= -LIMIT)


def _read(text: str, number: float) -> int | float:
    try:
        exact = decimal.Decimal(text.strip())
    except decimal.InvalidOperation:
        return number
    return int(exact) if exact == exact.to_integral_value() else number


def _to_array(numbers: Iterable[Any]) -> Values:
    listed = list(numbers)
    array = np.empty(len(listed), dtype=object)
    array[:] = listed
    return array
