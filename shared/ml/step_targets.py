"""Checks the target that is passed to a recipe's transformers that learn from one."""

from typing import Any

import numpy as np
import numpy.typing as npt

from shared import errors


def require(y: Any, *, step: str) -> npt.NDArray[Any]:
    """Return the target's values; BadRecipeError when there is no target, or several per row."""
    if y is None:
        raise errors.BadRecipeError(f"{step} learns from a target, but there is none; name one, or leave the step out")
    values = np.asarray(y)
    if values.ndim != 1:
        raise errors.BadRecipeError(f"{step} learns from one target, but each row has {values.shape[1]}")
    return values


def is_number(values: npt.NDArray[Any]) -> bool:
    """Return whether a target is a number, and not a label: only number targets are float64 here."""
    return values.dtype.kind == "f"
