"""Publishing from the event log: everything once and in order while all goes well, and again rather than never."""

from typing import Any, cast

import pytest
import sqlalchemy as sa

from shared.catalog import api_tables
from shared.events import log
from sweeper import publish_events
from sweeper.publish_events import PublishEvents
from sweeper.publisher import Connector
from tests.unit.rig import PAST, Rig
from tests.unit.shared.events.log_tables import log_rig  # noqa: F401 - a fixture.
from tests.unit.shared.events.test_log import append, make


class Broker:
    """A broker, and the connection to it: it confirms what it is sent only while it is well."""

    def __init__(self) -> None:
        """Start well."""
        self.is_well = True
        self.subjects: list[str] = []
        self.publisher: Broker = self

    def open(self) -> "Broker":
        return self.publisher

    def publish(self, event: dict[str, Any]) -> None:
        self.subjects.append(event["subject"])

    def is_clear(self) -> bool:
        return self.is_well


def make_chore(rig: Rig, broker: Broker) -> PublishEvents:
    return PublishEvents(rig.engines, connector=cast(Connector, broker))


def position(rig: Rig) -> int:
    cursors = api_tables.event_cursors
    found: int = rig.run(lambda connection: connection.execute(sa.select(cursors.c.position)).scalar_one())
    return found


def test_what_is_logged_is_published_once_and_in_order(log_rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(publish_events, "_MAX_EVENTS", 3)
    broker = Broker()
    chore = make_chore(log_rig, broker)
    append(log_rig, *(make(number) for number in range(8)))
    chore.do()
    append(log_rig, make(8))
    chore.do()
    assert broker.subjects == [f"churn@{number}" for number in range(9)]
    assert position(log_rig) == log_rig.run(log.last_position)


def test_nothing_is_published_again_while_the_broker_has_not_confirmed(log_rig: Rig) -> None:  # noqa: F811
    broker = Broker()
    broker.is_well = False
    chore = make_chore(log_rig, broker)
    append(log_rig, make(1))
    chore.do()
    chore.do()
    assert (broker.subjects, position(log_rig)) == (["churn@1"], 0)
    broker.is_well = True
    chore.do()
    assert (broker.subjects, position(log_rig)) == (["churn@1"], 1)


def test_what_a_lost_connection_left_unconfirmed_is_published_anew(log_rig: Rig) -> None:  # noqa: F811
    broker, fresh = Broker(), Broker()
    broker.is_well = False
    chore = make_chore(log_rig, broker)
    append(log_rig, make(1))
    chore.do()
    broker.publisher = fresh
    chore.do()
    assert (fresh.subjects, position(log_rig)) == (["churn@1"], 1)


def test_one_sweeper_publishes_and_another_goes_on_when_it_is_gone(log_rig: Rig) -> None:  # noqa: F811
    first, second = Broker(), Broker()
    chore, other = make_chore(log_rig, first), make_chore(log_rig, second)
    append(log_rig, make(1))
    chore.do()
    other.do()
    assert (first.subjects, second.subjects) == (["churn@1"], [])
    log_rig.run(lambda connection: connection.execute(sa.update(api_tables.event_cursors).values(leased_until=PAST)))
    other._renew_at = 0
    append(log_rig, make(2))
    other.do()
    assert second.subjects == ["churn@2"]
    append(log_rig, make(3))
    chore.do()
    assert position(log_rig) == 2, "the first one has lost the cursor, and moves it no more"
    other.do()
    assert second.subjects == ["churn@2", "churn@3"]
