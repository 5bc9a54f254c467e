"""Transformers that scikit-learn lacks, free of functions so that they can be stored safely.

They take frames and give frames of float64.
"""

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn import base

from shared import errors

PANDAS_PARTS = {"day_of_year": "dayofyear"}


class FrameTransformer(base.TransformerMixin, base.BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types.
    """Remembers the columns that it was fitted on; subclasses learn nothing else."""

    def fit(self, frame: pd.DataFrame, y: Any = None) -> Self:  # noqa: ARG002  # scikit-learn passes it by this name.
        """Remember the columns' names."""
        self.feature_names_in_ = np.asarray(frame.columns, dtype=object)
        self.n_features_in_ = len(self.feature_names_in_)
        return self


class Log1p(FrameTransformer):
    """Takes log(1 + x); BadDataError for values below 0."""

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Take the logarithm of every value."""
        for name in frame.columns:
            lowest = frame[name].min()
            if lowest < 0:
                raise errors.BadDataError(f"log1p needs values of 0 or more, but column {name!r} holds {lowest:g}")
        return pd.DataFrame(np.log1p(frame.astype(np.float64)), index=frame.index)

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Name the columns as they were."""
        return self.feature_names_in_


class DateParts(FrameTransformer):
    """Makes a number of each part of a date, in UTC; the parts of a missing date are missing."""

    def __init__(self, parts: tuple[str, ...] = ("year", "month", "day", "weekday")) -> None:
        """Take which parts to make a column of; a weekday is 0 on Monday."""
        self.parts = parts

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Make `<column>_<part>` of each column and part."""
        made = {
            f"{name}_{part}": getattr(frame[name].dt, PANDAS_PARTS.get(part, part)).astype(np.float64)
            for name in frame.columns
            for part in self.parts
        }
        return pd.DataFrame(made, index=frame.index)

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Name the columns `<column>_<part>`."""
        return np.asarray([f"{name}_{part}" for name in self.feature_names_in_ for part in self.parts], dtype=object)


class Missing(FrameTransformer):
    """Says with 1 which values are missing and with 0 which are there."""

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Make `<column>_missing` of each column."""
        return frame.isna().astype(np.float64).add_suffix("_missing")

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Name the columns `<column>_missing`."""
        return np.asarray([f"{name}_missing" for name in self.feature_names_in_], dtype=object)
