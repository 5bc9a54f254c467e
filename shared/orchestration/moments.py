"""Moments that a request gives, within the years that all that follows from them can be written in."""

import datetime
from typing import Annotated

import pydantic

_FIRST_YEAR, _LAST_YEAR = 1971, 9000


def _check(value: datetime.datetime) -> datetime.datetime:
    if not _FIRST_YEAR <= value.year <= _LAST_YEAR:
        raise ValueError(f"the year should be from {_FIRST_YEAR} to {_LAST_YEAR}")
    return value


Moment = Annotated[pydantic.AwareDatetime, pydantic.Field(strict=False), pydantic.AfterValidator(_check)]
"""A time with its offset (RFC 3339)."""
