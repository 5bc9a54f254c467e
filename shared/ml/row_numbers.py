"""Names the rows of frames in messages, counted from 1 as loads count them."""

import pandas as pd
from pandas.api import types


def name_first(part: pd.Series | pd.DataFrame) -> str:
    """Name the first row of a part of a frame, whose labels are the positions of its rows in the dataset.

    Labels from -1 downwards are those of rows of a history, which were put before the dataset's own.
    """
    label = part.index[0]
    if types.is_integer(label) and label < 0:
        return f"row {-label:,} of the history"
    return f"row {label + 1:,}" if types.is_integer(label) else f"row {label!r}"
