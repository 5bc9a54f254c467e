"""How the databases find rows among many: by an index, at the cost of what is found and not of what is there."""

import collections
import contextlib
import functools
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from shared import contract, database, settings
from shared.jobs import expiry, ledger, log_lines, offspring, outbox, tables, views
from shared.jobs.states import State
from tests import servers_postgres
from tests.unit.rig import FUTURE, KIND, ROLE, TENANT, Act, Rig, empty, make_tables

pytestmark = pytest.mark.slow

ROWS = 20_000


def job_id(number: int) -> str:
    """Return the id of one of the many jobs."""
    return f"{ROLE}_01JD{number:022d}"


def _jobs() -> list[dict[str, Any]]:
    """Make jobs of which one in a hundred is queued, and one running; each has a key, one in ten a parent."""
    template = {column.name: None for column in tables.jobs.c} | {
        "version": 1, "priority": 0, "place": "9_0", "params": {}, "pinned": {}, "tags": [], "attempt": 0,
        "tries_left": 3, "lost": 0, "turns": 0, "wakes": 0,
        "cancel_requested": 0, "run_after": 0, "submitted_by": "key_1", "created_at": FUTURE, "kind": KIND,
    }  # fmt: skip
    states = {0: State.QUEUED, 1: State.RUNNING}
    return [
        template
        | {
            "id": job_id(number),
            "tenant_id": TENANT if number % 4 else "other",
            "kind": "ingestion.other" if number % 40 == 7 else KIND,
            "state": states.get(number % 100, State.SUCCEEDED),
            "lease_until": FUTURE,
            "ring_after": FUTURE - number,
            "deadline_at": FUTURE,
            "idempotency_key": f"key{number}",
            "parent_id": job_id(number - 1) if number % 10 == 3 else None,
        }
        for number in range(ROWS)
    ]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """Yield a database with many jobs and tags, whose statistics are known."""
    engines: database.Engines = request.getfixturevalue(f"{request.param}_engines")
    empty(engines)
    with engines.transactions.begin() as connection:
        connection.execute(sa.insert(tables.jobs), _jobs())
        tags = [{"tenant_id": TENANT, "tag": f"tag{n % 50}", "job_id": job_id(n)} for n in range(ROWS)]
        connection.execute(sa.insert(tables.job_tags), tags)
    with engines.statements.connect() as connection:
        connection.exec_driver_sql("VACUUM" if request.param == "sqlite" else "VACUUM ANALYZE jobs")
        connection.exec_driver_sql("ANALYZE")
    yield Rig(engines)
    empty(engines)


def plan_of(rig: Rig, act: Act) -> str:
    """Tell how the last statement of an act finds its rows."""
    with rig.engines.transactions.connect() as connection:
        return explain(connection, act)


def explain(connection: sa.Connection, act: Act) -> str:
    """Do an act, which changes nothing for good, and tell how its last statement finds its rows."""
    seen: list[tuple[str, Any]] = []
    sa.event.listen(connection, "before_cursor_execute", lambda *call: seen.append((call[2], call[3])))
    act(connection)
    statement, parameters = seen[-1]
    verb = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
    plan = "\n".join(str(row[-1]) for row in connection.exec_driver_sql(verb + statement, parameters))
    connection.rollback()
    return plan


def page(**wanted: Any) -> Act:
    """Make a page's query."""
    wish = views.Filter(**{"tenant_id": TENANT, **wanted})
    return functools.partial(views.list_ids, job_filter=wish, role=ROLE, limit=20)


