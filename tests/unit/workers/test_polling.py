"""What an idle pool process does by itself: nothing while its parent listens, what waits while the broker is away."""

import pathlib
import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from shared import contract, database, ping, settings
from shared.jobs.states import State
from tests.unit.rig import FUTURE, ROLE, Rig
from workers import bodies
from workers.guard import SLOTS, Link, Unguarded
from workers.job import Finish, Job
from workers.polling import Poller

PING = ping.kind_for(ROLE)


def pong(job: Job, _command: contract.Command) -> Finish:
    return ping.Pong(attempt=job.attempt)


@pytest.fixture(autouse=True)
def process(rig: Rig, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process's databases, home and bodies be the test's."""
    monkeypatch.setenv("MILLRACE_HOME", str(tmp_path))
    monkeypatch.setattr(database, "of_process", lambda: {ROLE: rig.engines})
    monkeypatch.setattr(bodies, "of_role", lambda _role: {PING.name: (PING, pong)})
    settings.load.cache_clear()
    yield
    settings.load.cache_clear()


@pytest.fixture
def link() -> Iterator[Link]:
    """Yield the link to a parent that has not listened to the broker for a minute."""
    made = Link([ROLE])
    made.note_beat(SLOTS, time.monotonic() - 60)
    yield made
    for end in made._sockets[ROLE]:
        end.close()


def poller(link: Link, *, concurrency: int = 1) -> Poller:
    guard = Unguarded(turn_seconds=60)
    return Poller([ROLE], link=link, process_guard=guard, hostname="here", concurrency=concurrency)


def put(rig: Rig, **changes: object) -> str:
    return str(rig.put(**{"kind": PING.name, "params": {}, **changes}))


def test_all_that_waits_is_done_while_the_broker_is_away(rig: Rig, link: Link) -> None:
    waiting = [put(rig) for _ in range(3)]
    later = put(rig)
    rig.change(later, run_after=FUTURE)
    poller(link).poll()
    assert [rig.row(job_id).state for job_id in waiting] == [State.SUCCEEDED] * 3
    assert rig.row(later).state == State.QUEUED


def test_nothing_is_looked_for_while_the_parent_listens(rig: Rig, link: Link) -> None:
    link.note_listening()
    waiting = put(rig)
    poller(link).poll()
    assert rig.row(waiting).state == State.QUEUED


def test_a_process_does_not_look_again_at_once(rig: Rig, link: Link) -> None:
    idle = poller(link)
    idle.poll()
    waiting = put(rig)
    idle.poll()
    assert rig.row(waiting).state == State.QUEUED
    time.sleep(1.6)
    idle.poll()
    assert rig.row(waiting).state == State.SUCCEEDED


def test_a_database_that_is_away_is_asked_seldom(rig: Rig, link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Away:
        @property
        def relaxed(self) -> sa.Engine:
            asked.append(time.monotonic())
            raise sa.exc.OperationalError("", {}, ConnectionError())

    monkeypatch.setattr(database, "of_process", lambda: {ROLE: Away()})
    idle = poller(link)
    until = time.monotonic() + 2
    while time.monotonic() < until:
        idle.poll()
        time.sleep(0.05)
    assert len(asked) == 1
