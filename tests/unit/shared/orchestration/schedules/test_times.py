"""When schedules fire: through changes of the clocks, gaps in which nothing ran, and the ends of their time."""

import datetime
import itertools
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.orchestration.schedules import times
from shared.orchestration.schedules.document import Schedule

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def make(**fields: Any) -> Schedule:
    return Schedule.model_validate({"pipeline": "nightly", **fields})


def at(text: str, zone: str = "UTC", *, fold: int = 0) -> int:
    moment = datetime.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return int(moment.timestamp() * 1000)


def list_firings(schedule: Schedule, after: int, count: int, *, anchor: int = 0) -> list[int]:
    found = []
    for _ in range(count):
        following = times.next_after(schedule, after, anchor=anchor)
        assert following is not None
        found.append(after := following)
    return found


@pytest.mark.parametrize(
    ("zone", "cron", "after", "fires"),
    [
        # Clocks go forward: what would be left out comes at the first moment after the gap.
        ("Europe/Berlin", "30 2 * * *", "2026-03-28T12:00", ["2026-03-29T03:00", "2026-03-30T02:30"]),
        ("America/New_York", "30 2 * * *", "2026-03-07T12:00", ["2026-03-08T03:00", "2026-03-09T02:30"]),
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T12:00", ["2026-10-04T02:30", "2026-10-05T02:15"]),
        # Clocks go back: what would come twice comes once, at the first of the two.
        ("Europe/Berlin", "30 2 * * *", "2026-10-24T12:00", ["2026-10-25T02:30", "2026-10-26T02:30"]),
        ("America/New_York", "30 1 * * *", "2026-10-31T12:00", ["2026-11-01T01:30", "2026-11-02T01:30"]),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-04T12:00", ["2026-04-05T01:45", "2026-04-06T01:45"]),
        ("Africa/Cairo", "15 */6 * * *", "2025-04-24T20:00", ["2025-04-25T01:00", "2025-04-25T06:15"]),
        ("Europe/Berlin", "0 9 * * MON-FRI", "2026-10-23T12:00", ["2026-10-26T09:00", "2026-10-27T09:00"]),
        ("UTC", "0 0 29 2 *", "2026-01-01T00:00", ["2028-02-29T00:00", "2032-02-29T00:00"]),
        ("Europe/Berlin", "0 12 L * *", "2026-02-01T00:00", ["2026-02-28T12:00", "2026-03-31T12:00"]),
    ],
)
def test_a_daily_firing_comes_once_a_day_through_every_change_of_the_clocks(
    zone: str, cron: str, after: str, fires: list[str]
) -> None:
    schedule = make(cron=cron, timezone=zone)
    assert list_firings(schedule, at(after, zone), len(fires)) == [at(text, zone) for text in fires]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"])
@pytest.mark.parametrize("cron", ["*/15 * * * *", "*/5 * * * *"])
def test_what_fires_each_few_minutes_fires_by_real_time(zone: str, cron: str) -> None:
    schedule = make(cron=cron, timezone=zone)
    step = int(cron[2:4].strip()) * MINUTE
    for month in range(1, 13):
        fires = list_firings(schedule, at(f"2026-{month:02d}-01T00:00"), 300)
        assert {later - earlier for earlier, later in itertools.pairwise(fires)} == {step}


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_asked_from_any_moment_of_the_hour_that_comes_twice_nothing_fires_in_the_past_or_twice(zone: str) -> None:
    schedule = make(cron="30 1,2 * * *", timezone=zone)
    for begin in (at("2026-04-04T10:00"), at("2026-10-24T20:00"), at("2026-10-31T20:00"), at("2026-03-28T20:00")):
        seen = set(list_firings(schedule, begin, 10))
        for after in range(begin, begin + DAY, 7 * MINUTE):
            following = times.next_after(schedule, after, anchor=0)
            assert following is not None
            assert following > after
            assert following in seen


def test_hours_are_not_passed_over_where_clocks_change_by_half_an_hour() -> None:
    schedule = make(cron="15 */6 * * *", timezone="Australia/Lord_Howe")
    for day in ("2026-04-05", "2026-10-04"):
        fires = list_firings(schedule, at(f"{day}T00:00", "Australia/Lord_Howe"), 4)
        assert fires == [at(f"{day}T{hour}:15", "Australia/Lord_Howe") for hour in ("00", "06", "12", "18")]


