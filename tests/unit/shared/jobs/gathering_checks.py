"""What the guards of jobs that are done together are for: each check fails when its guard is taken out."""

import functools
from typing import Any

from shared import contract
from shared.jobs import ledger
from shared.jobs.states import State
from tests.unit.rig import FUTURE, PAST, Rig
from tests.unit.shared.jobs import holder_checks
from tests.unit.shared.jobs.guard_table import Check, Checks

GATHERING = contract.Gathering(alike="group", size="rows", max_jobs=10, max_size=100)
PINNED = {"group": "churn@7", "rows": 2}
_ERROR = ("BadDataError", "The rows don't fit.")


def put(rig: Rig, **changes: Any) -> str:
    """Accept a job that may be done together with others."""
    return rig.put(**{"pinned": PINNED, **changes})


def claim_first(rig: Rig) -> ledger.Claim:
    """Accept and claim the job with which others are to be done."""
    claim: ledger.Claim | None = rig.claim(put(rig))
    assert claim is not None
    return claim


def gather(rig: Rig, first: ledger.Claim, **changes: Any) -> list[str]:
    """Claim what may be done with a job; gives the ids in order."""
    fields = {name: getattr(GATHERING, name) for name in ("alike", "size", "max_jobs", "max_size", "max_ahead")}
    return [claim.job_id for claim in rig.gather(first, contract.Gathering(**{**fields, **changes}))]


def gathers_none(rig: Rig, *, row: dict[str, Any] | None = None, **changes: Any) -> None:
    """See that a job of some sort is left alone."""
    first = claim_first(rig)
    other = put(rig, **changes)
    rig.change(other, **(row or {"version": 1}))
    before = rig.row(other)
    assert gather(rig, first) == []
    assert rig.row(other) == before


def gathers(rig: Rig, **changes: Any) -> None:
    """See that a job of some sort is taken."""
    first = claim_first(rig)
    other = put(rig, **changes)
    assert gather(rig, first) == [other]
    row = rig.row(other)
    assert (row.state, row.attempt, row.lease_owner) == (State.RUNNING, 1, "a")


def gathers_up_to(rig: Rig, *, count: int, **limits: int) -> None:
    """See how many of three jobs are taken, in the order of the queue."""
    first = claim_first(rig)
    jobs = [put(rig) for _ in range(3)]
    assert gather(rig, first, **limits) == jobs[:count]
    assert [rig.state(job) for job in jobs[count:]] == [State.QUEUED] * (3 - count)


def gathers_only_alike(rig: Rig) -> None:
    """See that jobs of others stay in the queue when some are taken."""
    first = claim_first(rig)
    other, alike = rig.put(pinned={"group": "churn@8", "rows": 1}), put(rig)
    assert gather(rig, first) == [alike]
    assert rig.state(other) == State.QUEUED


def looks_at_the_first_in_the_queue(rig: Rig) -> None:
    """See that a job which is far behind in the queue is not looked for, by any plan."""
    first = claim_first(rig)
    behind = put(rig, priority=0)
    for _ in range(2):
        rig.put(priority=9)
    with rig.engines.transactions.begin() as connection:
        if rig.dialect == "postgresql":
            for plan in ("seqscan = on", "indexscan = off", "bitmapscan = off"):
                connection.exec_driver_sql(f"SET LOCAL enable_{plan}")
        near = contract.Gathering(alike="group", size="rows", max_jobs=10, max_size=100, max_ahead=2)
        taken = rig.ledger.claim_alike(connection, first, near, owner="a", lease_seconds=60, max_run_seconds=60)
    assert taken == []
    assert rig.state(behind) == State.QUEUED


def two_workers_gather_nothing_twice(rig: Rig) -> None:
    """See that a second worker neither waits for the first nor takes what it takes."""
    first, second = claim_first(rig), claim_first(rig)
    put(rig)
    terms: dict[str, Any] = {"owner": "a", "lease_seconds": 60, "max_run_seconds": 60}
    acts = [
        functools.partial(rig.ledger.claim_alike, first=one, gathering=GATHERING, **terms) for one in (first, second)
    ]
    taken = rig.overlap(*acts)
    assert [len(claims) for claims in taken] == [1, 0]


def hold(call: str, rig: Rig, job_id: str, attempt: int) -> Any:
    """Make a call for one job, as a worker does that holds several."""
    held = ledger.Held(job_id, attempt)
    if call == "beat_all":
        return rig.run(rig.ledger.beat_all, [held], lease_seconds=600)
    if call == "peek_all":
        return rig.run(rig.ledger.peek_all, [held])
    end = ledger.End(held=held, state=State.FAILED, error=_ERROR)
    return rig.run(rig.ledger.finish_all, [end])


def looks_only_at_those_that_are_held(rig: Rig) -> None:
    """See that what is wanted of another job stops nobody."""
    held, other = rig.put_running(), rig.put_running()
    rig.change(other, cancel_requested=1)
    seen = rig.run(rig.ledger.peek_all, [ledger.Held(held, 1)])
    assert (seen.cancel_requested, seen.expired) == (False, False)


