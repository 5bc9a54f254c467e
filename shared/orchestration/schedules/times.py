"""When schedules fire: pure functions of a schedule and of times in epoch milliseconds."""

import dataclasses
import datetime
import heapq
import itertools
import zoneinfo
from collections.abc import Iterator

import cronsim

from shared.orchestration.schedules.document import Schedule

LATE_MS = 60_000
"""A firing that comes later than this was missed."""
MAX_MADE_UP = 10
"""As many missed firings are made up for at a time."""
_MAX_LOOKED_AT = 20_000
_DAY_MS = 24 * 3600 * 1000
_HOURS_A_DAY = 24


@dataclasses.dataclass(frozen=True)
class Left:
    """A stretch of firings that are left out: the first and the last of them, and how many there are."""

    first: int
    last: int
    count: int


@dataclasses.dataclass(frozen=True)
class Due:
    """What is due: the firings to carry out, the oldest first, and those that are left out because they were missed."""

    fire: list[int]
    missed: Left | None
    seen_until: int
    """Up to which time, inclusive, firings are decided on; more may be due behind it."""


def next_after(schedule: Schedule, moment: int, *, anchor: int) -> int | None:
    """Find the first firing after a moment; None when there is none. `anchor` is when the schedule was made."""
    return next(iterate(schedule, moment, anchor=anchor), None)


def find_due(schedule: Schedule, after: int, *, now: int, anchor: int) -> Due:
    """Find what is due behind a moment, up to now, and what of it was missed and is left out.

    Of a very long time only a part is decided on, and `seen_until` says how far.
    """
    passed = itertools.takewhile(lambda moment: moment <= now, iterate(schedule, after, anchor=anchor))
    if schedule.missed == "all":
        moments = list(itertools.islice(passed, MAX_MADE_UP + 1))
        return Due(moments[:MAX_MADE_UP], None, now if len(moments) <= MAX_MADE_UP else moments[MAX_MADE_UP - 1])
    moments = list(itertools.islice(passed, _MAX_LOOKED_AT))
    seen_until = moments[-1] if len(moments) == _MAX_LOOKED_AT else now
    late = [moment for moment in moments if moment < now - LATE_MS]
    punctual = moments[len(late) :]
    # One that is punctual makes up for those before it.
    made_up = late[-1:] if schedule.missed == "last" and not punctual and seen_until == now else []
    left = late[: len(late) - len(made_up)]
    return Due([*made_up, *punctual], Left(left[0], left[-1], len(left)) if left else None, seen_until)


def iterate(schedule: Schedule, after: int, *, anchor: int) -> Iterator[int]:
    """Iterate over the firings after a moment."""
    starts_at = None if schedule.starts_at is None else _to_ms(schedule.starts_at)
    begin = after if starts_at is None else max(after, starts_at - 1)
    if schedule.cron is not None:
        moments = _iterate_cron(schedule.cron, begin, timezone=schedule.timezone)
    else:
        first = anchor if starts_at is None else starts_at
        moments = _iterate_interval(1000 * (schedule.every_seconds or 1), begin, anchor=first)
    ends_at = None if schedule.ends_at is None else _to_ms(schedule.ends_at)
    return itertools.takewhile(lambda moment: ends_at is None or moment < ends_at, moments)


def _iterate_interval(interval: int, after: int, *, anchor: int) -> Iterator[int]:
    return itertools.count(anchor + max(0, (after - anchor) // interval + 1) * interval, interval)


def _iterate_cron(cron: str, after: int, *, timezone: str) -> Iterator[int]:
    """Iterate over what cron names on the clock of a time zone, as moments in their order.

    cronsim goes through the times on the clock, which know no changes of it, since in a zone whose clocks change by
    half an hour it passes some over.
    """
    zone = zoneinfo.ZoneInfo(timezone)
    begin = datetime.datetime.fromtimestamp(after // 1000, zone).replace(tzinfo=None)
    # A clock that is about to go back will show again what it has shown.
    begin -= max(datetime.timedelta(), _offset_at(after, zone) - _offset_at(after + _DAY_MS, zone))
    waiting: list[int] = []
    line = cronsim.CronSim(cron, begin)
    is_by_clock = not cron.startswith("*") and len(line.hours) < _HOURS_A_DAY
    for named in line:
        moments = _find_moments(named, zone, is_by_clock=is_by_clock)
        # What the clock shows twice comes again behind what it shows in between.
        while waiting and waiting[0] < _to_ms(named.replace(tzinfo=zone)):
            yield heapq.heappop(waiting)
        for moment in moments:
            if moment > after and moment not in waiting:
                heapq.heappush(waiting, moment)
    yield from sorted(waiting)


def _find_moments(named: datetime.datetime, zone: zoneinfo.ZoneInfo, *, is_by_clock: bool) -> set[int]:
    """Find when a clock shows a time: mostly once; twice when it goes back, and never when it goes forward past it.

    What fires at named times of the day, as opposed to each hour or each few minutes, fires once all the same: at the
    first of the two, and right after the gap.
    """
    first, second = (_to_ms(named.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    if first == second:
        return {first}
    is_shown = datetime.datetime.fromtimestamp(first / 1000, zone).replace(tzinfo=None) == named
    if is_shown:
        return {first} if is_by_clock else {first, second}
    return {_find_change(second, first, zone)} if is_by_clock else set()


def _find_change(before: int, behind: int, zone: zoneinfo.ZoneInfo) -> int:
    """Find the moment between two at which a zone's clock changes, to the second."""
    earlier = _offset_at(before, zone)
    while behind - before > 1000:
        middle = (before + behind) // 2000 * 1000
        if _offset_at(middle, zone) == earlier:
            before = middle
        else:
            behind = middle
    return behind


def _offset_at(moment: int, zone: zoneinfo.ZoneInfo) -> datetime.timedelta:
    return datetime.datetime.fromtimestamp(moment / 1000, zone).utcoffset() or datetime.timedelta()


def _to_ms(moment: datetime.datetime) -> int:
    return int(moment.timestamp() * 1000)
