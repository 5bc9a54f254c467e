"""When the sweeper takes a lease for lost, and when it waits for its worker to renew it."""

import pytest

from shared import database, settings
from shared.jobs.states import State
from sweeper import sweep
from tests import disks
from tests.unit.rig import ROLE, Rig

CONFIG = settings.Settings()


class Clock:
    """A clock that stands still unless it is moved."""

    def __init__(self) -> None:
        """Begin like a machine that has just started."""
        self.now = 5.0

    def monotonic(self) -> float:
        """Read the clock."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Let the sweeper's clock be one that the test moves."""
    moved = Clock()
    monkeypatch.setattr(sweep, "time", moved)
    return moved


def sweeping(rig: Rig, clock: Clock) -> sweep.Sweep:
    """Return a sweeper that has long been at work."""
    chore = sweep.Sweep(ROLE, rig.engines, config=CONFIG)
    for _ in range(10):
        chore.do()
        clock.now += CONFIG.sweep_seconds
    return chore


def lose(rig: Rig) -> str:
    """Put a job whose lease is over."""
    job_id = rig.put_running()
    rig.lose(job_id)
    return job_id


def test_a_lease_that_ran_out_is_swept_at_once(rig: Rig, clock: Clock) -> None:
    chore = sweeping(rig, clock)
    job_id = lose(rig)
    chore.do()
    assert (rig.state(job_id), rig.row(job_id).lost) == (State.QUEUED, 1)


def test_one_sweep_that_failed_delays_nothing(rig: Rig, clock: Clock) -> None:
    chore = sweeping(rig, clock)
    job_id = lose(rig)
    with disks.read_only(rig.engines.transactions), pytest.raises(database.FAULTS):
        chore.do()
    clock.now += CONFIG.sweep_seconds
    chore.do()
    assert rig.row(job_id).lost == 1


def test_after_an_outage_live_workers_have_two_beats_to_renew_their_leases(rig: Rig, clock: Clock) -> None:
    chore = sweeping(rig, clock)
    dead, alive, queued = lose(rig), lose(rig), rig.put()
    rig.change(queued, deadline_at=1)
    with disks.read_only(rig.engines.transactions):
        for _ in range(int(CONFIG.lease_seconds / CONFIG.sweep_seconds) + 1):
            with pytest.raises(database.FAULTS):
                chore.do()
            clock.now += CONFIG.sweep_seconds
    chore.do()
    assert [rig.state(job_id) for job_id in (dead, alive, queued)] == [State.RUNNING, State.RUNNING, State.FAILED]
    clock.now += CONFIG.beat_seconds
    assert rig.run(rig.ledger.beat, alive, attempt=1, lease_seconds=CONFIG.lease_seconds)
    chore.do()
    assert rig.row(dead).lost == 0
    clock.now += CONFIG.beat_seconds
    chore.do()
    assert [(rig.state(job_id), rig.row(job_id).lost) for job_id in (dead, alive)] == [
        (State.QUEUED, 1),
        (State.RUNNING, 0),
    ]


def test_a_sweeper_that_starts_does_not_know_of_outages_and_waits_as_well(rig: Rig, clock: Clock) -> None:
    job_id = lose(rig)
    chore = sweep.Sweep(ROLE, rig.engines, config=CONFIG)
    chore.do()
    assert rig.row(job_id).lost == 0
    clock.now += 2 * CONFIG.beat_seconds
    chore.do()
    assert rig.row(job_id).lost == 1
