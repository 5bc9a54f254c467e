"""What the guards around parents and children are for: each check fails when the guard that it names is taken out."""

import functools
from typing import Any

from shared.jobs.states import State
from tests.unit.rig import FUTURE, TENANT, Rig, new_job
from tests.unit.shared.jobs import holder_checks
from tests.unit.shared.jobs.guard_table import Check, Checks

_FOUND = {"best": 0.9}


def _rest(rig: Rig, job_id: str, *, attempt: int = 1, wakes: int = 0) -> bool:
    return bool(rig.run(rig.offspring.rest, job_id, attempt=attempt, wakes=wakes, wait_seconds=600, interim=_FOUND))


def _family(rig: Rig, *, children: int = 1, **changes: Any) -> tuple[str, list[str]]:
    """Put a parent that rests, and its queued children."""
    parent = rig.put_running(**changes)
    made = [rig.put(parent_id=parent) for _ in range(children)]
    assert _rest(rig, parent)
    return parent, made


def sees_its_own_children(rig: Rig) -> None:
    """See that a job sees its children and nobody else's."""
    parent, made = _family(rig)
    _family(rig)
    assert [child.id for child in rig.run(rig.offspring.read_children, parent, tenant_id=TENANT)] == made


def sees_no_other_tenants_children(rig: Rig) -> None:
    """See that an id alone opens nothing."""
    parent, _ = _family(rig)
    assert rig.run(rig.offspring.read_children, parent, tenant_id="other") == []


def sees_children_by_age(rig: Rig) -> None:
    """See that the order is asked for, and no gift of the index that PostgreSQL happens to read."""
    parent = rig.put_running()
    older, newer = (new_job(parent_id=parent) for _ in range(2))
    rig.run(rig.ledger.accept, [newer], ring_again_seconds=30)
    rig.run(rig.ledger.accept, [older], ring_again_seconds=30)
    with rig.engines.transactions.begin() as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = on")
        for setting in ("indexscan", "bitmapscan", "indexonlyscan"):
            connection.exec_driver_sql(f"SET LOCAL enable_{setting} = off")
        found = rig.offspring.read_children(connection, parent, tenant_id=TENANT)
    assert [child.id for child in found] == [older.id, newer.id]


def knows_what_it_retries(rig: Rig) -> None:
    """See that the job asked for is looked at, and not another."""
    first, other = rig.put(), rig.put()
    again = rig.put(retry_of=first)
    rig.put(retry_of=other)
    assert rig.run(rig.offspring.find_retried_job, again, tenant_id=TENANT) == first
    assert rig.run(rig.offspring.find_retried_job, first, tenant_id=TENANT) is None


def knows_no_other_tenants_retries(rig: Rig) -> None:
    """See that an id alone opens nothing."""
    again = rig.put(retry_of=rig.put())
    assert rig.run(rig.offspring.find_retried_job, again, tenant_id="other") is None


_HOLDERS: dict[str, holder_checks.Hold] = {
    "write_interim": lambda rig, job_id, attempt: rig.run(
        rig.offspring.write_interim, job_id, attempt=attempt, interim=_FOUND
    ),
    "rest": lambda rig, job_id, attempt: _rest(rig, job_id, attempt=attempt),
}


def touches_one_job(call: str, rig: Rig) -> None:
    """See that a call about one job does what it should, and leaves another alone."""
    job_id = holder_checks.touches_one_job(_HOLDERS[call], rig)
    assert rig.row(job_id).interim == _FOUND


def lets_no_cancelled_job_rest(rig: Rig) -> None:
    """See that a job which is to be cancelled doesn't go back into the queue."""
    job_id = rig.put_running()
    rig.run(rig.ledger.cancel, job_id, tenant_id=TENANT)
    assert not _rest(rig, job_id)


def rests_until_its_time(rig: Rig) -> None:
    """See that a parent nobody woke is not ready."""
    parent, _ = _family(rig, children=0)
    assert rig.claim(parent) is None
    assert rig.row(parent).run_after == rig.row(parent).ring_after


def overlooks_no_child_that_ended_meanwhile(rig: Rig) -> None:
    """See that a parent which was woken during its turn doesn't rest."""
    parent = rig.put_running()
    child = rig.put_running(parent_id=parent)
    rig.run(rig.offspring.wake_parents, [child])
    assert _rest(rig, parent)
    assert rig.claim(parent)


def wakes_the_parent_of_the_ended(rig: Rig) -> None:
    """See that a child's end makes its parent ready, and nobody else."""
    parent, (child,) = _family(rig)
    other, _ = _family(rig)
    before = rig.row(other)
    rig.run(rig.offspring.wake_parents, [child])
    assert rig.row(parent).wakes == 1
    assert rig.row(parent).run_after == rig.row(parent).ring_after < before.run_after
    assert rig.claim(parent)
    assert rig.row(other) == before


