"""What the guards of the outbox and the job views are for."""

import functools
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
import sqlalchemy.exc

from shared.jobs import tables, views
from shared.jobs.states import State
from tests.unit.rig import FUTURE, KIND, PAST, ROLE, TENANT, Rig
from tests.unit.shared.jobs.guard_table import Check, Checks

OTHER = "other"


def write_events(rig: Rig, ids: Iterable[str]) -> None:
    """Write events under ids, in the order given."""
    rows = [
        {"id": id_, "tenant_id": TENANT, "type": "a", "subject": "b", "data": {}, "created_at": 0, "leased_until": 0}
        for id_ in ids
    ]
    rig.run(lambda connection: connection.execute(sa.insert(tables.outbox), rows))


def read(rig: Rig, *, limit: int = 10) -> list[str]:
    """Read events; gives their ids."""
    return [event.id for event in rig.run(rig.outbox.read, limit=limit)]


def reads_a_few_of_the_oldest_events(rig: Rig) -> None:
    """See that the oldest come first, however they were written."""
    write_events(rig, "cba")
    assert read(rig, limit=1) == ["a"]
    assert read(rig) == ["a", "b", "c"]


def drops_what_is_logged(rig: Rig) -> None:
    """See that other events stay."""
    write_events(rig, "ab")
    rig.run(rig.outbox.drop, ["a"])
    assert read(rig) == ["b"]


def end_jobs(rig: Rig, *, count: int) -> list[str]:
    """End jobs, one after another, and leave one running; gives the ids of those that ended."""
    ended = [rig.put() for _ in range(count)]
    # The oldest end is written last, so that no plan finds it first by chance.
    for order, job_id in enumerate(ended):
        rig.change(job_id, state=State.DEAD, finished_at=1, announce_after=PAST + count - order)
    rig.put_running()
    return ended[::-1]


def read_ends(rig: Rig, *, limit: int = 10) -> list[str]:
    """Read the ends of jobs; gives the jobs' ids."""
    return [end.subject for end in rig.run(rig.outbox.read_ends, limit=limit)]


def reads_a_few_of_the_oldest_ends(rig: Rig) -> None:
    """See that the oldest come first, and nothing of a job that runs."""
    ended = end_jobs(rig, count=3)
    assert read_ends(rig, limit=1) == ended[:1]
    assert read_ends(rig) == ended


def reads_no_end_before_its_time(rig: Rig) -> None:
    """See that an end which a relay of the release before holds is left to it."""
    job_id = rig.put()
    rig.change(job_id, state=State.DEAD, finished_at=1, announce_after=FUTURE)
    assert read_ends(rig) == []


def reads_the_oldest_ends_by_any_plan(rig: Rig) -> None:
    """See that the order is asked for, and no gift of the index that PostgreSQL happens to read."""
    first, *_others = end_jobs(rig, count=3)
    with rig.engines.transactions.begin() as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = on")
        connection.exec_driver_sql("SET LOCAL enable_indexscan = off")
        connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        assert [end.subject for end in rig.outbox.read_ends(connection, limit=1)] == [first]


def drops_the_ends_that_are_logged(rig: Rig) -> None:
    """See that other ends stay."""
    dropped, kept = end_jobs(rig, count=2)
    rig.run(rig.outbox.drop_ends, [dropped])
    assert read_ends(rig) == [kept]


def receives_a_message_once(rig: Rig) -> None:
    """See that a message's second delivery has no effect, and is no error."""
    assert rig.run(rig.outbox.receive, "m", tenant_id=TENANT)
    try:
        assert not rig.run(rig.outbox.receive, "m", tenant_id=TENANT)
    except sqlalchemy.exc.IntegrityError as error:
        raise AssertionError("a second delivery is an error") from error


