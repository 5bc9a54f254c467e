"""What a transformer that learns from the target needs to know of it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from shared import errors


def require(y: Any, *, step: str) -> npt.NDArray[Any]:
    """Give the target's values; BadRecipeError when there is none, or several for a row."""
    if y is None:
        raise errors.BadRecipeError(f"{step} learns from a target, but none is given; name one, or leave the step out")
    values = np.asarray(y)
    if values.ndim != 1:
        raise errors.BadRecipeError(f"{step} learns from one target, but there are {values.shape[1]} to a row")
    return values


def is_number(values: npt.NDArray[Any]) -> bool:
    """Say whether a target is a number to predict, and not a label: ours are float64 then."""
    return values.dtype.kind == "f"