BEFORE = job_id(ROWS // 2).partition("_")[2]
HOT: dict[str, Callable[[sa.Connection], Any]] = {
    "claim": functools.partial(ledger.claim, job_id=job_id(0), owner="a", lease_seconds=60, max_run_seconds=60),
    "beat": functools.partial(ledger.beat, job_id=job_id(1), attempt=0, lease_seconds=60),
    "finish": functools.partial(ledger.finish, job_id=job_id(1), attempt=0, state=State.SUCCEEDED),
    "cancel": functools.partial(ledger.cancel, job_id=job_id(1), tenant_id=TENANT),
    "take_due_doorbells": functools.partial(ledger.take_due_doorbells, again_seconds=30, limit=100),
    "sweep": ledger.sweep,
    "children": functools.partial(offspring.read_children, parent_id=job_id(1), tenant_id=TENANT),
    "wake": functools.partial(offspring.wake_parents, ended_ids=[job_id(1)]),
    "cancel_children": functools.partial(offspring.cancel_children, parent_id=job_id(1)),
    "cancel_orphans": offspring.cancel_orphans,
    "show": lambda connection: connection.execute(views._select_job(), {"job_id": job_id(1), "tenant": TENANT}),
    "count queued of a tenant": functools.partial(views.count_queued, limit=10_000, tenant_id=TENANT),
    "count children": lambda connection: connection.execute(views._count_children(), {"job_id": job_id(1)}),
    "read_by_keys": functools.partial(views.read_by_keys, tenant_id=TENANT, kind=KIND, keys=["key1", "key2"]),
    "expire": lambda connection: expiry.delete_batch(
        connection,
        after=job_id(7),
        retention_seconds=-FUTURE / 1000,
        naming=expiry.naming_columns(connection),
        limit=100,
    ),
    "rows of a page": functools.partial(views.read_many, job_ids=[job_id(1), job_id(5)]),
    "page": page(),
    "page before": page(before=BEFORE),
    "page by kind": page(kind="ingestion.other", before=BEFORE),
    "page by state": page(state=State.RUNNING, before=BEFORE),
    "page by tag": page(tags=["tag7"], before=BEFORE),
    "page by tag of a time": page(tags=["tag7"], after=BEFORE),
    "page by tag and state": page(tags=["tag7"], state=State.RUNNING),
    "page by two tags": page(tags=["tag7", "tag8"], before=BEFORE),
    "page of a time": page(after="0" * 26, before=BEFORE, since=1, until=FUTURE),
    "page of nobody": page(tenant_id="nobody"),
}
CLAIM_NEXT = functools.partial(ledger.claim_next, kinds=[KIND], owner="a", lease_seconds=60, max_run_seconds=60)
WHOLE_TABLE = re.compile(r"Seq Scan on jobs|\bSCAN jobs|Seq Scan on job_tags|\bSCAN job_tags", re.MULTILINE)
"""All rows of a table or of an index are read."""


@pytest.mark.parametrize("name", HOT)
def test_no_hot_statement_reads_a_whole_table(full: Rig, name: str) -> None:
    plan = plan_of(full, HOT[name])
    assert not WHOLE_TABLE.search(plan), plan


@pytest.mark.parametrize(
    ("name", "condition"),
    [
        ("claim", r"Index Cond: \(\(id\)|\(id=\?\)"),
        (
            "take_due_doorbells",
            r"ix_jobs_ring on jobs jobs_1.*\n\s*Index Cond: \(ring_after <=|ix_jobs_ring \(ring_after<\?\)",
        ),
        ("sweep", r"ix_jobs_lease on jobs.*\n\s*Index Cond: \(lease_until <=|ix_jobs_lease \(lease_until<\?\)"),
        ("children", r"ix_jobs_children on jobs.*\n\s*Index Cond: .*parent_id|ix_jobs_children \(parent_id=\?\)"),
        ("count children", r"ix_jobs_children on jobs.*\n\s*Index Cond: .*parent_id|ix_jobs_children \(parent_id=\?\)"),
        ("cancel_orphans", r"ix_jobs_unfinished_children"),
        (
            "page by kind",
            r"ix_jobs_tenant_kind on jobs.*\n\s*Index Cond: .*kind.*id|\(tenant_id=\? AND kind=\? AND id<\?\)",
        ),
        ("page by tag of a time", r"Index Cond: .*tag.*job_id.* >= |\(tenant_id=\? AND tag=\? AND job_id>\?\)"),
        ("page by tag", r"Index Cond: .*tag.*job_id.* < |\(tenant_id=\? AND (tag=\? AND job_id|id)<\?\)"),
    ],
)
def test_the_index_is_entered_where_the_answer_begins(full: Rig, name: str, condition: str) -> None:
    plan = plan_of(full, HOT[name])
    assert re.search(condition, plan), plan


@pytest.mark.parametrize(
    ("name", "act", "condition"),
    [
        ("sweep_overdue", ledger.sweep_overdue, r"Index Cond: \(deadline_at <=|\(deadline_at<\?\)"),
        (
            "free_idempotency_keys",
            functools.partial(ledger.free_idempotency_keys, older_than_seconds=86_400),
            r"Index Cond: \(created_at <=|\(created_at<\?\)",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "",
)
def test_chores_enter_an_index_too(full: Rig, name: str, act: Act, condition: str) -> None:
    plan = plan_of(full, act)
    assert re.search(condition, plan), f"{name}: {plan}"


def test_a_relay_reads_the_outbox_in_the_order_of_its_key(full: Rig) -> None:
    events = [outbox.Event("thing.made", str(number), TENANT, {}) for number in range(2000)]
    full.run(outbox.put, events)
    if full.dialect == "postgresql":
        full.run(lambda connection: connection.exec_driver_sql("ANALYZE outbox"))
    plan = plan_of(full, functools.partial(outbox.read, limit=10))
    assert re.search(r"Index Scan using pk_outbox on outbox|SCAN outbox USING INDEX sqlite_autoindex", plan), plan


def test_what_is_claimed_next_is_read_in_the_order_of_its_index(full: Rig) -> None:
    plan = plan_of(full, CLAIM_NEXT)
    assert re.search(r"Index Scan using ix_jobs_place|SCAN jobs USING INDEX ix_jobs_place", plan), plan


def test_leases_are_read_from_the_index_of_running_jobs(full: Rig) -> None:
    plan = plan_of(full, functools.partial(ledger.list_leases, place="here"))
    assert re.search(r"Index Scan using ix_jobs_lease|SCAN jobs USING INDEX ix_jobs_lease", plan), plan


def seq_scans(connection: sa.Connection) -> int:
    """Count how often the jobs were read whole, this connection's last statements included."""
    connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
    connection.exec_driver_sql("SELECT 1")
    found = connection.exec_driver_sql("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'jobs'")
    return int(found.scalar_one())


@contextlib.contextmanager
def opened(postgres: servers_postgres.Postgres, home: pathlib.Path) -> Iterator[database.Engines]:
    """Open a database of which PostgreSQL knows nothing yet, as a worker finds it that starts with the system."""
    url = postgres.create_database()
    databases = database.Databases(settings.Settings(home=home, database_urls={ROLE: url}))
    make_tables(databases[ROLE])
    yield databases[ROLE]
    databases.dispose()
    postgres.drop_database(sa.make_url(url).database or "")


@pytest.fixture
def fresh(postgres: servers_postgres.Postgres, tmp_path: pathlib.Path) -> Iterator[database.Engines]:
    """Yield a new database."""
    with opened(postgres, tmp_path) as engines:
        yield engines


@pytest.fixture(scope="module")
def unknown(
    postgres: servers_postgres.Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[database.Engines]:
    """Yield a database that stays without rows and without statistics."""
    with opened(postgres, tmp_path_factory.mktemp("unknown")) as engines:
        yield engines


@pytest.mark.parametrize("way", ["relaxed", "statements"])
def test_a_plan_made_while_the_table_is_small_reads_no_whole_table(fresh: database.Engines, way: str) -> None:
    # PostgreSQL keeps a prepared plan for the connection's life: what it reads whole now it reads whole for ever.
    rig = Rig(fresh)
    rig.put()
    with fresh.statements.connect() as connection:
        connection.exec_driver_sql("ANALYZE jobs")
    acts: list[Act] = [CLAIM_NEXT, *(HOT[name] for name in ("claim", "beat", "finish", "show"))]
    with getattr(fresh, way).connect() as connection:
        before = seq_scans(connection)
        for _ in range(12):
            for act in acts:
                act(connection)
        assert seq_scans(connection) == before


HELD = [ledger.Held(job_id(1), 1)]
BY_ID: dict[str, Act] = {
    **{name: HOT[name] for name in ("claim", "beat", "finish", "cancel", "wake", "show")},
    "claim_next": CLAIM_NEXT,
    "finish_and_claim_next": functools.partial(
        ledger.finish_and_claim_next,
        job_id=job_id(1),
        attempt=1,
        result={},
        kinds=[KIND],
        owner="a",
        lease_seconds=60,
        max_run_seconds=60,
    ),
    "claim_alike": functools.partial(
        ledger.claim_alike,
        first=ledger.Claim(job_id(1), TENANT, KIND, 1, 3, {}, {"deployment": "churn", "rows": 1}, "key_1", None),
        gathering=contract.Gathering(alike="deployment", size="rows", max_jobs=10, max_size=100),
        owner="a",
        lease_seconds=60,
        max_run_seconds=60,
    ),
    "read_all_columns": functools.partial(views.read_all_columns, job_id=job_id(1), tenant_id=TENANT),
    "find_retried_job": functools.partial(offspring.find_retried_job, job_id=job_id(1), tenant_id=TENANT),
    "peek": functools.partial(ledger.peek, job_id=job_id(1), attempt=1),
    "beat_all": functools.partial(ledger.beat_all, held=HELD, lease_seconds=60),
    "peek_all": functools.partial(ledger.peek_all, held=HELD),
    "report": functools.partial(ledger.report, job_id=job_id(1), attempt=1, fraction=0.5, message=""),
    "finish_all": functools.partial(ledger.finish_all, ends=[ledger.End(held=HELD[0], state=State.SUCCEEDED)]),
    "try_again": functools.partial(ledger.try_again, job_id=job_id(1), attempt=1, wait_seconds=1, error=("", "")),
    "postpone": functools.partial(
        ledger.postpone, job_id=job_id(1), attempt=1, wait_seconds=1, patience_seconds=1, error=("", "")
    ),
    "hand_back": functools.partial(ledger.hand_back, job_id=job_id(1), attempt=1),
    "lose": functools.partial(ledger.lose, job_id=job_id(1), attempt=1),
    "take_due_doorbells": HOT["take_due_doorbells"],
    "write_interim": functools.partial(offspring.write_interim, job_id=job_id(1), attempt=1, interim={}),
    "rest": functools.partial(offspring.rest, job_id=job_id(1), attempt=1, wakes=0, wait_seconds=1, interim=None),
    "append_while_running": functools.partial(
        log_lines.append_while_running,
        source=log_lines.Source(job_id(1), TENANT, 1, 1),
        lines=[log_lines.Line(1, 0, "info", "told", {})],
    ),
    "note_losses": functools.partial(log_lines.note_losses, job_ids=[job_id(1)]),
    "read lines": functools.partial(
        log_lines.read, job_id=job_id(1), tenant_id=TENANT, after=0, limit=100, attempt=None
    ),
    "read_ends": functools.partial(outbox.read_ends, limit=10),
}
"""Statements that read or change jobs whose ids they have, or have just found out."""
QUEUE_INDEXES = {
    "claim_next": "ix_jobs_place",
    "finish_and_claim_next": "ix_jobs_place",
    "claim_alike": "ix_jobs_place",
    "take_due_doorbells": "ix_jobs_ring",
    "read_ends": "ix_jobs_announce",
}


@pytest.mark.parametrize("name", BY_ID)
def test_jobs_are_found_by_their_ids_and_not_among_all_in_their_state(unknown: database.Engines, name: str) -> None:
    # Where nothing is known of the table all indexes cost the same, and the plan that is made then is kept.
    for mode in ("force_custom_plan", "force_generic_plan"):
        with unknown.transactions.connect() as connection:
            for setting in (f"plan_cache_mode = {mode}", "enable_sort = off", "enable_bitmapscan = off"):
                connection.exec_driver_sql(f"SET LOCAL {setting}")
            plan = explain(connection, BY_ID[name])
        scans = collections.Counter(re.findall(r"Scan (?:Backward )?using (\w+) on jobs", plan))
        del scans["pk_jobs"]
        assert scans == ({QUEUE_INDEXES[name]: 1} if name in QUEUE_INDEXES else {}), plan
