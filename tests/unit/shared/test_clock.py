"""The database's clock."""

import time

import sqlalchemy as sa

from shared import clock, database


def read(engines: database.Engines, expression: sa.ColumnElement[int]) -> int:
    """Ask the database for a time."""
    with engines.statements.connect() as connection:
        return int(connection.execute(sa.select(expression)).scalar_one())


def test_the_databases_clock_is_in_epoch_milliseconds(engines: database.Engines) -> None:
    assert abs(read(engines, clock.now_ms()) - time.time() * 1000) < 5000


def test_the_clock_goes_on_by_milliseconds_and_never_back(engines: database.Engines) -> None:
    begun = time.monotonic()
    seen = [read(engines, clock.now_ms())]
    after_first = time.monotonic()
    while (before_last := time.monotonic()) - after_first < 0.1 or len(seen) < 50:
        seen.append(read(engines, clock.now_ms()))
    seen.append(read(engines, clock.now_ms()))
    ended = time.monotonic()
    assert seen == sorted(seen)
    assert (before_last - after_first) * 1000 - 5 <= seen[-1] - seen[0] <= (ended - begun) * 1000 + 5
    assert len({one % 10 for one in seen}) > 3


def test_the_clock_goes_on_within_a_transaction(engines: database.Engines) -> None:
    with engines.transactions.begin() as connection:
        first = connection.execute(sa.select(clock.now_ms())).scalar_one()
        time.sleep(0.02)
        assert connection.execute(sa.select(clock.now_ms())).scalar_one() > first


def test_one_moment_for_a_whole_statement_is_the_same_clock(engines: database.Engines) -> None:
    assert abs(read(engines, clock.now_ms_once()) - read(engines, clock.now_ms())) < 1000


def test_a_time_is_shown_in_utc_with_milliseconds() -> None:
    assert clock.to_text(1_700_000_000_007) == "2023-11-14T22:13:20.007Z"
    assert clock.to_text(0) == "1970-01-01T00:00:00.000Z"
    assert clock.to_text(None) is None
