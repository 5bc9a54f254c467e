"""Reads Retry-After, by which a server says how long it wants to be left alone."""

import datetime
import email.utils

MAX_SECONDS = 3600
"""The longest that is believed."""


def parse(header: str) -> int | None:
    """Parse the header, given in seconds or as a time; None for anything else, at most 3,600 s."""
    header = header.strip()
    if header.isascii() and header.isdigit():
        return min(int(header[:9]), MAX_SECONDS)
    try:
        until = email.utils.parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    until = until if until.tzinfo else until.replace(tzinfo=datetime.UTC)
    wait = (until - datetime.datetime.now(datetime.UTC)).total_seconds()
    return min(max(int(wait), 0), MAX_SECONDS)
