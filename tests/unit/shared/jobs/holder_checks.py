"""What holds of every call that only the attempt which holds a job may make."""

from collections.abc import Callable
from typing import Any

from shared.jobs.states import State
from tests.unit.rig import Rig

Hold = Callable[[Rig, str, int], Any]
"""Makes the call for a job as one of its attempts; gives whether it was let through."""


def touches_one_job(hold: Hold, rig: Rig) -> str:
    """See that a call about one job leaves another alone; gives the one that it was about."""
    first, second = rig.put_running(), rig.put_running()
    before = rig.row(second)
    assert hold(rig, first, 1)
    assert rig.row(second) == before
    return first


def refuses_another_attempt(hold: Hold, rig: Rig) -> None:
    """See that an attempt which lost its job can do nothing to it."""
    job_id = rig.put_running()
    rig.change(job_id, attempt=2)
    before = rig.row(job_id)
    assert not hold(rig, job_id, 1)
    assert rig.row(job_id) == before


def refuses_an_ended_job(hold: Hold, rig: Rig) -> None:
    """See that a job which has ended stays as it is."""
    job_id = rig.put_running()
    rig.change(job_id, state=State.CANCELLED)
    before = rig.row(job_id)
    assert not hold(rig, job_id, 1)
    assert rig.row(job_id) == before
