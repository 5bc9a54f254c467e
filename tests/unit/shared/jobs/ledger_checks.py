"""What the ledger's guards are for: each check fails when the guard that it names is taken out."""

import functools
from typing import Any

import sqlalchemy as sa
import sqlalchemy.exc

from shared.jobs.states import State
from tests.unit.rig import FUTURE, KIND, PAST, TENANT, Rig, new_job
from tests.unit.shared.jobs import holder_checks
from tests.unit.shared.jobs.guard_table import Check, Checks

_ERROR = ("ConnectionError", "The source did not answer.")
OWNER = "ingestion.7@host/here/7.1/2/8"
"""A process in the place `here`, as `shared.jobs.owners` writes it."""
_HOLDERS: dict[str, holder_checks.Hold] = {
    "beat": lambda rig, job_id, attempt: rig.run(rig.ledger.beat, job_id, attempt=attempt, lease_seconds=600),
    "peek": lambda rig, job_id, attempt: rig.run(rig.ledger.peek, job_id, attempt=attempt),
    "report": lambda rig, job_id, attempt: rig.run(
        rig.ledger.report, job_id, attempt=attempt, fraction=0.5, message="half"
    ),
    "finish": lambda rig, job_id, attempt: rig.run(rig.ledger.finish, job_id, attempt=attempt, state=State.FAILED),
    "try_again": lambda rig, job_id, attempt: rig.run(
        rig.ledger.try_again, job_id, attempt=attempt, wait_seconds=0, error=_ERROR
    ),
    "postpone": lambda rig, job_id, attempt: rig.run(
        rig.ledger.postpone, job_id, attempt=attempt, wait_seconds=0, patience_seconds=60, error=_ERROR
    ),
    "hand_back": lambda rig, job_id, attempt: rig.run(rig.ledger.hand_back, job_id, attempt=attempt),
    "lose": lambda rig, job_id, attempt: rig.run(rig.ledger.lose, job_id, attempt=attempt),
}


def _guard(call: str, column: str) -> str:
    """Name a holder's guard as it stands in the source; `finish` is built once, with parameters."""
    if column == "state":
        return f"{'_finish' if call == 'finish' else call}: tables.still(State.RUNNING)"
    if call == "finish":
        values = {"id": "sa.bindparam('job_id')", "attempt": "sa.bindparam('held_attempt')"}
        return f"_finish: jobs.c.{column} == {values[column]}"
    values = {"id": "job_id", "attempt": "attempt"}
    return f"{call}: jobs.c.{column} == {values[column]}"


def claims_one_job(rig: Rig) -> None:
    """See that a claim leaves another queued job alone."""
    first, second = rig.put(), rig.put()
    assert rig.claim(first)
    assert rig.state(second) == State.QUEUED


def claims_no_job_with(rig: Rig, **values: Any) -> None:
    """See that a job of which the row says something is not claimed."""
    job_id = rig.put()
    rig.change(job_id, **values)
    assert rig.claim(job_id) is None


def claims_a_job_with(rig: Rig, **changes: Any) -> None:
    """See that a job of some sort is claimed."""
    assert rig.claim(rig.put(**changes))


def claims_next_none_with(rig: Rig, **values: Any) -> None:
    """See that a job of which the row says something is passed over, and the one behind it taken."""
    skipped, taken = rig.put(), rig.put()
    rig.change(skipped, **values)
    claim = rig.claim_next()
    assert claim is not None
    assert claim.job_id == taken
    assert rig.claim_next() is None


def claims_next_no_job_with(rig: Rig, **values: Any) -> None:
    """See that the only job, of which the row says something, is not taken."""
    rig.change(rig.put(), **values)
    assert rig.claim_next() is None


def claims_next_with(rig: Rig, **changes: Any) -> None:
    """See that a job of some sort is taken when it comes first."""
    job_id = rig.put(**changes)
    claim = rig.claim_next()
    assert claim is not None
    assert claim.job_id == job_id


def claims_next_of_its_kinds(rig: Rig) -> None:
    """See that a worker takes nothing that it can't do."""
    rig.put()
    assert rig.claim_next("ingestion.unheard-of") is None