def leaves_a_retry_its_wait(rig: Rig) -> None:
    """See that a parent which failed in a passing way, and waits to be tried again, goes on waiting."""
    parent, (child,) = _family(rig)
    rig.change(parent, error_type="ConnectionError", run_after=FUTURE, ring_after=FUTURE)
    rig.run(rig.offspring.wake_parents, [child])
    row = rig.row(parent)
    assert (row.run_after, row.ring_after, row.wakes) == (FUTURE, FUTURE, 1)


def leaves_an_ended_parent_alone(rig: Rig) -> None:
    """See that what has ended is not written any more."""
    parent, (child,) = _family(rig)
    rig.change(parent, state=State.CANCELLED)
    before = rig.row(parent)
    rig.run(rig.offspring.wake_parents, [child])
    assert rig.row(parent) == before


def cancels_its_children_only(rig: Rig) -> None:
    """See that a job's children are cancelled, and no others."""
    parent, (queued, running) = _family(rig, children=2)
    _, (other,) = _family(rig)
    assert rig.claim(running)
    rig.run(rig.offspring.cancel_children, parent)
    assert rig.state(queued) == State.CANCELLED
    assert (rig.state(running), rig.row(running).cancel_requested) == (State.RUNNING, 1)
    assert rig.state(other) == State.QUEUED


def cancels_the_children_of_ended_parents_only(rig: Rig) -> None:
    """See that a parent under way keeps its children, and one that ended doesn't."""
    _, (kept,) = _family(rig)
    ended, (orphan,) = _family(rig)
    rig.change(ended, state=State.FAILED)
    rig.run(rig.offspring.cancel_orphans)
    assert (rig.state(kept), rig.state(orphan)) == (State.QUEUED, State.CANCELLED)


def flags_an_orphan_once(rig: Rig) -> None:
    """See that a running orphan is told once, and not written at every look."""
    ended, (orphan,) = _family(rig)
    assert rig.claim(orphan)
    rig.change(ended, state=State.FAILED)
    assert len(rig.run(rig.offspring.cancel_orphans)) == 1
    assert rig.run(rig.offspring.cancel_orphans) == []


CHECKS: Checks = {
    "read_children: jobs.c.parent_id == parent_id": [Check(sees_its_own_children)],
    "read_children: jobs.c.tenant_id == tenant_id": [Check(sees_no_other_tenants_children)],
    "read_children: .order_by()": [Check(sees_children_by_age, on="postgresql")],
    "find_retried_job: jobs.c.id == job_id": [Check(knows_what_it_retries)],
    "find_retried_job: tables.owned_by(tenant_id)": [Check(knows_no_other_tenants_retries)],
    **{f"{call}: jobs.c.id == job_id": [Check(functools.partial(touches_one_job, call))] for call in _HOLDERS},
    **{
        f"{call}: jobs.c.attempt == attempt": [
            Check(functools.partial(holder_checks.refuses_another_attempt, _HOLDERS[call]))
        ]
        for call in _HOLDERS
    },
    **{
        f"{call}: tables.still(State.RUNNING)": [
            Check(functools.partial(holder_checks.refuses_an_ended_job, _HOLDERS[call]))
        ]
        for call in _HOLDERS
    },
    "write_interim: answer updated.rowcount == 1": [
        Check(functools.partial(holder_checks.refuses_another_attempt, _HOLDERS["write_interim"]))
    ],
    "rest: answer updated.rowcount == 1": [
        Check(functools.partial(holder_checks.refuses_another_attempt, _HOLDERS["rest"]))
    ],
    "rest: jobs.c.cancel_requested == 0": [Check(lets_no_cancelled_job_rest)],
    "rest: never jobs.c.wakes > wakes -> now": [Check(overlooks_no_child_that_ended_meanwhile)],
    "rest: always jobs.c.wakes > wakes -> now": [Check(rests_until_its_time)],
    "wake_parents: child.c.id.in_(ended_ids)": [Check(wakes_the_parent_of_the_ended)],
    "wake_parents: jobs.c.id.in_(parents)": [Check(wakes_the_parent_of_the_ended)],
    "wake_parents: tables.still(State.QUEUED, State.RUNNING)": [Check(leaves_an_ended_parent_alone)],
    "wake_parents: never is_resting -> now": [Check(wakes_the_parent_of_the_ended)],
    "wake_parents: always is_resting -> now": [Check(leaves_a_retry_its_wait)],
    "wake_parents: never is_resting -> now #2": [Check(wakes_the_parent_of_the_ended)],
    "wake_parents: always is_resting -> now #2": [Check(leaves_a_retry_its_wait)],
    "cancel_children: jobs.c.parent_id == parent_id": [Check(cancels_its_children_only)],
    "cancel_orphans: child.c.cancel_requested == 0": [Check(flags_an_orphan_once)],
    "cancel_orphans: parent.c.state.in_(sorted(TERMINAL))": [Check(cancels_the_children_of_ended_parents_only)],
}
