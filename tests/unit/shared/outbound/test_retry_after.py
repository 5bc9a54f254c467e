"""Retry-After as servers send it, and as some do to do harm."""

import datetime
import email.utils

import pytest

from shared.outbound import retry_after


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        (" 120 ", 120),
        ("99999999999999999999", 3600),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 3600),
        ("Fri, 01 Jan 1999 00:00:00 GMT", 0),
        ("Fri, 01 Jan 3000000000 00:00:00 GMT", None),
        ("Fri, 01 Jan 2100 00:00:00 +99999999999999", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
        ("\u0663", None),
    ],
)
def test_what_says_how_long_to_wait_is_read_and_bounded_and_all_else_is_none(header: str, seconds: int | None) -> None:
    assert retry_after.parse(header) == seconds


def test_a_time_in_the_near_future_is_that_long() -> None:
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=90)
    assert 85 <= (retry_after.parse(email.utils.format_datetime(soon, usegmt=True)) or 0) <= 90
