"""Schedules as documents: which pipeline runs, when, and what becomes of firings that were missed or come too soon."""

import datetime
import functools
import zoneinfo
from typing import Literal, Self

import cronsim
import pydantic

from shared import contract
from shared.orchestration.moments import Moment

MIN_SECONDS = 10
MAX_SECONDS = 366 * 24 * 3600
Missed = Literal["all", "last", "none"]
Overlap = Literal["allow", "skip", "cancel_running"]


@functools.cache
def _list_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


class Schedule(contract.Document):
    """When a pipeline runs by itself."""

    pipeline: contract.Name = pydantic.Field(description="The pipeline that runs.")
    version: int | None = pydantic.Field(
        default=None,
        ge=1,
        le=2**31 - 1,
        description="The pipeline's version; null: the latest one at the time of each firing.",
    )
    params: dict[str, pydantic.JsonValue] = pydantic.Field(
        default={}, max_length=200, description="The parameters of each run."
    )
    cron: str | None = pydantic.Field(
        default=None,
        max_length=200,
        description="Minute, hour, day of the month, month and day of the week, as cron reads them, in the schedule's "
        "time zone.",
        examples=["0 3 * * MON-FRI"],
    )
    every_seconds: int | None = pydantic.Field(
        default=None,
        ge=MIN_SECONDS,
        le=MAX_SECONDS,
        description="Instead of `cron`: seconds between two firings, counted from `starts_at`, or else from when the "
        "schedule was made.",
    )
    timezone: str = pydantic.Field(
        default="UTC",
        max_length=64,
        description="The time zone in which `cron` is meant. A time that is left out when clocks go forward fires at "
        "the first moment after the gap, one that comes twice when they go back fires at the first; what fires each "
        "hour or each few minutes fires by real time.",
        examples=["Europe/Berlin"],
    )
    starts_at: Moment | None = pydantic.Field(default=None, description="Nothing fires before this time (RFC 3339).")
    ends_at: Moment | None = pydantic.Field(default=None, description="Nothing fires at this time (RFC 3339) or later.")
    missed: Missed = pydantic.Field(
        default="last",
        description="Which firings are made up for that were missed by more than a minute, because nothing ran or the "
        "schedule was disabled for a while: all of them, some at a time; the last one; or none.",
    )
    overlap: Overlap = pydantic.Field(
        default="skip",
        description="What happens when the last run of the schedule has not ended: `allow` starts another one beside "
        "it, `skip` leaves this firing out, `cancel_running` cancels it and starts another one.",
    )
    enabled: bool = pydantic.Field(default=True, description="Whether it fires.")

    @pydantic.field_validator("timezone")
    @classmethod
    def _check_zone(cls, value: str) -> str:
        if value not in _list_zones():
            raise ValueError(f"{value!r} is no time zone; names look like Europe/Berlin, America/New_York or UTC")
        return value

    @pydantic.model_validator(mode="after")
    def _check_times(self) -> Self:
        if (self.cron is None) == (self.every_seconds is None):
            raise ValueError("one of `cron` and `every_seconds` is needed, and not both")
        if self.cron is not None:
            _check_cron(self.cron)
        if self.starts_at is not None and self.ends_at is not None and self.starts_at >= self.ends_at:
            raise ValueError("`starts_at` is not before `ends_at`")
        return self


def _check_cron(text: str) -> None:
    fields = text.split()
    if len(fields) != len(cronsim.cronsim.FIELD_NAMES) - 1:
        raise ValueError(
            f"cron has {len(fields)} fields; five are needed: minute, hour, day of the month, month, day of the week"
        )
    try:
        next(cronsim.CronSim(text, datetime.datetime(2026, 1, 1)))  # noqa: DTZ001 - any time tells whether it fires.
    except cronsim.CronSimError as error:
        raise ValueError(f"cron is {text!r}: {error}; a line looks like `0 3 * * MON-FRI`") from error
    except StopIteration:
        raise ValueError(f"cron is {text!r}, which never fires") from None
