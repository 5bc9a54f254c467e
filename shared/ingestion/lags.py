"""How far below its watermark a load reads again: a number, or a length of time such as `2 days` or `PT36H`."""

import datetime
import re

UNITS = {
    "s": 1,
    "sec": 1,
    "second": 1,
    "min": 60,
    "minute": 60,
    "h": 3600,
    "hr": 3600,
    "hour": 3600,
    "d": 86_400,
    "day": 86_400,
    "w": 604_800,
    "week": 604_800,
}
MAX_SECONDS = 86_400 * 365 * 10_000
_PART = r"[0-9]{1,15}(?:\.[0-9]{1,9})?"
_PLAIN = re.compile(rf"({_PART}) ?([a-z]+?)s?", re.I)
_ISO = re.compile(rf"P(?:({_PART})W)?(?:({_PART})D)?(?:T(?:({_PART})H)?(?:({_PART})M)?(?:({_PART})S)?)?", re.I)
_ISO_SECONDS = (604_800, 86_400, 3600, 60, 1)


def parse(text: str) -> datetime.timedelta:
    """Read a length of time; ValueError with the forms that are allowed."""
    stripped = text.strip()
    if (plain := _PLAIN.fullmatch(stripped)) and (unit := UNITS.get(plain[2].lower())):
        return _build(float(plain[1]) * unit)
    if (iso := _ISO.fullmatch(stripped)) and any(iso.groups()):
        return _build(sum(float(part) * unit for part, unit in zip(iso.groups(), _ISO_SECONDS, strict=True) if part))
    raise ValueError(
        f"{text[:60]!r} is no length of time; write it like '2 days', '36 h', '90 min' or 'PT36H', or give a number in "
        "the column's unit (for dates days, for times seconds)"
    )


def _build(seconds: float) -> datetime.timedelta:
    return datetime.timedelta(seconds=min(seconds, MAX_SECONDS))
