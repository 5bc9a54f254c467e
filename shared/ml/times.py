"""Extracts parts of times, such as the hour or the weekday, in a time zone."""

import functools
import zoneinfo
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from shared import errors

PARTS = {
    **{part: part for part in ("year", "quarter", "month", "day", "weekday", "hour", "minute", "second")},
    "day_of_year": "dayofyear",
}


@functools.cache
def find_zone(name: str) -> zoneinfo.ZoneInfo:
    """Find a time zone by its name; BadRecipeError when there is none of that name."""
    if name not in zoneinfo.available_timezones():
        raise errors.BadRecipeError(f"there is no time zone {name[:100]!r}; write it like Europe/Berlin, or UTC")
    return zoneinfo.ZoneInfo(name)


def to_utc(times: pd.Series) -> npt.NDArray[np.datetime64]:
    """Convert a frame's times to datetime64[us] in UTC."""
    return np.asarray(times.dt.tz_localize(None), dtype="datetime64[us]")


def extract_part(times: Any, part: str, *, zone: str = "UTC") -> npt.NDArray[np.float64]:
    """Extract a part of each time (a series in UTC, or datetime64 that means UTC); missing where the time is."""
    index = pd.DatetimeIndex(times)
    index = index.tz_localize("UTC") if index.tz is None else index
    local = index if zone == "UTC" else index.tz_convert(find_zone(zone))
    return np.asarray(getattr(local, PARTS[part]), dtype=np.float64)