def claims_next_by_priority_and_age(rig: Rig) -> None:
    """See that greater priorities come first, and of the same the older, one at a time."""
    plain, urgent, older_urgent = rig.put(), rig.put(priority=9), rig.put(priority=9)
    rig.change(plain, version=2)
    taken = [rig.claim_next() for _ in range(3)]
    assert [claim and claim.job_id for claim in taken] == [urgent, older_urgent, plain]


def claims_next_by_any_plan(rig: Rig) -> None:
    """See that the order is asked for, and no gift of the index that PostgreSQL happens to read."""
    rig.put()
    urgent = rig.put(priority=9)
    with rig.engines.transactions.begin() as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = on")
        connection.exec_driver_sql("SET LOCAL enable_indexscan = off")
        connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        claim = rig.ledger.claim_next(connection, [KIND], owner="a", lease_seconds=60, max_run_seconds=60)
    assert claim.job_id == urgent


def two_workers_take_two_jobs(rig: Rig) -> None:
    """See that a second worker neither waits for the first nor takes what it takes."""
    jobs = {rig.put(), rig.put()}
    take = functools.partial(rig.ledger.claim_next, kinds=[KIND], owner="a", lease_seconds=60, max_run_seconds=60)
    first, second = rig.overlap(take, take)
    assert {first.job_id, second and second.job_id} == jobs


def a_worker_that_waited_takes_nothing_twice(rig: Rig) -> None:
    """See that a worker which found a job that another was taking does not take it too."""
    rig.put()
    take = functools.partial(rig.ledger.claim_next, kinds=[KIND], owner="a", lease_seconds=60, max_run_seconds=60)
    first, second = rig.overlap(take, take)
    assert (first.attempt, second) == (1, None)


def stops_by(rig: Rig, *, deadline_seconds: int | None, stop_after_seconds: int) -> None:
    """See when an attempt of a role that may run 100 s is stopped."""
    job_id = rig.put(deadline_seconds=deadline_seconds)
    rig.claim(job_id, max_run_seconds=100)
    row = rig.row(job_id)
    assert row.stop_at is not None
    assert abs(row.stop_at - row.created_at - stop_after_seconds * 1000) < 2000


def tries_no_job_again_with(rig: Rig, *, call: str = "try_again", **values: Any) -> None:
    """See that a job of which the row says something is not tried again."""
    job_id = rig.put_running()
    rig.change(job_id, **values)
    assert not _HOLDERS[call](rig, job_id, 1)


def moves_a_lost_job(rig: Rig, *, to: State, error: str | None = None, **values: Any) -> None:
    """See where a job goes whose worker was lost."""
    job_id = rig.put_running()
    rig.change(job_id, lease_until=PAST, **values)
    assert rig.sweep() == {job_id: to}
    row = rig.row(job_id)
    assert (row.error_type, row.error_message is None) == (error, error is None)
    assert (row.finished_at is not None) == to.is_terminal()


def sweeps_no_job_with(sweep: str, rig: Rig, **values: Any) -> None:
    """See that a sweep leaves a job alone of which the row says something."""
    job_id = rig.put_running()
    rig.change(job_id, **values)
    before = rig.row(job_id)
    assert rig.run(getattr(rig.ledger, sweep)) == []
    assert rig.row(job_id) == before


def lists_no_lease_with(rig: Rig, **values: Any) -> None:
    """See that a job of which the row says something is not listed with the leases of a place."""
    job_id = rig.put()
    assert rig.claim(job_id, owner=OWNER)
    rig.change(job_id, **values)
    assert rig.run(rig.ledger.list_leases, place="here") == []


def forgets(rig: Rig, *, old: int, new: int, keyless: int, limit: int, forgotten: int) -> None:
    """See how many keys are forgotten of jobs that are old, new, or have no key."""
    for number in range(old):
        rig.change(rig.put(idempotency_key=f"old{number}"), created_at=PAST)
    for number in range(new):
        rig.put(idempotency_key=f"new{number}")
    for _ in range(keyless):
        rig.change(rig.put(), created_at=PAST)
    assert rig.run(rig.ledger.free_idempotency_keys, older_than_seconds=60, limit=limit) == forgotten


def rings_no_job_with(rig: Rig, **values: Any) -> None:
    """See that no doorbell is rung for a job of which the row says something."""
    job_id = rig.put()
    rig.change(job_id, **values)
    assert rig.ring() == []


