"""Jobs as they are read: pages, filters, the backlog, and the document that a client sees."""

from typing import Any

import pytest
import sqlalchemy as sa

from shared import clock, ids, reads
from shared.jobs import ledger, offspring, views
from shared.jobs.states import State
from tests.unit.rig import FUTURE, KIND, ROLE, TENANT, Rig


class CountingReader(reads.Reader):
    """Counts what it is asked for."""

    count = 0

    def one(self, query: sa.Select[Any], values: dict[str, Any]) -> Any:
        """Count, and read."""
        self.count += 1
        return super().one(query, values)


def pages(rig: Rig, *, limit: int = 3, **wanted: Any) -> list[list[str]]:
    """Read all pages that a filter gives."""
    found: list[list[str]] = []
    before = None
    while True:
        wish = views.Filter(**{"tenant_id": TENANT, "before": before, **wanted})
        job_ids = rig.run(views.list_ids, wish, role=ROLE, limit=limit)
        if not job_ids:
            return found
        found.append(job_ids)
        before = ids.ulid_of(job_ids[-1])


def flat(found: list[list[str]]) -> list[str]:
    """Join pages."""
    return [job_id for page in found for job_id in page]


@pytest.fixture
def jobs(rig: Rig) -> list[str]:
    """Put ten jobs, newest first: each second of another kind, each third tagged, each fifth cancelled."""
    made = []
    for number in range(10):
        kind = "ingestion.other" if number % 2 else KIND
        made.append(rig.put(kind=kind, tags=["odd", "third"] if number % 3 == 0 else []))
        rig.put(tenant_id="other", tags=["third"])
        if number % 5 == 0:
            rig.run(ledger.cancel, made[-1], tenant_id=TENANT)
    return made[::-1]


def test_pages_show_every_job_once_newest_first(rig: Rig, jobs: list[str]) -> None:
    found = pages(rig)
    assert flat(found) == jobs
    assert [len(page) for page in found] == [3, 3, 3, 1]


def test_jobs_that_arrive_meanwhile_do_not_shift_later_pages(rig: Rig, jobs: list[str]) -> None:
    rig.put()
    wanted = views.Filter(tenant_id=TENANT, before=ids.ulid_of(jobs[2]))
    assert rig.run(views.list_ids, wanted, role=ROLE, limit=3) == jobs[3:6]


def test_pages_by_kind(rig: Rig, jobs: list[str]) -> None:
    assert flat(pages(rig, kind="ingestion.other")) == jobs[0::2]
    assert pages(rig, kind="ingestion.none") == []


def test_pages_by_state(rig: Rig, jobs: list[str]) -> None:
    assert flat(pages(rig, state=State.CANCELLED)) == [jobs[4], jobs[9]]
    assert flat(pages(rig, state=State.RUNNING)) == []


def test_pages_by_tag(rig: Rig, jobs: list[str]) -> None:
    assert flat(pages(rig, tags=["third"], limit=2)) == [jobs[0], jobs[3], jobs[6], jobs[9]]
    assert pages(rig, tags=["none"]) == []


def test_pages_by_all_at_once(rig: Rig, jobs: list[str]) -> None:
    assert flat(pages(rig, tags=["odd"], kind=KIND, state=State.CANCELLED, limit=1)) == [jobs[9]]


def test_pages_show_nothing_of_another_tenant(rig: Rig, jobs: list[str]) -> None:
    theirs = flat(pages(rig, tenant_id="other"))
    assert len(theirs) == 10
    assert not set(theirs) & set(jobs)
    assert pages(rig, tenant_id="nobody") == []


def test_a_job_is_shown_to_its_tenant_alone(rig: Rig) -> None:
    job_id = rig.put()
    assert rig.show(job_id, tenant_id=TENANT).id == job_id
    assert rig.show(job_id, tenant_id="other") is None
    assert rig.show(ids.new_job_id(ROLE), tenant_id=TENANT) is None


def test_states_and_versions_of_many_jobs_are_read_at_once(rig: Rig) -> None:
    queued, running = rig.put(), rig.put_running()
    assert rig.run(views.read_versions, [queued, running, "ingestion_none"]) == {
        queued: (State.QUEUED, 1),
        running: (State.RUNNING, 2),
    }


def test_jobs_are_found_by_their_keys(rig: Rig) -> None:
    job_id = rig.put(idempotency_key="k", fingerprint="f")
    rows = rig.run(views.read_by_keys, tenant_id=TENANT, kind=KIND, keys=["k", "unknown"])
    assert [(row.id, row.idempotency_key, row.fingerprint) for row in rows] == [(job_id, "k", "f")]


def test_the_backlog_of_an_empty_queue_is_nothing(rig: Rig) -> None:
    rig.put_running()
    assert rig.run(views.read_backlog, limit=10) == views.Backlog(0, 0.0)


