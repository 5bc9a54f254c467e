"""Cursors of the event log: one process moves each, and only forward."""

import sqlalchemy as sa

from shared.catalog import api_tables
from shared.events import cursors
from tests.unit.rig import PAST, Rig
from tests.unit.shared.events.log_tables import log_rig  # noqa: F401 - a fixture.


def lease(rig: Rig, owner: str) -> int | None:
    position: int | None = rig.run(cursors.lease, "exchange", owner=owner, seconds=60)
    return position


def test_a_cursor_is_one_process_s_until_its_lease_ends(log_rig: Rig) -> None:  # noqa: F811
    assert (lease(log_rig, "a"), lease(log_rig, "b"), lease(log_rig, "a")) == (0, None, 0)
    assert log_rig.run(cursors.move, "exchange", 7, owner="a")
    assert not log_rig.run(cursors.move, "exchange", 8, owner="b"), "it is not its own"
    log_rig.run(lambda connection: connection.execute(sa.update(api_tables.event_cursors).values(leased_until=PAST)))
    assert lease(log_rig, "b") == 7
    assert not log_rig.run(cursors.move, "exchange", 9, owner="a"), "it has lost it"
    assert lease(log_rig, "a") is None


def test_a_cursor_never_goes_back(log_rig: Rig) -> None:  # noqa: F811
    lease(log_rig, "a")
    assert log_rig.run(cursors.move, "exchange", 7, owner="a")
    assert not log_rig.run(cursors.move, "exchange", 6, owner="a")
    assert lease(log_rig, "a") == 7


def test_a_cursor_is_created_once_and_others_are_not_touched(log_rig: Rig) -> None:  # noqa: F811
    log_rig.run(cursors.create, "mine", position=5)
    log_rig.run(cursors.create, "mine", position=50)
    assert log_rig.run(cursors.lease, "mine", owner="a", seconds=60) == 5
    assert lease(log_rig, "b") == 0
    assert log_rig.run(cursors.lease, "nobody's", owner="a", seconds=60) is None
    log_rig.run(cursors.move, "mine", 9, owner="a")
    assert lease(log_rig, "b") == 0
