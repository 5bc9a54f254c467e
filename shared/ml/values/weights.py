"""The weights of rows: how much each counts in fitting, in metrics and in curves."""

import numpy as np
import pandas as pd

from shared import errors
from shared.ml import integers, row_numbers, targets


def require_complete(column: pd.Series, *, name: str, field: str) -> None:
    """Raise BadDataError, with the first row, when a column lacks a value; `field` is what names the column."""
    missing = column[column.isna()]
    if len(missing):
        raise errors.BadDataError(
            f"the {field} {name!r} is missing in {len(missing)} of {len(column)} rows (first in "
            f"{row_numbers.name_first(missing)})"
        )


def to_weights(column: pd.Series, *, name: str) -> targets.Values:
    """Convert a complete column to float64 weights; BadDataError unless they are 0 or more, and some above 0."""
    numbers = integers.to_floats(column)
    if numbers.dtype != np.float64:
        raise errors.BadDataError(f"the sample_weight {name!r} must be a column of numbers")
    if numbers.min() < 0 or numbers.sum() == 0:
        raise errors.BadDataError(
            f"the sample_weight {name!r} goes from {numbers.min():g} to {numbers.max():g}; "
            "weights must be 0 or more, and some above 0"
        )
    return np.asarray(numbers, dtype=np.float64)
