"""Extracts parts of times, such as the hour or the weekday, in a time zone."""

import functools
import zoneinfo
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from shared import errors
from shared.recipe import time_zones

PARTS = {
    **{part: part for part in ("year", "quarter", "month", "day", "weekday", "hour", "minute", "second")},
    "day_of_year": "dayofyear",
    "week": "week",
    "iso_year": "year",
    "is_month_start": "is_month_start",
    "is_month_end": "is_month_end",
    "is_weekend": "weekday",
}
"""Each part that depends on the zone, with pandas' name for it or for what it is made of."""
ISO_PARTS = ("week", "iso_year")
SATURDAY = 5
_FIRST, _LAST = np.datetime64("0001-01-03", "us"), np.datetime64("9999-12-30", "us")
_CYCLE = np.timedelta64(146_097, "D").astype("timedelta64[us]")
"""400 years, after which the days of months and weeks repeat, and the changes of clocks with them."""


@functools.cache
def find_zone(name: str) -> zoneinfo.ZoneInfo:
    """Find a time zone by its name; BadRecipeError when there is none of that name."""
    if name not in time_zones.list_names():
        raise errors.BadRecipeError(f"there is no time zone {name[:100]!r}; write it like Europe/Berlin, or UTC")
    return zoneinfo.ZoneInfo(name)


def to_utc(times: pd.Series) -> npt.NDArray[np.datetime64]:
    """Convert a frame's times to datetime64[us] in UTC."""
    return np.asarray(times.dt.tz_localize(None), dtype="datetime64[us]")


def to_local(times: Any, *, zone: str) -> pd.DatetimeIndex:
    """Convert times (in UTC, or datetime64 that means UTC) to what clocks show in a zone, as an index without one.

    What they show may be in the year 0 or 10000.
    """
    index = pd.DatetimeIndex(times)
    utc = index if index.tz is None else index.tz_convert(None)
    if zone == "UTC":
        return utc
    shifts = _find_shifts(utc)
    local = pd.DatetimeIndex(utc + shifts).tz_localize("UTC").tz_convert(find_zone(zone)).tz_localize(None)
    return pd.DatetimeIndex(local - shifts)


def from_local(local: pd.Series, *, zone: str) -> pd.Series:
    """Convert what clocks show in a zone, datetime64[us], to times in UTC.

    Missing where a change of clocks leaves it out or has it twice, and where the year is not from 1 to 9999 in UTC.
    """
    shifts = _find_shifts(pd.DatetimeIndex(local))
    moved = (local + shifts).dt.tz_localize(find_zone(zone), ambiguous="NaT", nonexistent="NaT")
    utc = moved.dt.tz_convert("UTC").dt.tz_localize(None) - shifts
    inside = (utc >= np.datetime64("0001-01-01", "us")) & (utc < np.datetime64("10000-01-01", "us"))
    times: pd.Series = utc.where(inside).dt.tz_localize("UTC")
    return times


def _find_shifts(index: pd.DatetimeIndex) -> npt.NDArray[np.timedelta64]:
    """Find by how much to move each time, so that it is far enough from the ends of Python's calendar for any zone."""
    moments = index.to_numpy(dtype="datetime64[us]")
    signs = (moments < _FIRST).astype(np.int64) - (moments > _LAST)
    return np.asarray(signs * _CYCLE, dtype="timedelta64[us]")


def extract_part(times: Any, part: str, *, zone: str = "UTC") -> npt.NDArray[np.float64]:
    """Extract a part of each time (a series in UTC, or datetime64 that means UTC); missing where the time is.

    Weeks are those of ISO 8601, of which `iso_year` is the year; what is true or false becomes 1 or 0.
    """
    index = pd.DatetimeIndex(times)
    if part == "epoch_seconds":
        return count_seconds(index)
    local = to_local(index, zone=zone)
    source = local.isocalendar() if part in ISO_PARTS else local
    numbers = np.asarray(getattr(source, PARTS[part]), dtype=np.float64)
    if part == "is_weekend":
        numbers = (numbers >= SATURDAY).astype(np.float64)
    return np.where(index.isna(), np.nan, numbers)


def count_seconds(index: pd.DatetimeIndex) -> npt.NDArray[np.float64]:
    """Count the seconds from 1970 in UTC to each time, with fractions of microseconds; missing where the time is."""
    microseconds = index.tz_convert(None) if index.tz is not None else index
    numbers = microseconds.to_numpy(dtype="datetime64[us]").view(np.int64) / 1_000_000
    return np.where(index.isna(), np.nan, numbers)