def ends_each_by_itself(rig: Rig) -> None:
    """See that each job gets its own end, and one that is no longer held none."""
    good, bad, fenced = (rig.put_running() for _ in range(3))
    rig.change(fenced, attempt=2)
    ends = [
        ledger.End(held=ledger.Held(good, 1), state=State.SUCCEEDED, result={"rows": [1.5, None, "é"]}),
        ledger.End(held=ledger.Held(bad, 1), state=State.FAILED, error=_ERROR),
        ledger.End(held=ledger.Held(fenced, 1), state=State.SUCCEEDED, result={}),
    ]
    assert rig.run(rig.ledger.finish_all, ends) == {good, bad}
    rows = [rig.row(job_id) for job_id in (good, bad, fenced)]
    assert [row.state for row in rows] == [State.SUCCEEDED, State.FAILED, State.RUNNING]
    assert [row.result for row in rows] == [{"rows": [1.5, None, "é"]}, None, None]
    assert [row.error_type for row in rows] == [None, _ERROR[0], None]
    assert all(row.finished_at and row.announce_after and row.lease_until is None for row in rows[:2])


def ends_with_progress(rig: Rig, *, state: State, fraction: float, message: str | None) -> None:
    """See what is said of how far a job is that was half done before its end."""
    job_id = rig.put_running()
    rig.run(rig.ledger.report, job_id, attempt=1, fraction=0.5, message="half")
    rig.run(rig.ledger.finish_all, [ledger.End(held=ledger.Held(job_id, 1), state=state)])
    row = rig.row(job_id)
    assert (row.progress_fraction, row.progress_message) == (fraction, message)


_AHEAD, _LOCKED = "_claim_alike: jobs.c.state == _QUEUED", "_claim_alike: tables.still(State.QUEUED)"
_HELD = {
    "beat_all": ("beat_all", "columns"),
    "peek_all": ("peek_all", "columns"),
    "finish_all": ("_finish_all", "ends"),
}
_HOLDS = (
    ("jobs.c.id == {0}['job_id']", holder_checks.touches_one_job),
    ("jobs.c.attempt == {0}['attempt']", holder_checks.refuses_another_attempt),
    ("tables.still(State.RUNNING)", holder_checks.refuses_an_ended_job),
)

CHECKS: Checks = {
    _AHEAD: [Check(gathers_none, row={"state": State.FAILED}, beside=_LOCKED)],
    _LOCKED: [Check(gathers_none, row={"state": State.FAILED}, beside=_AHEAD)],
    "_claim_alike: jobs.c.run_after <= now": [Check(gathers_none, row={"run_after": FUTURE})],
    "_claim_alike: .order_by()": [Check(looks_at_the_first_in_the_queue, on="postgresql")],
    "_claim_alike: .limit()": [Check(looks_at_the_first_in_the_queue)],
    "_claim_alike: ahead.c.kind == sa.bindparam('first_kind')": [Check(gathers_none, kind="ingestion.other")],
    "_claim_alike: ahead.c.tenant_id == sa.bindparam('first_tenant')": [Check(gathers_none, tenant_id="other")],
    "_claim_alike: ahead.c.pinned[gathering.alike].as_string() == sa.bindparam('alike')": [
        Check(gathers_none, pinned={"group": "churn@8", "rows": 2})
    ],
    "_claim_alike: ahead.c.cancel_requested == 0": [Check(gathers_none, row={"cancel_requested": 1})],
    "_claim_alike: ahead.c.lost == 0": [Check(gathers_none, row={"lost": 1})],
    "_claim_alike: ahead.c.parent_id.is_(None)": [Check(gathers_none, row={"parent_id": "ingestion_1"})],
    "_claim_alike: never ahead.c.deadline_at.is_(None)": [Check(gathers)],
    "_claim_alike: never ahead.c.deadline_at > now": [Check(gathers, deadline_seconds=60)],
    "_claim_alike: sa.or_(ahead.c.deadline_at.is_(None), ahead.c.deadline_at > now)": [
        Check(gathers_none, row={"deadline_at": PAST})
    ],
    "_claim_alike: summed.c.number <= sa.bindparam('most', type_=sa.Integer)": [
        Check(gathers_up_to, count=2, max_jobs=3)
    ],
    "_claim_alike: summed.c.so_far <= sa.bindparam('room', type_=sa.BigInteger)": [
        Check(gathers_up_to, count=1, max_size=5)
    ],
    "_claim_alike: jobs.c.id.in_(fitting)": [Check(gathers_only_alike)],
    "_claim_alike: .with_for_update()": [Check(two_workers_gather_nothing_twice, on="postgresql")],
    "_claim_alike: jobs.c.id.in_(sa.select(locked.c.id))": [Check(gathers_only_alike)],
    **{
        f"{function}: {guard.format(table)}": [Check(functools.partial(check, functools.partial(hold, call)))]
        for call, (function, table) in _HELD.items()
        for guard, check in _HOLDS
    },
    "peek_all: jobs.c.id == columns['job_id']": [Check(looks_only_at_those_that_are_held)],
    **{
        f"_finish_all: never succeeds -> {value}": [
            Check(ends_with_progress, state=State.SUCCEEDED, fraction=1.0, message=None)
        ]
        for value in ("1.0", "None")
    },
    **{
        f"_finish_all: always succeeds -> {value}": [
            Check(ends_with_progress, state=State.FAILED, fraction=0.5, message="half")
        ]
        for value in ("1.0", "None")
    },
}