def rings_though_another_is_running(rig: Rig) -> None:
    """See that a running job takes no queued job's place in a batch."""
    running, queued = rig.put_running(), rig.put()
    rig.change(running, ring_after=PAST)
    rig.change(queued, ring_after=PAST + 1)
    assert rig.ring(limit=1) == [queued]


def rings_the_longest_due_first(rig: Rig) -> None:
    """See that a batch takes the doorbells that are due for longest, and no more than it may."""
    later, earlier = rig.put(), rig.put()
    rig.change(later, ring_after=PAST + 1)
    rig.change(earlier, ring_after=PAST)
    assert rig.ring(limit=1) == [earlier]
    assert rig.ring(limit=1) == [later]


def rings_the_longest_due_first_by_any_plan(rig: Rig) -> None:
    """See that the order is asked for, and no gift of the index that PostgreSQL happens to read."""
    later, earlier = rig.put(), rig.put()
    rig.change(later, ring_after=PAST + 1)
    rig.change(earlier, ring_after=PAST)
    with rig.engines.transactions.begin() as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = on")
        connection.exec_driver_sql("SET LOCAL enable_indexscan = off")
        connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        bells = rig.ledger.take_due_doorbells(connection, again_seconds=30, limit=1)
    assert [bell.job_id for bell in bells] == [earlier]


def two_ringers_share_the_work(rig: Rig) -> None:
    """See that a second ringer neither waits for the first nor rings what it rings."""
    jobs = [rig.put() for _ in range(5)]
    for job_id in jobs:
        rig.change(job_id, ring_after=PAST)
    ring = functools.partial(rig.ledger.take_due_doorbells, again_seconds=30, limit=3)
    first, second = rig.overlap(ring, ring)
    assert sorted(bell.job_id for bell in first + second) == sorted(jobs)


def a_ringer_that_waited_rings_nothing_twice(rig: Rig) -> None:
    """See that a ringer which found doorbells that another was taking rings none of them."""
    rig.change(rig.put(), ring_after=PAST)
    ring = functools.partial(rig.ledger.take_due_doorbells, again_seconds=30, limit=3)
    first, second = rig.overlap(ring, ring)
    assert (len(first), len(second)) == (1, 0)


def a_ringer_that_waited_rings_for_no_claimed_job(rig: Rig) -> None:
    """See that a ringer which found a job that a worker was claiming does not ring for it."""
    job_id = rig.put()
    rig.change(job_id, ring_after=PAST)
    claim = functools.partial(rig.ledger.claim, job_id=job_id, owner="a", lease_seconds=60, max_run_seconds=60)
    ring = functools.partial(rig.ledger.take_due_doorbells, again_seconds=30, limit=3)
    assert rig.overlap(claim, ring)[1] == []


def cancels_one_job(rig: Rig) -> None:
    """See that a cancellation leaves other jobs alone."""
    first, second = rig.put(), rig.put()
    rig.run(rig.ledger.cancel, first, tenant_id=TENANT)
    assert rig.state(second) == State.QUEUED


def cancels_no_job_of_another_tenant(rig: Rig) -> None:
    """See that a tenant can't cancel what is not its own."""
    job_id = rig.put()
    assert rig.run(rig.ledger.cancel, job_id, tenant_id="other") is None
    assert rig.state(job_id) == State.QUEUED


def cancels_no_ended_job(rig: Rig) -> None:
    """See that what has ended can't be cancelled."""
    job_id = rig.put_running()
    rig.change(job_id, state=State.SUCCEEDED)
    before = rig.row(job_id)
    assert rig.run(rig.ledger.cancel, job_id, tenant_id=TENANT) is None
    assert rig.row(job_id) == before


def cancels_only_the_named(rig: Rig) -> None:
    """See that a query names whom to cancel."""
    named, other = rig.put(), rig.put()
    moved = rig.run(rig.ledger.cancel_all, sa.select(sa.literal(named)))
    assert [job.job_id for job in moved] == [named]
    assert rig.state(other) == State.QUEUED


def cancels_nothing_ended_by_name(rig: Rig) -> None:
    """See that what has ended stays as it is, though a query names it."""
    job_id = rig.put_running()
    rig.change(job_id, state=State.SUCCEEDED)
    assert rig.run(rig.ledger.cancel_all, sa.select(sa.literal(job_id))) == []


