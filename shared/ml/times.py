"""Parts of times, as clocks and calendars of a zone show them."""

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
def zone_of(name: str) -> zoneinfo.ZoneInfo:
    """Give a time zone by its name; BadRecipeError when there is none of that name."""
    if name not in zoneinfo.available_timezones():
        raise errors.BadRecipeError(f"there is no time zone {name[:100]!r}; write it like Europe/Berlin, or UTC")
    return zoneinfo.ZoneInfo(name)


def in_utc(times: pd.Series) -> npt.NDArray[np.datetime64]:
    """Give a frame's times as datetime64[us] in UTC."""
    return np.asarray(times.dt.tz_localize(None), dtype="datetime64[us]")


def part_of(times: Any, part: str, *, zone: str = "UTC") -> npt.NDArray[np.float64]:
    """Give a part of each time (a series in UTC, or datetime64 meant so); missing where the time is."""
    index = pd.DatetimeIndex(times)
    index = index.tz_localize("UTC") if index.tz is None else index
    seen = index if zone == "UTC" else index.tz_convert(zone_of(zone))
    return np.asarray(getattr(seen, PARTS[part]), dtype=np.float64)