OUTBOX: Checks = {
    "_read: .order_by()": [Check(reads_a_few_of_the_oldest_events, on="postgresql")],
    "_read: .limit()": [Check(reads_a_few_of_the_oldest_events)],
    "_read_ends: jobs.c.announce_after <= clock.now_ms_once()": [Check(reads_no_end_before_its_time)],
    "_read_ends: .order_by()": [Check(reads_the_oldest_ends_by_any_plan, on="postgresql")],
    "_read_ends: .limit()": [Check(reads_a_few_of_the_oldest_ends)],
    "drop_ends: jobs.c.id.in_(job_ids)": [Check(drops_the_ends_that_are_logged)],
    "drop: tables.outbox.c.id.in_(event_ids)": [Check(drops_what_is_logged)],
    "receive: .on_conflict_do_nothing()": [Check(receives_a_message_once)],
}


def reads(read: Callable[[Rig, str], Any], rig: Rig, **other: Any) -> None:
    """See that a read finds one job, and not the other one that differs."""
    job_id = rig.put(idempotency_key="k", tags=["t"])
    rig.put(**{"idempotency_key": "k2", "tags": ["t"], **other})
    found = read(rig, job_id)
    assert [row.id for row in (found if isinstance(found, list) else [found])] == [job_id]


def shows_nothing_of_another_tenant(rig: Rig) -> None:
    """See that another tenant's job is not there."""
    assert rig.show(rig.put(), tenant_id=OTHER) is None


def reads_nothing_of_another_tenant(rig: Rig) -> None:
    """See that another tenant's job is not there, whole."""
    assert rig.run(rig.views.read_all_columns, rig.put(), tenant_id=OTHER) is None


def counts_the_children(rig: Rig) -> None:
    """See that those of one job are counted, by their states, and one that rests as running."""
    parent, other = rig.put_running(), rig.put_running()
    for _ in range(2):
        rig.put(parent_id=parent)
    rig.put(parent_id=other)
    rested = rig.put_running(parent_id=parent)
    for job_id in (parent, rested):
        rig.run(rig.offspring.rest, job_id, attempt=1, wakes=0, wait_seconds=60, interim=None)
    begun = rig.put(parent_id=parent)
    rig.change(begun, turns=1, state=State.SUCCEEDED)
    assert rig.show(parent).children == {"queued": 2, "running": 1, "succeeded": 1}


def reads_versions_of_named_jobs(rig: Rig) -> None:
    """See that only the jobs asked for are given."""
    job_id, _ = rig.put(), rig.put()
    assert rig.run(rig.views.read_versions, [job_id]) == {job_id: (State.QUEUED, 1)}


def page(rig: Rig, *, limit: int = 10, **wanted: Any) -> list[str]:
    """Read a page's ids."""
    filtered = views.Filter(**{"tenant_id": TENANT, **wanted})
    return list(rig.run(rig.views.list_ids, filtered, role=ROLE, limit=limit))


def pages_leave_out(
    rig: Rig, *, changes: dict[str, Any], kept: Mapping[str, Any] = MappingProxyType({"tags": ["t"]}), **wanted: Any
) -> None:
    """See that a filter lets one job through and another not."""
    shown, _ = rig.put(**kept), rig.put(**{"tags": ["t"], **changes})
    assert page(rig, **wanted) == [shown]


def pages_end_at_an_id(rig: Rig) -> None:
    """See that only jobs from an id on are shown."""
    _, *jobs = [rig.put() for _ in range(3)]
    assert page(rig, after=jobs[0].partition("_")[2]) == jobs[::-1]


def pages_are_of_a_time(rig: Rig, *, shown: list[int], **wanted: int) -> None:
    """See which of three jobs, created at 5, 4 and 6, are shown."""
    jobs = [rig.put() for _ in range(3)]
    for job_id, created_at in zip(jobs, (5, 4, 6), strict=True):
        rig.change(job_id, created_at=created_at)
    assert page(rig, **wanted) == [jobs[index] for index in reversed(shown)]


def shows_no_second_tag_of_another_tenant(rig: Rig) -> None:
    """See that a second tag which another tenant has put on the same id shows nothing."""
    job_id = rig.put(tags=["t"])
    row = {"tenant_id": OTHER, "tag": "u", "job_id": job_id}
    rig.run(lambda connection: connection.execute(sa.insert(tables.job_tags).values(row)))
    assert page(rig, tags=["t", "u"]) == []


