"""Transformers that scikit-learn lacks; they hold no functions, so they can be stored safely.

They take frames and return frames of float64.
"""

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn import base

from shared import errors
from shared.ml import integers, row_numbers, times

# The length of each part's cycle, and the number that it begins with.
CYCLES = {
    "quarter": (4.0, 1.0),
    "week": (365.2425 / 7, 1.0),
    "month": (12.0, 1.0),
    "day": (31.0, 1.0),
    "weekday": (7.0, 0.0),
    "hour": (24.0, 0.0),
    "minute": (60.0, 0.0),
    "second": (60.0, 0.0),
    "day_of_year": (365.25, 1.0),
}


class FrameTransformer(base.TransformerMixin, base.BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types.
    """Remembers the columns that it was fitted on; subclasses learn nothing else."""

    def fit(self, frame: pd.DataFrame, y: Any = None) -> Self:  # noqa: ARG002  # scikit-learn passes it by this name.
        """Remember the columns' names."""
        self.feature_names_in_ = np.asarray(frame.columns, dtype=object)
        self.n_features_in_ = len(self.feature_names_in_)
        return self


class Floats(FrameTransformer):
    """Makes float64 of integers that are exact, for estimators, which calculate with them."""

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Convert exact columns; all others stay as they are."""
        return integers.to_floats(frame)

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Return the columns' names, which stay."""
        return self.feature_names_in_


class Log1p(FrameTransformer):
    """Computes log(1 + x); BadDataError for values below 0."""

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Compute the logarithm of every value."""
        for name in frame.columns:
            lowest = frame[name].min()
            if lowest < 0:
                below = frame[name][frame[name] < 0]
                raise errors.BadDataError(
                    f"log1p needs values of 0 or more, but column {name!r} holds {below.iloc[0]:g} in "
                    f"{row_numbers.name_first(below)}"
                )
        return pd.DataFrame(np.log1p(frame.astype(np.float64)), index=frame.index)

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Return the columns' names, which stay."""
        return self.feature_names_in_


class DateParts(FrameTransformer):
    """Turns a date into its parts, in a time zone; the parts of a missing date are missing."""

    # The defaults of transformers that were stored before they had these attributes; those without `dates` convert
    # dates to the zone as if they were timestamps.
    zone = "UTC"
    dates: tuple[str, ...] = ()

    def __init__(
        self,
        parts: tuple[str, ...] = ("year", "month", "day", "weekday"),
        zone: str = "UTC",
        dates: tuple[str, ...] = (),
    ) -> None:
        """Take the parts to make a column of (a weekday is 0 on Monday), and the time zone.

        `dates` are the columns of type date, which are the same day in every zone.
        """
        self.parts = parts
        self.zone = zone
        self.dates = dates

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Make `<column>_<part>` of each column and part."""
        columns = {
            f"{name}_{part}": times.extract_part(frame[name], part, zone="UTC" if name in self.dates else self.zone)
            for name in frame.columns
            for part in self.parts
        }
        return pd.DataFrame(columns, index=frame.index)

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Name the columns `<column>_<part>`."""
        return np.asarray([f"{name}_{part}" for name in self.feature_names_in_ for part in self.parts], dtype=object)


class Missing(FrameTransformer):
    """Makes indicator columns: 1 where a value is missing, 0 where it is present."""

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Make `<column>_missing` of each column."""
        return frame.isna().astype(np.float64).add_suffix("_missing")

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Name the columns `<column>_missing`."""
        return np.asarray([f"{name}_missing" for name in self.feature_names_in_], dtype=object)


class CyclicTime(FrameTransformer):
    """Puts parts of a date on a circle, as sine and cosine."""

    # The default of transformers that were stored before they had this attribute; they convert dates to the zone as if
    # they were timestamps.
    dates: tuple[str, ...] = ()

    def __init__(
        self,
        parts: tuple[str, ...] = ("month", "weekday", "hour"),
        zone: str = "UTC",
        dates: tuple[str, ...] = (),
    ) -> None:
        """Take the parts, the time zone, and the columns of type date, which are the same day in every zone."""
        self.parts = parts
        self.zone = zone
        self.dates = dates

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Make `<column>_<part>_sin` and `<column>_<part>_cos` of each column and part."""
        columns = {}
        for name in frame.columns:
            zone = "UTC" if name in self.dates else self.zone
            for part in self.parts:
                period, first = CYCLES[part]
                angle = 2 * np.pi * (times.extract_part(frame[name], part, zone=zone) - first) / period
                columns[f"{name}_{part}_sin"] = np.sin(angle)
                columns[f"{name}_{part}_cos"] = np.cos(angle)
        return pd.DataFrame(columns, index=frame.index)

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Name the columns `<column>_<part>_sin` and `…_cos`."""
        sides = [(part, side) for part in self.parts for side in ("sin", "cos")]
        return np.asarray([f"{name}_{part}_{side}" for name in self.feature_names_in_ for part, side in sides], object)


class Clip(FrameTransformer):
    """Clips values to bounds, which are fixed, or learned from quantiles."""

    def __init__(
        self,
        method: str = "quantile",
        low: float | None = 0.01,
        high: float | None = 0.99,
        factor: float = 0.0,
    ) -> None:
        """Take the bounds (`fixed`) or their quantiles, and how many quantile ranges to go beyond the quantiles."""
        self.method = method
        self.low = low
        self.high = high
        self.factor = factor

    def fit(self, frame: pd.DataFrame, y: Any = None) -> Self:
        """Learn the bounds of each column from the values that are not missing."""
        super().fit(frame, y)
        frame = integers.to_floats(frame)
        if self.method != "fixed":
            low, high = (frame.quantile(0.0 if level is None else level).to_numpy() for level in (self.low, self.high))
            self.lower_, self.upper_ = low - self.factor * (high - low), high + self.factor * (high - low)
        return self

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Clip values to the bounds; missing values stay missing."""
        if self.method == "fixed":
            return frame.astype(np.float64).clip(lower=self.low, upper=self.high)
        # A column without any value has no bounds.
        lower = np.nan_to_num(self.lower_, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        upper = np.nan_to_num(self.upper_, nan=np.inf, posinf=np.inf, neginf=-np.inf)
        values = np.clip(integers.to_floats(frame).to_numpy(dtype=np.float64), lower, upper)
        return pd.DataFrame(values, index=frame.index, columns=frame.columns)

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Return the columns' names, which stay."""
        return self.feature_names_in_
