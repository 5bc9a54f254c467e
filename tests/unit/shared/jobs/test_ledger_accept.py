"""How jobs are accepted: their keys, their tags, and many at once."""

import sqlalchemy as sa

from shared.jobs import ledger, tables
from tests.unit.rig import PAST, Rig, new_job


def test_a_key_used_before_leaves_the_new_job_out(rig: Rig) -> None:
    first, second, third = (new_job(idempotency_key=key) for key in ("k", "k", "other"))
    rig.run(ledger.accept, [first], ring_again_seconds=30)
    assert list(rig.run(ledger.accept, [second, third], ring_again_seconds=30)) == [third.id]


def test_a_key_used_twice_in_one_batch_is_accepted_once(rig: Rig) -> None:
    first, second = new_job(idempotency_key="k"), new_job(idempotency_key="k")
    assert list(rig.run(ledger.accept, [first, second], ring_again_seconds=30)) == [first.id]


def test_a_key_belongs_to_its_tenant_and_kind(rig: Rig) -> None:
    jobs = [new_job(idempotency_key="k"), new_job(idempotency_key="k", tenant_id="b"), new_job(kind="ingestion.other")]
    assert len(rig.run(ledger.accept, jobs, ring_again_seconds=30)) == 3


def test_jobs_without_a_key_never_conflict(rig: Rig) -> None:
    assert len(rig.run(ledger.accept, [new_job(), new_job()], ring_again_seconds=30)) == 2


def test_an_expired_key_may_be_used_again(rig: Rig) -> None:
    job_id = rig.put(idempotency_key="k")
    assert rig.run(ledger.free_idempotency_keys, older_than_seconds=60) == 0
    rig.change(job_id, created_at=PAST)
    assert rig.run(ledger.free_idempotency_keys, older_than_seconds=60) == 1
    assert rig.run(ledger.free_idempotency_keys, older_than_seconds=60) == 0
    assert rig.put(idempotency_key="k")


def test_a_thousand_jobs_are_accepted_at_once_with_their_tags(rig: Rig) -> None:
    jobs = [new_job(tags=["a", "b", "a"], deadline_seconds=number or None) for number in range(1000)]
    accepted = rig.run(ledger.accept, jobs, ring_again_seconds=30)
    assert set(accepted) == {job.id for job in jobs}
    with rig.engines.statements.connect() as connection:
        tags = connection.execute(sa.select(sa.func.count()).select_from(tables.job_tags)).scalar_one()
        deadlines = connection.execute(
            sa.select(sa.func.count(tables.jobs.c.deadline_at), sa.func.max(tables.jobs.c.deadline_at))
        ).one()
    assert tags == 2000
    assert deadlines[0] == 999
    assert abs(deadlines[1] - accepted[jobs[-1].id] - 999_000) < 1000


def test_an_accept_that_is_rolled_back_leaves_nothing(rig: Rig) -> None:
    job = new_job(tags=["a"])
    with rig.engines.transactions.connect() as connection:
        ledger.accept(connection, [job], ring_again_seconds=30)
        connection.rollback()
    assert rig.run(ledger.accept, [job], ring_again_seconds=30)