def pages_by_state(rig: Rig) -> None:
    """See that only jobs in the state are shown."""
    job_id, _ = rig.put_running(), rig.put()
    assert page(rig, state=State.RUNNING) == [job_id]


def pages_go_back_in_time(rig: Rig, **wanted: Any) -> None:
    """See that pages follow each other, newest first."""
    jobs = [rig.put(tags=["t"]) for _ in range(5)]
    first = page(rig, limit=2, **wanted)
    second = page(rig, limit=2, before=first[-1].partition("_")[2], **wanted)
    assert first + second == jobs[:0:-1]


def reads_few_of_the_tags_index(rig: Rig) -> None:
    """See that a page deep in the past is looked up in the tag's index from the cursor on."""
    seen: list[str] = []
    wanted = views.Filter(tenant_id=TENANT, tags=["t"], before="0" * 26)
    with rig.engines.transactions.connect() as connection:
        sa.event.listen(connection, "before_cursor_execute", lambda *call: seen.append(call[2]))
        rig.views.list_ids(connection, wanted, role=ROLE, limit=10)
    assert "job_tags.job_id < " in seen[-1]


def shows_no_tag_of_another_tenant(rig: Rig) -> None:
    """See that a tag which another tenant has put on the same id shows nothing."""
    job_id = rig.put()
    row = {"tenant_id": OTHER, "tag": "t", "job_id": job_id}
    rig.run(lambda connection: connection.execute(sa.insert(tables.job_tags).values(row)))
    assert page(rig, tags=["t"]) == []


def keys_of(rig: Rig, _job_id: str) -> Any:
    """Read the job that was accepted under the key."""
    return list(rig.run(rig.views.read_by_keys, tenant_id=TENANT, kind=KIND, keys=["k"]))


def counts_the_backlog(rig: Rig, *, limit: int, queued: int) -> None:
    """See how many of two queued and one running job are counted."""
    rig.put(), rig.put(), rig.put_running()
    assert rig.run(rig.views.read_backlog, limit=limit).queued == queued


def counts_the_queued(rig: Rig, *, limit: int = 10, queued: int, **whose: str) -> None:
    """See how many of two queued and one running job of a tenant, and one queued of another, are counted."""
    rig.put(), rig.put(), rig.put(tenant_id="other"), rig.put_running()
    assert rig.run(rig.views.count_queued, limit=limit, **whose) == queued


def waits_since_the_oldest_queued_job(rig: Rig) -> None:
    """See that a running job, though older, counts for nothing in how long jobs have waited."""
    running, queued = rig.put_running(), rig.put()
    rig.change(queued, run_after=rig.row(queued).created_at - 50_000)
    rig.change(running, run_after=PAST)
    assert 50 <= rig.run(rig.views.read_backlog, limit=10).oldest_wait_seconds < 60


_RESTS = "sa.and_(_jobs.c.state == State.QUEUED, _jobs.c.turns > 0) -> State.RUNNING"

