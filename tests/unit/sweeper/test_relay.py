"""The relay: what a role has committed is in the log once, in its order, whatever dies in between."""

from typing import Any, cast

import pytest
import sqlalchemy as sa

from shared import database, roles
from shared.events import log, types
from shared.jobs import ledger, outbox, tables
from shared.jobs.states import State
from sweeper import relay
from sweeper.relay import Relay
from tests.unit.rig import ROLE, TENANT, Rig, empty
from tests.unit.shared.events.log_tables import begin_log, log_rig  # noqa: F401 - a fixture.


def make_relay(rig: Rig) -> Relay:
    return Relay(ROLE, cast(database.Databases, {ROLE: rig.engines, roles.API: rig.engines}))


def read(rig: Rig) -> list[log.Logged]:
    found: list[log.Logged] = rig.run(log.read_after, 0, limit=100)
    return found


def put(rig: Rig, *numbers: int) -> None:
    rig.run(outbox.put, [outbox.Event("thing.made", str(number), TENANT, {"n": number}) for number in numbers])


def test_events_and_ends_are_logged_once_and_leave_the_outbox(log_rig: Rig) -> None:  # noqa: F811
    put(log_rig, 1, 2)
    job_id = log_rig.put_running(correlation_id="story")
    log_rig.run(ledger.finish, job_id, attempt=1, state=State.FAILED)
    make_relay(log_rig).do()
    make_relay(log_rig).do()
    logged = read(log_rig)
    assert [event.subject for event in logged] == ["1", "2", job_id]
    assert (logged[2].id, logged[2].type, logged[2].correlation_id) == (f"{job_id}.ended", "job.failed", "story")
    types.TYPES["job.failed"].data.model_validate(logged[2].data)
    assert log_rig.run(outbox.read, limit=10) == []
    assert log_rig.row(job_id).announce_after is None


def test_a_relay_that_died_before_it_dropped_logs_nothing_twice(
    log_rig: Rig,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(log_rig, 1, 2)

    def die(*_: Any) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "drop", die)
        with pytest.raises(ConnectionError):
            make_relay(log_rig).do()
    put(log_rig, 3)
    make_relay(log_rig).do()
    assert [event.subject for event in read(log_rig)] == ["1", "2", "3"]


def test_a_relay_that_died_before_its_commit_loses_nothing(
    log_rig: Rig,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(log_rig, 1)

    def die(*_: Any, **__: Any) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(log, "append", die)
        with pytest.raises(ConnectionError):
            make_relay(log_rig).do()
    assert len(log_rig.run(outbox.read, limit=10)) == 1
    make_relay(log_rig).do()
    assert [event.subject for event in read(log_rig)] == ["1"]


def test_more_than_a_batch_is_relayed_in_one_go_and_in_order(
    log_rig: Rig,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay, "_MAX_EVENTS", 4)
    put(log_rig, *range(10))
    make_relay(log_rig).do()
    assert [event.subject for event in read(log_rig)] == [str(number) for number in range(10)]


def test_a_relay_leaves_a_role_to_another_sweeper_that_has_it(postgresql_engines: database.Engines) -> None:
    # SQLite lets one transaction write at a time anyway.
    empty(postgresql_engines)
    rig = begin_log(Rig(postgresql_engines))
    rig.run(log.hold_relay, ROLE)
    put(rig, 1)
    with rig.engines.transactions.begin() as connection:
        assert log.hold_relay(connection, ROLE)
        make_relay(rig).do()
        assert connection.execute(sa.select(sa.func.count()).select_from(tables.outbox)).scalar_one() == 1
    make_relay(rig).do()
    assert [event.subject for event in read(rig)] == ["1"]
