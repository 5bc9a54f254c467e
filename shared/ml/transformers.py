"""Transformers that scikit-learn lacks, free of functions so that they can be stored safely.

They take frames and give frames of float64.
"""

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn import base

from shared import errors
from shared.ml import times

# How many there are of each part, and where its counting begins.
CIRCLES = {
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
    """Makes a number of each part of a date, in a zone; the parts of a missing date are missing."""

    # Transformers stored before zones were known have none of their own; those stored before dates were told from
    # times move them to their zone for good.
    zone = "UTC"
    dates: tuple[str, ...] = ()

    def __init__(
        self,
        parts: tuple[str, ...] = ("year", "month", "day", "weekday"),
        zone: str = "UTC",
        dates: tuple[str, ...] = (),
    ) -> None:
        """Take which parts to make a column of, a weekday being 0 on Monday, and where calendars are read.

        `dates` are the columns of dates, which are the same day in every zone.
        """
        self.parts = parts
        self.zone = zone
        self.dates = dates

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Make `<column>_<part>` of each column and part."""
        made = {
            f"{name}_{part}": times.part_of(frame[name], part, zone="UTC" if name in self.dates else self.zone)
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


class CyclicTime(FrameTransformer):
    """Puts parts of a date on circles, as sine and cosine."""

    # Transformers stored before dates were told from times move them to their zone for good.
    dates: tuple[str, ...] = ()

    def __init__(
        self,
        parts: tuple[str, ...] = ("month", "weekday", "hour"),
        zone: str = "UTC",
        dates: tuple[str, ...] = (),
    ) -> None:
        """Take which parts, where calendars are read, and the columns of dates, which are the same in every zone."""
        self.parts = parts
        self.zone = zone
        self.dates = dates

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Make `<column>_<part>_sin` and `<column>_<part>_cos` of each column and part."""
        made = {}
        for name in frame.columns:
            zone = "UTC" if name in self.dates else self.zone
            for part in self.parts:
                period, first = CIRCLES[part]
                angle = 2 * np.pi * (times.part_of(frame[name], part, zone=zone) - first) / period
                made[f"{name}_{part}_sin"] = np.sin(angle)
                made[f"{name}_{part}_cos"] = np.cos(angle)
        return pd.DataFrame(made, index=frame.index)

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Name the columns `<column>_<part>_sin` and `…_cos`."""
        sides = [(part, side) for part in self.parts for side in ("sin", "cos")]
        return np.asarray([f"{name}_{part}_{side}" for name in self.feature_names_in_ for part, side in sides], object)


class Clip(FrameTransformer):
    """Brings values back to bounds, which are given, or learned from quantiles."""

    def __init__(
        self,
        method: str = "quantile",
        low: float | None = 0.01,
        high: float | None = 0.99,
        factor: float = 0.0,
    ) -> None:
        """Take the bounds (`fixed`) or the quantiles they come from, and how many of the range between to go beyond."""
        self.method = method
        self.low = low
        self.high = high
        self.factor = factor

    def fit(self, frame: pd.DataFrame, y: Any = None) -> Self:
        """Learn the bounds of each column from the values that are there."""
        super().fit(frame, y)
        if self.method != "fixed":
            low, high = (frame.quantile(0.0 if part is None else part).to_numpy() for part in (self.low, self.high))
            self.lower_, self.upper_ = low - self.factor * (high - low), high + self.factor * (high - low)
        return self

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Bring values back to the bounds; what is missing stays missing."""
        if self.method == "fixed":
            return frame.astype(np.float64).clip(lower=self.low, upper=self.high)
        # A column without any value has no bounds.
        lower = np.nan_to_num(self.lower_, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        upper = np.nan_to_num(self.upper_, nan=np.inf, posinf=np.inf, neginf=-np.inf)
        values = np.clip(frame.to_numpy(dtype=np.float64), lower, upper)
        return pd.DataFrame(values, index=frame.index, columns=frame.columns)

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Name the columns as they were."""
        return self.feature_names_in_
