"""Tenants take turns: what is claimed next is fair between them within a priority, and old within a tenant."""

import collections
from typing import Any

import pytest
import sqlalchemy as sa

from shared import database
from shared.jobs import ledger, tables
from tests.unit.rig import FUTURE, Rig, new_job


def put(rig: Rig, tenant_id: str, *, jobs: int = 1, **changes: Any) -> list[str]:
    """Accept jobs of a tenant together; returns their ids."""
    new_jobs = [new_job(tenant_id=tenant_id, **changes) for _ in range(jobs)]
    assert len(rig.run(ledger.accept, new_jobs, ring_again_seconds=30)) == jobs
    return [job.id for job in new_jobs]


def claim(rig: Rig, *, jobs: int) -> str:
    """Claim so many jobs one after the other; returns their tenants, in order."""
    claims = [rig.claim_next() for _ in range(jobs)]
    return "".join(claim.tenant_id for claim in claims if claim)


def test_a_tenant_who_comes_late_takes_turns_with_one_who_queued_thousands(rig: Rig) -> None:
    for _ in range(5):
        put(rig, "a", jobs=1000)
    put(rig, "b", jobs=10)
    assert collections.Counter(claim(rig, jobs=20)) == {"a": 10, "b": 10}
    assert claim(rig, jobs=5) == "aaaaa"


@pytest.mark.parametrize("together", [True, False])
def test_three_tenants_take_turns(rig: Rig, together: bool) -> None:
    for tenant, jobs in (("a", 60), ("b", 20), ("c", 10)):
        for _ in range(1 if together else jobs):
            put(rig, tenant, jobs=jobs if together else 1)
    assert collections.Counter(claim(rig, jobs=30)) == {"a": 10, "b": 10, "c": 10}
    assert collections.Counter(claim(rig, jobs=20)) == {"a": 10, "b": 10}
    assert claim(rig, jobs=40) == "a" * 40


def test_tenants_whose_jobs_share_a_commit_take_turns(rig: Rig) -> None:
    jobs = [new_job(tenant_id=tenant) for tenant in "aaaaaaaabbbb"]
    rig.run(ledger.accept, jobs, ring_again_seconds=30)
    assert collections.Counter(claim(rig, jobs=8)) == {"a": 4, "b": 4}


def test_a_tenants_own_jobs_are_claimed_in_the_order_in_which_it_sent_them(rig: Rig) -> None:
    sent = put(rig, "a", jobs=15)
    put(rig, "b", jobs=3)
    for _ in range(15):
        sent += put(rig, "a")
    claims = [rig.claim_next() for _ in range(33)]
    assert [claim.job_id for claim in claims if claim and claim.tenant_id == "a"] == sent


def test_who_waits_for_each_job_before_the_next_gets_every_second_turn(rig: Rig) -> None:
    put(rig, "a", jobs=50)
    seen = ""
    for _ in range(10):
        put(rig, "b")
        while not seen.endswith("b"):
            seen += claim(rig, jobs=1)
        seen += claim(rig, jobs=1)
    assert seen.count("b") == 10
    assert seen.count("a") <= 30


def test_a_tenant_that_was_served_alone_owes_nothing_afterwards(rig: Rig) -> None:
    put(rig, "a", jobs=100)
    claim(rig, jobs=90)
    put(rig, "b", jobs=10)
    put(rig, "a", jobs=10)
    assert collections.Counter(claim(rig, jobs=20)) == {"a": 10, "b": 10}


def test_a_higher_priority_comes_first_whoever_has_it(rig: Rig) -> None:
    put(rig, "a", jobs=20)
    put(rig, "b", jobs=3)
    put(rig, "a", jobs=3, priority=9)
    put(rig, "b", jobs=2, priority=1)
    assert claim(rig, jobs=5) == "aaabb"
    assert collections.Counter(claim(rig, jobs=6)) == {"a": 3, "b": 3}


def test_within_a_high_priority_tenants_take_turns_too(rig: Rig) -> None:
    put(rig, "a", jobs=30, priority=5)
    put(rig, "c", jobs=10)
    put(rig, "b", jobs=5, priority=5)
    assert collections.Counter(claim(rig, jobs=10)) == {"a": 5, "b": 5}


def test_jobs_that_wait_for_later_do_not_let_newcomers_pass_everybody(rig: Rig) -> None:
    for job_id in put(rig, "c", jobs=3):
        rig.change(job_id, run_after=FUTURE)
    put(rig, "a", jobs=40)
    claim(rig, jobs=20)
    put(rig, "b", jobs=15)
    assert collections.Counter(claim(rig, jobs=20)) == {"a": 10, "b": 10}


def test_a_job_that_is_put_back_keeps_its_place(rig: Rig) -> None:
    [first, *_] = put(rig, "a", jobs=5)
    claimed = rig.claim_next()
    assert claimed is not None
    assert claimed.job_id == first
    put(rig, "b", jobs=5)
    rig.run(ledger.hand_back, first, attempt=1)
    claimed = rig.claim_next()
    assert claimed is not None
    assert claimed.job_id == first


def test_jobs_of_an_earlier_release_come_first_and_disturb_nobody(rig: Rig) -> None:
    for job_id in put(rig, "a", jobs=5):
        rig.change(job_id, place=f"9_{job_id.rpartition('_')[2]}")
    put(rig, "a", jobs=20)
    put(rig, "b", jobs=5)
    assert claim(rig, jobs=5) == "aaaaa"
    assert collections.Counter(claim(rig, jobs=10)) == {"a": 5, "b": 5}


def test_a_place_fits_its_column(rig: Rig) -> None:
    jobs = put(rig, "a", jobs=3, priority=9)
    assert [len(rig.row(job_id).place) for job_id in jobs] == [40] * 3
    assert tables.jobs.c.place.type.length == 40  # type: ignore[attr-defined]


@pytest.mark.slow
def test_both_bounds_of_a_start_are_read_from_an_index(rig: Rig) -> None:
    """See that they are, even when nearly all jobs are queued, which makes other indexes look as good."""
    engines: database.Engines = rig.engines
    for _ in range(3):
        put(rig, "a", jobs=1000)
    with engines.statements.connect() as connection:
        connection.exec_driver_sql("ANALYZE")
    seen: list[tuple[str, Any]] = []
    with engines.transactions.connect() as connection:
        sa.event.listen(connection, "before_cursor_execute", lambda *call: seen.append((call[2], call[3])))
        ledger.accept(connection, [new_job()], ring_again_seconds=30)
        connection.rollback()
        [(statement, parameters)] = [call for call in seen if call[0].startswith("WITH")]
        explain = "EXPLAIN QUERY PLAN " if rig.dialect == "sqlite" else "EXPLAIN "
        plan = "\n".join(str(row[-1]) for row in connection.exec_driver_sql(explain + statement, parameters))
    assert "ix_jobs_tenant_state" in plan, plan
    assert "ix_jobs_place" in plan, plan
    assert "Sort" not in plan, plan
    assert "TEMP B-TREE" not in plan, plan


def test_what_is_behind_all_priorities_comes_last(rig: Rig) -> None:
    put(rig, "z", jobs=2, priority=-1)
    put(rig, "b", jobs=3)
    put(rig, "y", priority=-1)
    put(rig, "c", priority=9)
    assert claim(rig, jobs=7) == "cbbbzyz"