def test_the_backlog_tells_how_long_the_oldest_ready_job_has_waited(rig: Rig) -> None:
    jobs = [rig.put() for _ in range(3)]
    now = rig.run(lambda connection: connection.execute(sa.select(clock.now_ms())).scalar_one())
    rig.change(jobs[0], run_after=now - 90_000)
    rig.change(jobs[1], run_after=FUTURE)
    backlog = rig.run(views.read_backlog, limit=10)
    assert backlog.queued == 3
    assert 90 <= backlog.oldest_wait_seconds < 100
    assert rig.run(views.read_backlog, limit=2).queued == 2


def test_a_document_says_what_a_client_may_know(rig: Rig) -> None:
    job_id = rig.put(tags=["a"], priority=4, deadline_seconds=60, retry_of="ingestion_1", submitted_by="key_secret")
    rig.claim(job_id)
    rig.run(ledger.report, job_id, attempt=1, fraction=0.25, message="reading")
    document = views.to_document(rig.show(job_id, tenant_id=TENANT))
    times = {name: document.pop(name) for name in ("created_at", "started_at", "deadline_at")}
    assert all(text.endswith("Z") for text in times.values())
    assert document == {
        "id": job_id,
        "kind": KIND,
        "role": ROLE,
        "state": "running",
        "attempt": 1,
        "priority": 4,
        "progress": {"fraction": 0.25, "message": "reading"},
        "params": {"name": "telco"},
        "result": None,
        "interim": None,
        "children": None,
        "error": None,
        "tags": ["a"],
        "correlation_id": job_id,
        "finished_at": None,
        "links": {
            "self": f"/v1/jobs/{job_id}",
            "events": f"/v1/jobs/{job_id}/events",
            "logs": f"/v1/jobs/{job_id}/logs",
            "retry_of": "/v1/jobs/ingestion_1",
        },
    }


def test_a_job_that_rests_between_turns_is_shown_as_running_at_its_first_attempt(rig: Rig) -> None:
    parent = rig.put_running()
    child = rig.put(parent_id=parent)
    rig.run(offspring.rest, parent, attempt=1, wakes=0, wait_seconds=60, interim={"best": 0.9})
    shown, below = (views.to_document(rig.show(one, tenant_id=TENANT)) for one in (parent, child))
    assert (shown["state"], shown["attempt"], shown["interim"]) == ("running", 1, {"best": 0.9})
    assert below["links"]["parent"] == f"/v1/jobs/{parent}"


def test_a_job_that_has_rested_says_how_its_children_are_right_now(rig: Rig) -> None:
    parent = rig.put_running()
    first, *_, resting = [rig.put(parent_id=parent) for _ in range(4)]
    rig.put(parent_id=rig.put())
    assert views.to_document(rig.show(parent))["children"] is None
    rig.run(offspring.rest, parent, attempt=1, wakes=0, wait_seconds=60, interim=None)
    before = rig.show(parent)
    assert views.to_document(before)["children"] == {"queued": 4}
    rig.claim(first)
    rig.finish(first, attempt=1)
    rig.claim(resting)
    rig.run(offspring.rest, resting, attempt=1, wakes=0, wait_seconds=60, interim=None)
    after = rig.show(parent)
    # One that rests is under way, as in its own document.
    assert views.to_document(after)["children"] == {"queued": 2, "running": 1, "succeeded": 1}
    # What is shown has changed without a change of the row.
    assert after.version == before.version
    assert views.etag_of(after) != views.etag_of(before)


def test_a_job_that_rests_for_another_reason_has_no_children(rig: Rig) -> None:
    job_id = rig.put_running()
    rig.run(offspring.rest, job_id, attempt=1, wakes=0, wait_seconds=60, interim=None)
    assert views.to_document(rig.show(job_id))["children"] is None


def test_children_are_not_counted_where_many_jobs_are_shown(rig: Rig) -> None:
    parent = rig.put_running()
    rig.put(parent_id=parent)
    rig.run(offspring.rest, parent, attempt=1, wakes=0, wait_seconds=60, interim=None)
    job_ids = rig.run(views.list_ids, views.Filter(tenant_id=TENANT), role=ROLE, limit=10)
    rows, _cut_at = rig.run(views.read_many, job_ids)
    assert [views.to_document(row)["children"] for row in rows] == [None, None]


def test_an_ordinary_poll_is_one_statement(rig: Rig) -> None:
    job_id = rig.put_running()
    reader = CountingReader(rig.engines.statements)
    views.read(reader, job_id, tenant_id=TENANT)
    assert reader.count == 1
    rig.run(offspring.rest, job_id, attempt=1, wakes=0, wait_seconds=60, interim=None)
    views.read(reader, job_id, tenant_id=TENANT)
    assert reader.count == 3
    reader.dispose(close=True)


def test_a_document_of_a_failed_job_says_why(rig: Rig) -> None:
    job_id = rig.put_running()
    rig.run(ledger.finish, job_id, attempt=1, state=State.FAILED, error=("BadDataError", "Row 3 has no end."))
    document = views.to_document(rig.show(job_id, tenant_id=TENANT))
    assert document["error"] == {"type": "BadDataError", "message": "Row 3 has no end."}
    assert "retry_of" not in document["links"]
