"""A lock on a dataset's name: a job has it for as long as it runs."""

import threading

from tests.unit.rig import PAST, TENANT, Rig
from workers.ingestion import lock


def take(rig: Rig, job_id: str, *, name: str = "telco") -> bool:
    return bool(rig.run(lock.take, tenant_id=TENANT, name=name, job_id=job_id))


def test_a_job_has_the_lock_until_it_ends(rig: Rig) -> None:
    first, second = rig.put_running(), rig.put_running()
    assert take(rig, first)
    assert take(rig, first), "it may ask again"
    assert not take(rig, second)
    assert take(rig, second, name="another")
    assert rig.finish(first, attempt=1)
    assert take(rig, second)


def test_a_job_whose_worker_is_lost_has_no_lock(rig: Rig) -> None:
    first, second = rig.put_running(), rig.put_running()
    assert take(rig, first)
    rig.change(first, lease_until=PAST)
    rig.sweep()
    assert take(rig, second)


def test_of_many_jobs_one_has_the_lock(rig: Rig) -> None:
    for turn in range(10):
        start = threading.Barrier(4)
        had: list[bool] = []

        def run(name: str = f"telco-{turn}", start: threading.Barrier = start, had: list[bool] = had) -> None:
            job_id = rig.put()
            start.wait()
            # Claimed here, so that one may be claimed while another waits for the lock.
            assert rig.claim(job_id)
            had.append(take(rig, job_id, name=name))

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(had) == [False, False, False, True]


def test_a_job_that_waits_for_long_asks_seldom(rig: Rig) -> None:
    young, old = rig.put(), rig.put()
    rig.change(old, created_at=PAST)
    assert 0 < rig.run(lock.choose_rest_seconds, job_id=young) <= 0.25
    assert 5 <= rig.run(lock.choose_rest_seconds, job_id=old) <= 10
