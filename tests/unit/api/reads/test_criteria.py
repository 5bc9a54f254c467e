"""Conditions and times of lists are read in the forms that are documented, and in no others."""

import datetime

import pytest

from api.reads import criteria
from shared import errors


@pytest.mark.parametrize(
    ("text", "number"),
    [("f1>=0.8", 0.8), ("f1>=-1", -1.0), ("f1>= +.5 ", 0.5), ("f1>=5.", 5.0), ("f1>=1e-3", 0.001), ("f1>=2E3", 2000.0)],
)
def test_a_condition_has_a_number(text: str, number: float) -> None:
    assert criteria.parse_bounds(text) == [criteria.Bound("f1", ">=", number)]


@pytest.mark.parametrize(
    "number", ["1_0", "\u0661", "\uff11", "nan", "inf", "-Infinity", "1e999", "0x1", "1e", ".", "", "1 0"]
)
def test_what_is_no_number_is_refused(number: str) -> None:
    with pytest.raises(errors.InvalidRequestError, match="no condition"):
        criteria.parse_bounds(f"f1>={number}")


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-30",
        "2026-11-30T00:00",
        "2026-11-30 00:00:00Z",
        "2026-11-30T00:00:00.000000000Z",
        "2026-11-30T02:00:00+02:00",
        # A plus sign that was not escaped.
        "2026-11-30T02:00:00 02:00",
    ],
)
def test_a_time_is_a_date_or_a_time_of_rfc_3339(text: str) -> None:
    moment = datetime.datetime(2026, 11, 30, tzinfo=datetime.UTC)
    assert criteria.parse_period(text, None).since == moment.timestamp() * 1000


@pytest.mark.parametrize(
    "text",
    [
        "2026-W01",
        "2026-W01-1",
        "20261130",
        "2026-11-30T08",
        "2026-11-30T080000Z",
        "2026-11-30x08:00",
        "2026-11-3\u0661",
        "2026-13-01",
        "2026-11-30T08:00:00+02:00:30",
        "1764489600",
        "2026-11-30Z",
        "",
    ],
)
def test_other_forms_of_times_are_refused(text: str) -> None:
    with pytest.raises(errors.InvalidRequestError, match="RFC 3339"):
        criteria.parse_period(text, None)
