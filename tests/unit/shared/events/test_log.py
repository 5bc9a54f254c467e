"""The event log: in one order, each event once, and nothing missed by who reads behind a position."""

import threading
import time
from typing import Any

import pytest
import sqlalchemy as sa

from shared import clock
from shared.catalog import api_tables
from shared.events import log
from shared.jobs import outbox
from tests.unit.rig import TENANT, Rig
from tests.unit.shared.events.log_tables import log_rig  # noqa: F401 - a fixture.

ROLE = "ingestion"


def make(number: int, **changes: Any) -> outbox.OutgoingEvent:
    """Make an event as a relay has it."""
    plain: dict[str, Any] = {
        "id": f"e{number}",
        "tenant_id": TENANT,
        "type": "model.created",
        "subject": f"churn@{number}",
        "data": {"version": number, "nested": {"text": "é\u2028", "none": None}},
        "created_at": 1000 + number,
        "correlation_id": "story",
    }
    return outbox.OutgoingEvent(**(plain | changes))


def append(rig: Rig, *events: outbox.OutgoingEvent) -> None:
    rig.run(log.append, events, role=ROLE)


def read(rig: Rig, position: int = 0, *, limit: int = 100) -> list[log.Logged]:
    found: list[log.Logged] = rig.run(log.read_after, position, limit=limit)
    return found


def test_events_come_out_as_they_were_put_in_and_in_their_order(log_rig: Rig) -> None:  # noqa: F811
    append(log_rig, make(1), make(2, correlation_id="other"))
    first, second = read(log_rig)
    assert (first.id, first.role, first.tenant_id, first.type, first.subject) == (
        *("e1", ROLE, TENANT),
        *("model.created", "churn@1"),
    )
    assert first.data == {"version": 1, "nested": {"text": "é\u2028", "none": None}}
    assert (first.created_at, first.correlation_id, second.correlation_id) == (1001, "story", "other")
    assert first.position < second.position == log_rig.run(log.last_position)
    assert read(log_rig, first.position) == [second]
    assert read(log_rig, limit=1) == [first]


def test_an_event_that_is_appended_again_stays_where_it_is(log_rig: Rig) -> None:  # noqa: F811
    append(log_rig, make(1), make(2))
    before = read(log_rig)
    append(log_rig, make(2, subject="changed"), make(3))
    assert read(log_rig)[:2] == before
    assert [event.id for event in read(log_rig)] == ["e1", "e2", "e3"]


def test_what_is_rolled_back_is_not_in_the_log(log_rig: Rig) -> None:  # noqa: F811
    with log_rig.engines.transactions.connect() as connection:
        log.append(connection, [make(1)], role=ROLE)
        connection.rollback()
    append(log_rig, make(2))
    assert [event.id for event in read(log_rig)] == ["e2"]


def test_no_pin_is_logged_and_large_data_are_left_out(log_rig: Rig) -> None:  # noqa: F811
    append(log_rig, make(1, data={"pin": {"key": "secret"}, "version": 1}), make(2, data={"text": "x" * 60_000}))
    first, second = read(log_rig)
    assert first.data == {"version": 1}
    assert second.data["left_out_bytes"] > 60_000
    assert second.subject == "churn@2"


def test_whoever_reads_behind_a_position_misses_nothing_that_commits_later(log_rig: Rig) -> None:  # noqa: F811
    # The first one takes its position, and commits only after the second has begun to append.
    log_rig.overlap(
        lambda connection: log.append(connection, [make(1)], role=ROLE),
        lambda connection: log.append(connection, [make(2)], role="training"),
    )
    assert [event.id for event in read(log_rig)] == ["e1", "e2"]


@pytest.mark.slow
def test_a_reader_beside_many_writers_sees_each_event_once_and_in_order(log_rig: Rig) -> None:  # noqa: F811
    written, each = 4, 25

    def write(writer: int) -> None:
        for number in range(each):
            with log_rig.engines.transactions.begin() as connection:
                log.append(connection, [make(100 * writer + number, subject=f"{writer}")], role=ROLE)
                # Some commit late.
                time.sleep(0.002 * (number % 3))

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(written)]
    for thread in threads:
        thread.start()
    seen: list[log.Logged] = []
    while len(seen) < written * each:
        alive = any(thread.is_alive() for thread in threads)
        seen += read(log_rig, seen[-1].position if seen else 0, limit=7)
        assert alive or len(seen) == written * each or read(log_rig, seen[-1].position), "an event was missed"
    for writer in range(written):
        mine = [int(event.id[1:]) for event in seen if event.subject == f"{writer}"]
        assert mine == [100 * writer + number for number in range(each)]


def test_a_role_is_relayed_by_one_sweeper_at_a_time(log_rig: Rig) -> None:  # noqa: F811
    def hold(connection: sa.Connection) -> bool:
        return log.hold_relay(connection, ROLE)

    assert log_rig.run(hold), "the first one ever"
    held, other = log_rig.overlap(hold, hold)
    # SQLite lets the second one begin only when the first has ended.
    assert (held, other) == (True, log_rig.dialect == "sqlite")
    held, elsewhere = log_rig.overlap(hold, lambda connection: log.hold_relay(connection, "training"))
    assert (held, elsewhere) == (True, True)


def test_old_events_are_pruned_once_everybody_has_read_them(log_rig: Rig) -> None:  # noqa: F811
    append(log_rig, *(make(number) for number in range(1, 6)))
    positions = [event.position for event in read(log_rig)]
    events, cursors = log.events, api_tables.event_cursors
    old = clock.now_ms() - 10_000
    log_rig.run(
        lambda connection: connection.execute(
            sa.update(events).where(events.c.position <= positions[3]).values(logged_at=old)
        )
    )
    assert log_rig.run(log.prune, retention_seconds=5, limit=10) == 0, "the exchange has read nothing yet"
    log_rig.run(lambda connection: connection.execute(sa.update(cursors).values(position=positions[2])))
    assert log_rig.run(log.prune, retention_seconds=5, limit=2) == 2
    assert log_rig.run(log.prune, retention_seconds=5, limit=10) == 1
    assert [event.position for event in read(log_rig)] == positions[3:]
    assert log_rig.run(log.pruned_position) == positions[2]
    log_rig.run(lambda connection: connection.execute(sa.update(cursors).values(position=positions[4])))
    assert log_rig.run(log.prune, retention_seconds=5, limit=10) == 1
    assert [event.position for event in read(log_rig)] == positions[4:], "what is young stays"