def test_an_interval_counts_from_its_beginning_whenever_it_is_asked() -> None:
    schedule = make(every_seconds=90)
    assert list_firings(schedule, 1_000_000, 3, anchor=1_000_000) == [1_090_000, 1_180_000, 1_270_000]
    assert times.next_after(schedule, 1_089_999, anchor=1_000_000) == 1_090_000
    assert times.next_after(schedule, 500, anchor=1_000_000) == 1_000_000
    begun = make(every_seconds=90, starts_at="2026-01-01T00:00:00Z")
    assert list_firings(begun, 0, 2, anchor=5) == [at("2026-01-01T00:00"), at("2026-01-01T00:01:30")]


def test_nothing_fires_at_its_end_or_later() -> None:
    schedule = make(cron="0 * * * *", starts_at="2026-01-01T10:00:00Z", ends_at="2026-01-01T12:00:00+00:00")
    assert list_firings(schedule, 0, 2) == [at("2026-01-01T10:00"), at("2026-01-01T11:00")]
    assert times.next_after(schedule, at("2026-01-01T11:00"), anchor=0) is None
    due = times.find_due(schedule, 0, now=at("2027-01-01T00:00"), anchor=0)
    assert due.fire == [at("2026-01-01T11:00")]


HOURLY_AFTER = at("2026-01-01T00:30")
NOW = at("2026-01-01T05:00:20")
HOURS = [at(f"2026-01-01T0{hour}:00") for hour in range(1, 6)]


@pytest.mark.parametrize(
    ("missed", "now", "fire", "left"),
    [
        ("all", NOW, HOURS, None),
        ("last", NOW, HOURS[4:], times.Left(HOURS[0], HOURS[3], 4)),
        ("none", NOW, HOURS[4:], times.Left(HOURS[0], HOURS[3], 4)),
        ("all", NOW + 10 * MINUTE, HOURS, None),
        ("last", NOW + 10 * MINUTE, HOURS[4:], times.Left(HOURS[0], HOURS[3], 4)),
        ("none", NOW + 10 * MINUTE, [], times.Left(HOURS[0], HOURS[4], 5)),
        ("last", HOURLY_AFTER + MINUTE, [], None),
        ("last", HOURS[0], HOURS[:1], None),
    ],
)
def test_firings_that_were_missed_are_made_up_for_as_the_schedule_says(
    missed: str, now: int, fire: list[int], left: times.Left | None
) -> None:
    due = times.find_due(make(cron="0 * * * *", missed=missed), HOURLY_AFTER, now=now, anchor=0)
    assert (due.fire, due.missed, due.seen_until) == (fire, left, now)


def test_of_very_many_missed_firings_a_part_is_decided_on_at_a_time_and_none_is_forgotten() -> None:
    schedule, now = make(every_seconds=60, missed="all"), 1_000 * MINUTE
    after, fired = 0, []
    while True:
        due = times.find_due(schedule, after, now=now, anchor=0)
        fired += due.fire
        assert len(due.fire) <= times.MAX_MADE_UP + 2
        after = due.seen_until
        if after == now:
            break
    assert fired == [minute * MINUTE for minute in range(1, 1001)]


@pytest.mark.slow
def test_a_year_of_missed_firings_is_passed_over_in_parts_with_their_count() -> None:
    schedule, now = make(every_seconds=10, missed="last"), 40 * DAY
    after, left, fired = 0, 0, []
    while after < now:
        due = times.find_due(schedule, after, now=now, anchor=0)
        left += due.missed.count if due.missed else 0
        fired += due.fire
        after = due.seen_until
    assert (left + len(fired), fired[-1]) == (40 * 8640, now)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "one of `cron` and `every_seconds`"),
        ({"cron": "0 3 * * *", "every_seconds": 60}, "not both"),
        ({"cron": "0 3 * *"}, "4 fields; five are needed"),
        ({"cron": "0 0 3 * * *"}, "6 fields; five are needed"),
        ({"cron": "61 3 * * *"}, "Bad minute"),
        ({"cron": "0 3 31 2 *"}, "31 2"),
        ({"cron": "0 3 * * *", "timezone": "Europe/Atlantis"}, "is no time zone"),
        ({"cron": "0 3 * * *", "timezone": "../../etc/passwd"}, "is no time zone"),
        ({"cron": "0 3 * * *", "starts_at": "2026-01-01T00:00:00"}, "timezone"),
        ({"every_seconds": 9}, "greater than or equal to 10"),
        ({"every_seconds": 60, "starts_at": "2026-01-02T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z"}, "not before"),
    ],
)
def test_a_schedule_that_can_not_be_meant_is_refused_with_what_is_wrong(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make(**fields)
