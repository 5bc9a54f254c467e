"""Limits of queues hold whoever asks at once: threads, processes, tenants, and jobs that are claimed meanwhile."""

import threading
import time
from typing import Any

import pytest

from api.intake import backlog
from shared import errors
from shared.jobs import ledger
from tests.unit.rig import ROLE, TENANT, Rig, new_job


def opened(rig: Rig, **limits: int) -> backlog.Backlog:
    """Open a backlog on the rig's database."""
    databases: Any = {ROLE: rig.engines}
    return backlog.Backlog(databases, **{"max_queued": 1000, "max_queued_per_tenant": 1000, **limits})


def submit(rig: Rig, limits: backlog.Backlog, *, tenant_id: str = TENANT, jobs: int = 1) -> bool:
    """Accept jobs if there is room."""
    try:
        with limits.room(ROLE, tenant_id, jobs=jobs):
            new_jobs = [new_job(tenant_id=tenant_id) for _ in range(jobs)]
            rig.run(ledger.accept, new_jobs, ring_again_seconds=30)
    except errors.TooManyRequestsError:
        return False
    return True


def submit_at_once(rig: Rig, openings: list[backlog.Backlog], *, tries: int) -> int:
    """Let four threads of each process submit single jobs as often as said; returns how many were accepted."""
    accepted: list[bool] = []

    def run(limits: backlog.Backlog) -> None:
        accepted.extend(submit(rig, limits) for _ in range(tries))

    threads = [threading.Thread(target=run, args=(limits,)) for limits in openings for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(accepted)


@pytest.mark.parametrize("limit", ["max_queued", "max_queued_per_tenant"])
def test_a_limit_is_kept_by_threads_that_submit_at_once(rig: Rig, limit: str) -> None:
    limits = opened(rig, **{limit: 20})
    accepted = submit_at_once(rig, [limits], tries=20)
    assert 15 <= accepted <= 20
    time.sleep(0.2)  # Jobs that were being accepted during a count may have counted twice.
    assert [submit(rig, limits) for _ in range(accepted, 22)] == [True] * (20 - accepted) + [False] * 2


def test_a_limit_is_passed_by_few_requests_of_each_process(rig: Rig) -> None:
    openings = [opened(rig, max_queued_per_tenant=20, processes=3) for _ in range(3)]
    # They count at different times: without adding up in between, all 120 would pass.
    assert 15 <= submit_at_once(rig, openings, tries=10) <= 20 + 2 * 3


def test_a_tenant_at_its_limit_keeps_no_other_out(rig: Rig) -> None:
    limits = opened(rig, max_queued=5, max_queued_per_tenant=3)
    assert [submit(rig, limits, tenant_id="a") for _ in range(4)] == [True, True, True, False]
    assert [submit(rig, limits, tenant_id="b") for _ in range(3)] == [True, True, False]


def test_what_was_queued_before_counts(rig: Rig) -> None:
    for _ in range(3):
        rig.put()
    assert not submit(rig, opened(rig, max_queued_per_tenant=3))
    assert submit(rig, opened(rig, max_queued_per_tenant=4))


def test_a_batch_counts_as_its_jobs(rig: Rig) -> None:
    limits = opened(rig, max_queued_per_tenant=10)
    assert submit(rig, limits, jobs=9)
    assert submit(rig, limits, jobs=9)
    assert not submit(rig, limits)


def test_claimed_jobs_make_room_at_once_for_who_was_not_full_by_count(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "_RECOUNT_SECONDS", 0.0)
    limits = opened(rig, max_queued_per_tenant=3)
    for _ in range(20):
        assert submit(rig, limits)
        assert rig.claim_next()


def test_a_request_that_fails_gives_its_room_back(rig: Rig) -> None:
    limits = opened(rig, max_queued_per_tenant=1)
    for _ in range(5):
        with pytest.raises(ZeroDivisionError), limits.room(ROLE, TENANT):
            raise ZeroDivisionError
    assert submit(rig, limits)
    assert not submit(rig, limits)
