"""A second library says when cron fires, over ten years in thirty zones; where it differs, one rule says why."""

import datetime
import json
import pathlib
import subprocess
from zoneinfo import ZoneInfo

import pytest

from shared.orchestration.schedules import times
from shared.orchestration.schedules.document import Schedule
from tests import judges

pytestmark = [pytest.mark.judge, pytest.mark.timeout(1200)]
ZONES = [
    *("UTC", "Europe/Berlin", "Europe/London", "Europe/Dublin", "Europe/Moscow", "Europe/Istanbul", "Atlantic/Azores"),
    *("America/New_York", "America/Chicago", "America/Los_Angeles", "America/St_Johns", "America/Sao_Paulo"),
    *("America/Havana", "America/Santiago", "America/Caracas", "America/Nuuk", "Africa/Cairo", "Africa/Casablanca"),
    *("Asia/Kolkata", "Asia/Kathmandu", "Asia/Tehran", "Asia/Tokyo", "Asia/Gaza", "Asia/Pyongyang"),
    *("Australia/Sydney", "Australia/Lord_Howe", "Australia/Adelaide", "Pacific/Auckland", "Pacific/Chatham"),
    "Pacific/Tongatapu",
]
DAILY, MONTHLY, HOURS = "30 2 * * *", "0 0 1 * *", "15 */6 * * *"
CLOSE = ("Australia/Lord_Howe", "Europe/Berlin", "America/New_York", "Pacific/Chatham", "Africa/Cairo", "Asia/Tehran")
"""The zones in which it is also asked for what fires by real time."""
BEGIN = int(datetime.datetime(2015, 12, 31, 12, tzinfo=datetime.UTC).timestamp())
END = int(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC).timestamp())
_ASK = """
import datetime, json, sys, zoneinfo
from croniter import croniter

found = []
for zone, cron, begin, end in json.load(sys.stdin):
    fires, start = [], datetime.datetime.fromtimestamp(begin, zoneinfo.ZoneInfo(zone))
    for moment in croniter(cron, start, ret_type=datetime.datetime):
        if moment.timestamp() >= end:
            break
        fires.append(int(moment.timestamp()))
    found.append(fires)
print(json.dumps(found))
"""


def list_firings(zone: str, cron: str) -> list[int]:
    schedule = Schedule.model_validate({"pipeline": "p", "cron": cron, "timezone": zone})
    fires = []
    for moment in times.iterate(schedule, BEGIN * 1000, anchor=0):
        if moment >= END * 1000:
            break
        fires.append(moment // 1000)
    return fires


def test_croniter_fires_at_the_same_moments_but_for_times_that_a_clock_shows_twice(tmp_path: pathlib.Path) -> None:
    asked = [(zone, cron) for zone in ZONES for cron in (DAILY, MONTHLY)] + [(zone, HOURS) for zone in CLOSE]
    said = subprocess.run(
        [judges.make_environment("judges"), "-P", "-c", _ASK],
        input=json.dumps([(zone, cron, BEGIN, END) for zone, cron in asked]),
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=600,
    )
    assert said.returncode == 0, said.stderr[-3000:]
    repeated = 0
    for (zone, cron), theirs in zip(asked, json.loads(said.stdout), strict=True):
        ours = set(list_firings(zone, cron))
        assert ours <= set(theirs), (zone, cron)
        for moment in set(theirs) - ours:
            # What fires at named times fires once: at the first of the two moments that a clock shows so.
            shown = datetime.datetime.fromtimestamp(moment, ZoneInfo(zone))
            assert shown.fold == 1, (zone, cron, shown)
            repeated += 1
    assert len(asked) >= 60
    assert repeated > 0