JOB_VIEWS: Checks = {
    "_select_job: _jobs.c.id == sa.bindparam('job_id')": [Check(functools.partial(reads, Rig.show))],
    "read_all_columns: _jobs.c.id == job_id": [
        Check(
            functools.partial(reads, lambda rig, job_id: rig.run(rig.views.read_all_columns, job_id, tenant_id=TENANT))
        )
    ],
    "_count_children: _jobs.c.state == State.QUEUED": [Check(counts_the_children)],
    "_count_children: _jobs.c.turns > 0": [Check(counts_the_children)],
    f"_count_children: never {_RESTS}": [Check(counts_the_children)],
    f"_count_children: always {_RESTS}": [Check(counts_the_children)],
    "_count_children: _jobs.c.parent_id == sa.bindparam('job_id')": [Check(counts_the_children)],
    "_select_job: tables.owned_by(sa.bindparam('tenant'))": [Check(shows_nothing_of_another_tenant)],
    "read_all_columns: tables.owned_by(tenant_id)": [Check(reads_nothing_of_another_tenant)],
    "read_versions: _jobs.c.id.in_(job_ids)": [Check(reads_versions_of_named_jobs)],
    "read_by_keys: _jobs.c.tenant_id == tenant_id": [
        Check(functools.partial(reads, keys_of), tenant_id=OTHER, idempotency_key="k")
    ],
    "read_by_keys: _jobs.c.kind == kind": [
        Check(functools.partial(reads, keys_of), kind="ingestion.other", idempotency_key="k")
    ],
    "read_by_keys: _jobs.c.idempotency_key.in_(keys)": [Check(functools.partial(reads, keys_of))],
    "list_ids: _jobs.c.tenant_id == job_filter.tenant_id": [Check(pages_leave_out, changes={"tenant_id": OTHER})],
    "list_ids: _jobs.c.kind == job_filter.kind": [
        Check(pages_leave_out, changes={"kind": "ingestion.other"}, kind=KIND)
    ],
    "list_ids: _jobs.c.state == job_filter.state": [Check(pages_by_state)],
    "list_ids: *_limit_ids(_jobs.c.id, job_filter, role=role)": [
        Check(pages_go_back_in_time),
        Check(pages_end_at_an_id),
    ],
    "list_ids: *_limit_ids(tags.c.job_id, job_filter, role=role)": [Check(reads_few_of_the_tags_index)],
    "list_ids: tags.c.tag == first": [Check(pages_leave_out, changes={"tags": ["u"]}, tags=["t"])],
    "list_ids: _has_tag(tag, tenant_id=job_filter.tenant_id)": [
        Check(pages_leave_out, changes={"tags": ["t"]}, kept={"tags": ["t", "u"]}, tags=["t", "u"])
    ],
    "_has_tag: tags.c.tenant_id == tenant_id": [Check(shows_no_second_tag_of_another_tenant)],
    "_has_tag: tags.c.tag == tag": [
        Check(pages_leave_out, changes={"tags": ["t"]}, kept={"tags": ["t", "u"]}, tags=["t", "u"])
    ],
    "_has_tag: tags.c.job_id == _jobs.c.id": [
        Check(pages_leave_out, changes={"tags": ["t"]}, kept={"tags": ["t", "u"]}, tags=["t", "u"])
    ],
    "list_ids: _jobs.c.created_at >= job_filter.since": [Check(pages_are_of_a_time, since=5, shown=[0, 2])],
    "list_ids: _jobs.c.created_at < job_filter.until": [Check(pages_are_of_a_time, until=5, shown=[1])],
    "list_ids: tags.c.job_id == _jobs.c.id": [Check(pages_leave_out, changes={"tags": ["u"]}, tags=["t"])],
    "list_ids: tags.c.tenant_id == job_filter.tenant_id": [Check(shows_no_tag_of_another_tenant)],
    "list_ids: .order_by()": [Check(pages_go_back_in_time)],
    "list_ids: .limit()": [Check(pages_go_back_in_time)],
    "read_backlog: _jobs.c.state == State.QUEUED": [Check(counts_the_backlog, limit=10, queued=2)],
    "read_backlog: .limit()": [Check(counts_the_backlog, limit=1, queued=1)],
    "count_queued: _jobs.c.state == _QUEUED": [
        Check(counts_the_queued, queued=3),
        Check(counts_the_queued, queued=2, tenant_id=TENANT),
    ],
    "count_queued: .limit()": [Check(counts_the_queued, limit=2, queued=2)],
    "count_queued: _jobs.c.tenant_id == tenant_id": [
        Check(counts_the_queued, queued=2, tenant_id=TENANT),
        Check(counts_the_queued, queued=0, tenant_id="nobody"),
    ],
    "read_backlog: _jobs.c.state == State.QUEUED #2": [Check(waits_since_the_oldest_queued_job)],
}
