"""Reads texts as times by a declared format, as loads do, and writes times as texts."""

import datetime
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from shared import date_formats
from shared.ml import times

_EPOCH = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - Texts without an offset mean a zone that the caller knows.
_MICROSECOND = datetime.timedelta(microseconds=1)
_NUMBERS_OF_MONTHS = {name[:3].lower(): number for number, name in enumerate(date_formats.MONTHS, start=1)}


def parse(texts: pd.Series, *, date_format: str, zone: str = "UTC") -> pd.Series:
    """Read texts as times, datetime64[us, UTC]; missing where one isn't written in the format, or is no time.

    Without an offset in the format, times are read in the zone, in which those that a change of clocks leaves out or
    has twice are none. The years go from 1 to 9999 in UTC. White space around a text doesn't matter.
    """
    pattern = re.compile(date_formats.to_pattern(date_format))
    codes, different = pd.factorize(texts.to_numpy())
    instants = np.array([*(_read(text, pattern) for text in different), None], dtype="datetime64[us]")
    local = pd.Series(instants[codes], index=texts.index)
    if zone == "UTC" or date_formats.has_offset(date_format) or not date_formats.has_time(date_format):
        return local.dt.tz_localize("UTC")
    return times.from_local(local, zone=zone)


def _read(text: str, pattern: re.Pattern[str]) -> int | None:
    """Read a text as microseconds since 1970, in UTC when it has an offset; None when it is no time in the format."""
    match = pattern.fullmatch(text.strip())
    if match is None:
        return None
    parts = match.groupdict()
    try:
        moment = datetime.datetime(  # noqa: DTZ001
            _read_year(parts),
            int(parts["m"]) if "m" in parts else _NUMBERS_OF_MONTHS[parts["b"][:3].lower()],
            int(parts["d"]),
            _read_hour(parts),
            int(parts.get("M", 0)),
            int(parts.get("S", 0)),
            int(parts.get("f", "0").ljust(6, "0")),
        )
        return (moment - _read_offset(parts.get("z", "Z")) - _EPOCH) // _MICROSECOND
    except (ValueError, KeyError, OverflowError):
        return None


def _read_year(parts: dict[str, str]) -> int:
    if "Y" in parts:
        return int(parts["Y"])
    return int(parts["y"]) + (1900 if int(parts["y"]) >= date_formats.PIVOT else 2000)


def _read_hour(parts: dict[str, str]) -> int:
    if "I" not in parts:
        return int(parts.get("H", 0))
    hour = int(parts["I"])
    if not 1 <= hour <= 12:
        raise ValueError(hour)
    return hour % 12 + (12 if parts["p"].lower() == "pm" else 0)


def _read_offset(text: str) -> datetime.timedelta:
    if text == "Z":
        return datetime.timedelta()
    hours, minutes = int(text[1:3]), int(text[-2:])
    if hours > 23 or minutes > 59:
        raise ValueError(text)
    offset = datetime.timedelta(hours=hours, minutes=minutes)
    return -offset if text[0] == "-" else offset


def write(values: pd.Series, *, date_format: str, zone: str = "UTC") -> pd.Series:
    """Write times, in a zone, as texts in a format; missing where the time is."""
    texts = np.full(len(values), np.nan, dtype=object)
    present = values.notna().to_numpy()
    utc = pd.DatetimeIndex(values[present]).tz_convert(None)
    local = times.to_local(utc, zone=zone)
    writers = _WRITERS | {"z": lambda local: _write_offsets(local - utc)}
    pieces = [
        writers[piece](local) if index % 2 else [piece] * len(local)
        for index, piece in enumerate(date_formats.split(date_format))
    ]
    texts[present] = ["".join(row) for row in zip(*pieces, strict=True)]
    return pd.Series(texts, index=values.index, dtype=object)


def _pad(numbers: Any, width: int = 2) -> list[str]:
    return [f"{number:0{width}}" for number in numbers]


def _write_offsets(shifts: pd.TimedeltaIndex) -> list[str]:
    minutes = np.asarray(shifts) // np.timedelta64(1, "m")
    return [f"{'-' if shift < 0 else '+'}{abs(shift) // 60:02}:{abs(shift) % 60:02}" for shift in minutes.tolist()]


_WRITERS: dict[str, Callable[[pd.DatetimeIndex], list[str]]] = {
    "Y": lambda local: _pad(local.year, 4),
    "y": lambda local: _pad(local.year % 100),
    "m": lambda local: _pad(local.month),
    "b": lambda local: [date_formats.MONTHS[month - 1][:3] for month in local.month],
    "B": lambda local: [date_formats.MONTHS[month - 1] for month in local.month],
    "d": lambda local: _pad(local.day),
    "H": lambda local: _pad(local.hour),
    "I": lambda local: _pad((local.hour - 1) % 12 + 1),
    "p": lambda local: ["AM" if hour < 12 else "PM" for hour in local.hour],
    "M": lambda local: _pad(local.minute),
    "S": lambda local: _pad(local.second),
    "f": lambda local: _pad(local.microsecond, 6),
}
"""What each directive writes, but for the offset."""