def keeps_what_was_reported(rig: Rig, *, column: str, when: str) -> None:
    """See that a report stays over a rest, and not over another beginning."""
    turns = 1 if when == "never" else 0
    job_id = rig.put()
    rig.change(job_id, turns=turns, progress_fraction=0.5, progress_message="half")
    assert rig.claim(job_id)
    assert (getattr(rig.row(job_id), column) is not None) == bool(turns)


def ends_a_queued_job_at_its_cancellation(rig: Rig) -> None:
    """See all that a cancellation writes of a queued job."""
    job_id = rig.put()
    rig.run(rig.ledger.cancel, job_id, tenant_id=TENANT)
    row = rig.row(job_id)
    assert (row.state, row.error_type) == (State.CANCELLED, "JobCancelledError")
    assert None not in (row.finished_at, row.announce_after, row.error_message)


def lets_a_running_job_go_on_after_its_cancellation(rig: Rig) -> None:
    """See that a cancellation only flags a running job."""
    job_id = rig.put_running()
    rig.run(rig.ledger.cancel, job_id, tenant_id=TENANT)
    row = rig.row(job_id)
    assert (row.state, row.cancel_requested) == (State.RUNNING, 1)
    assert (row.finished_at, row.announce_after, row.error_type, row.error_message) == (None, None, None, None)


def ends_with_progress(rig: Rig, *, state: State, fraction: float, message: str | None) -> None:
    """See what is said of how far a job is that was half done before its end."""
    job_id = rig.put_running()
    rig.run(rig.ledger.report, job_id, attempt=1, fraction=0.5, message="half")
    rig.run(rig.ledger.finish, job_id, attempt=1, state=state)
    row = rig.row(job_id)
    assert (row.progress_fraction, row.progress_message) == (fraction, message)


def takes_a_key_once(rig: Rig) -> None:
    """See that a key's second use is left out, and is no error."""
    rig.put(idempotency_key="k")
    try:
        assert rig.run(rig.ledger.accept, [new_job(idempotency_key="k")], ring_again_seconds=30) == {}
    except sqlalchemy.exc.IntegrityError as error:
        raise AssertionError("the second use of a key is an error") from error


_CANCEL_VALUES = ("State.CANCELLED", "now", "now #2", "CANCELLED[0]", "CANCELLED[1]")
_LOST = functools.partial(moves_a_lost_job, to=State.QUEUED)
_OUTER_STATE, _OUTER_DUE = (
    "_take_due_doorbells: tables.still(State.QUEUED)",
    "_take_due_doorbells: jobs.c.ring_after <= now",
)
_INNER_STATE = "_take_due_doorbells: jobs.c.state == _QUEUED"
_INNER_DUE = "_take_due_doorbells: jobs.c.ring_after <= clock.now_ms_once()"
_LOCK = "_take_due_doorbells: .with_for_update()"
_NEXT_STATE, _NEXT_STATE_STILL = "_claim_next: jobs.c.state == _QUEUED", "_claim_next: tables.still(State.QUEUED)"
_NEXT_LOCK = "_claim_next: .with_for_update()"

CHECKS: Checks = {
    "_accept: .on_conflict_do_nothing()": [Check(takes_a_key_once)],
    "_claim: jobs.c.id == sa.bindparam('job_id')": [Check(claims_one_job)],
    _NEXT_STATE: [Check(claims_next_no_job_with, state=State.FAILED, beside=_NEXT_STATE_STILL)],
    "_claim_next: jobs.c.run_after <= now": [Check(claims_next_none_with, run_after=FUTURE)],
    "_claim_next: jobs.c.cancel_requested == 0": [Check(claims_next_none_with, cancel_requested=1)],
    "_claim_next: never jobs.c.deadline_at.is_(None)": [Check(claims_next_with)],
    "_claim_next: never jobs.c.deadline_at > now": [Check(claims_next_with, deadline_seconds=60)],
    "_claim_next: sa.or_(jobs.c.deadline_at.is_(None), jobs.c.deadline_at > now)": [
        Check(claims_next_none_with, deadline_at=PAST)
    ],
    "_claim_next: jobs.c.kind.in_(sa.bindparam('kinds', expanding=True))": [Check(claims_next_of_its_kinds)],
    "_claim_next: .order_by()": [Check(claims_next_by_any_plan, on="postgresql")],
    "_claim_next: .limit()": [Check(claims_next_by_priority_and_age)],
    _NEXT_LOCK: [Check(two_workers_take_two_jobs, on="postgresql")],
    "_claim_next: jobs.c.id.in_(sa.select(next_job.c.id))": [Check(claims_next_by_priority_and_age)],
    _NEXT_STATE_STILL: [
        Check(claims_next_no_job_with, state=State.FAILED, beside=_NEXT_STATE),
        Check(a_worker_that_waited_takes_nothing_twice, on="postgresql", beside=_NEXT_LOCK),
    ],
    "_claim_values: never jobs.c.deadline_at < latest -> jobs.c.deadline_at": [
        Check(stops_by, deadline_seconds=50, stop_after_seconds=50)
    ],
    "_claim_values: always jobs.c.deadline_at < latest -> jobs.c.deadline_at": [
        Check(stops_by, deadline_seconds=500, stop_after_seconds=100)
    ],
    "_claim: tables.still(State.QUEUED)": [Check(claims_no_job_with, state=State.RUNNING)],
    "_claim: jobs.c.run_after <= now": [Check(claims_no_job_with, run_after=FUTURE)],
    "_claim: jobs.c.cancel_requested == 0": [Check(claims_no_job_with, cancel_requested=1)],
    "_claim: never jobs.c.deadline_at.is_(None)": [Check(claims_a_job_with)],
    "_claim: never jobs.c.deadline_at > now": [Check(claims_a_job_with, deadline_seconds=60)],
    "_claim: sa.or_(jobs.c.deadline_at.is_(None), jobs.c.deadline_at > now)": [
        Check(claims_no_job_with, deadline_at=PAST)
    ],
    **{
        _guard(call, "id"): [Check(functools.partial(holder_checks.touches_one_job, hold))]
        for call, hold in _HOLDERS.items()
    },
    **{
        _guard(call, "attempt"): [Check(functools.partial(holder_checks.refuses_another_attempt, hold))]
        for call, hold in _HOLDERS.items()
    },
    **{
        _guard(call, "state"): [Check(functools.partial(holder_checks.refuses_an_ended_job, hold))]
        for call, hold in _HOLDERS.items()
    },
    **{
        f"_finish: never end_state == State.SUCCEEDED -> {value}": [
            Check(ends_with_progress, state=State.SUCCEEDED, fraction=1.0, message=None)
        ]
        for value in ("1.0", "None")
    },
    **{
        f"_finish: always end_state == State.SUCCEEDED -> {value}": [
            Check(ends_with_progress, state=State.FAILED, fraction=0.5, message="half")
        ]
        for value in ("1.0", "None")
    },
    "report: answer updated.rowcount == 1": [
        Check(functools.partial(holder_checks.refuses_another_attempt, _HOLDERS["report"]))
    ],
    **{
        f"{call}: answer updated.rowcount == 1": [
            Check(functools.partial(holder_checks.refuses_another_attempt, _HOLDERS[call]))
        ]
        for call in ("finish", "try_again", "postpone")
    },
    "try_again: jobs.c.tries_left > 1": [Check(tries_no_job_again_with, tries_left=1)],
    "try_again: jobs.c.cancel_requested == 0": [Check(tries_no_job_again_with, cancel_requested=1)],
    "postpone: jobs.c.started_at > now - int(patience_seconds * 1000)": [
        Check(tries_no_job_again_with, call="postpone", started_at=PAST)
    ],
    "postpone: jobs.c.cancel_requested == 0": [Check(tries_no_job_again_with, call="postpone", cancel_requested=1)],
    "_release_values: never jobs.c.cancel_requested == 1 -> cancelled": [
        Check(moves_a_lost_job, to=State.CANCELLED, error="JobCancelledError", cancel_requested=1)
    ],
    "_release_values: always jobs.c.cancel_requested == 1 -> cancelled": [Check(_LOST)],
    "_release_values: never expired -> failed": [
        Check(moves_a_lost_job, to=State.FAILED, error="DeadlineExceededError", stop_at=PAST)
    ],
    "_release_values: always expired -> failed": [Check(_LOST)],
    "_release_values: never is_dead -> dead": [Check(moves_a_lost_job, to=State.DEAD, error="WorkerLostError", lost=2)],
    "_release_values: always is_dead -> dead": [Check(_LOST, lost=1)],
    "list_leases: jobs.c.state == _RUNNING": [Check(lists_no_lease_with, state=State.FAILED)],
    "list_leases: jobs.c.lease_owner.contains(f'/{place}/', autoescape=True)": [
        Check(lists_no_lease_with, lease_owner=OWNER.replace("here", "there")),
        Check(lists_no_lease_with, lease_owner=OWNER.replace("here", "nowhere")),
        Check(lists_no_lease_with, lease_owner="here"),
    ],
    "sweep: jobs.c.state == _RUNNING": [
        Check(functools.partial(sweeps_no_job_with, "sweep"), state=State.FAILED, lease_until=PAST)
    ],
    "sweep: jobs.c.lease_until <= clock.now_ms_once()": [
        Check(functools.partial(sweeps_no_job_with, "sweep"), lease_until=FUTURE)
    ],
    "sweep_overdue: jobs.c.state == _QUEUED": [
        Check(functools.partial(sweeps_no_job_with, "sweep_overdue"), deadline_at=PAST)
    ],
    "sweep_overdue: jobs.c.deadline_at <= clock.now_ms_once()": [
        Check(functools.partial(sweeps_no_job_with, "sweep_overdue"), state=State.QUEUED, deadline_at=FUTURE)
    ],
    "free_idempotency_keys: jobs.c.idempotency_key.isnot(None)": [
        Check(forgets, old=0, new=0, keyless=1, limit=10, forgotten=0)
    ],
    "free_idempotency_keys: jobs.c.created_at <= clock.now_ms_once() - int(older_than_seconds * 1000)": [
        Check(forgets, old=0, new=1, keyless=0, limit=10, forgotten=0)
    ],
    "free_idempotency_keys: .limit()": [Check(forgets, old=2, new=0, keyless=0, limit=1, forgotten=1)],
    "free_idempotency_keys: jobs.c.id.in_(expired)": [Check(forgets, old=1, new=1, keyless=0, limit=10, forgotten=1)],
    _INNER_STATE: [Check(rings_though_another_is_running)],
    _INNER_DUE: [Check(rings_no_job_with, ring_after=FUTURE, beside=_OUTER_DUE)],
    "_take_due_doorbells: .order_by()": [Check(rings_the_longest_due_first_by_any_plan, on="postgresql")],
    "_take_due_doorbells: .limit()": [Check(rings_the_longest_due_first)],
    _LOCK: [Check(two_ringers_share_the_work, on="postgresql")],
    "_take_due_doorbells: jobs.c.id.in_(sa.select(due_jobs.c.id))": [Check(rings_the_longest_due_first)],
    _OUTER_STATE: [
        Check(rings_no_job_with, state=State.RUNNING, ring_after=PAST, beside=_INNER_STATE),
        Check(a_ringer_that_waited_rings_for_no_claimed_job, on="postgresql", beside=_LOCK),
    ],
    _OUTER_DUE: [
        Check(rings_no_job_with, ring_after=FUTURE, beside=_INNER_DUE),
        Check(a_ringer_that_waited_rings_nothing_twice, on="postgresql", beside=_LOCK),
    ],
    "cancel_all: jobs.c.id.in_(job_ids)": [Check(cancels_only_the_named)],
    "cancel_all: tables.still(State.QUEUED, State.RUNNING)": [Check(cancels_nothing_ended_by_name)],
    **{
        f"_claim_values: {when} jobs.c.turns > 0 -> jobs.c.{column}": [
            Check(keeps_what_was_reported, column=column, when=when)
        ]
        for when in ("never", "always")
        for column in ("progress_fraction", "progress_message")
    },
    "cancel: jobs.c.id == job_id": [Check(cancels_one_job)],
    "cancel: tables.owned_by(tenant_id)": [Check(cancels_no_job_of_another_tenant)],
    "cancel: tables.still(State.QUEUED, State.RUNNING)": [Check(cancels_no_ended_job)],
    **{
        f"_cancel_values: never is_queued -> {value}": [Check(ends_a_queued_job_at_its_cancellation)]
        for value in _CANCEL_VALUES
    },
    **{
        f"_cancel_values: always is_queued -> {value}": [Check(lets_a_running_job_go_on_after_its_cancellation)]
        for value in _CANCEL_VALUES
    },
}
