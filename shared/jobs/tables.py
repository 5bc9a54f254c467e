"""The tables that every role's database has: jobs, their tags and lines, outbox, inbox and workers."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from shared.jobs.states import State

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
Milliseconds = sa.BigInteger
"""Epoch milliseconds by the database's clock."""

NAMING = {
    "pk": "pk_%(table_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
}
_ledger = sa.MetaData(naming_convention=NAMING)

jobs = sa.Table(
    "jobs",
    _ledger,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("tenant_id", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("priority", sa.SmallInteger, nullable=False),
    sa.Column("place", sa.String(40), nullable=False),
    sa.Column("params", JSON, nullable=False),
    sa.Column("pinned", JSON, nullable=False),
    sa.Column("tags", JSON, nullable=False),
    sa.Column("result", JSON),
    sa.Column("error_type", sa.String(100)),
    sa.Column("error_message", sa.Text),
    sa.Column("progress_fraction", sa.Double),
    sa.Column("progress_message", sa.String(500)),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("tries_left", sa.Integer, nullable=False),
    sa.Column("lost", sa.Integer, nullable=False),
    sa.Column("cancel_requested", sa.SmallInteger, nullable=False),
    sa.Column("lease_owner", sa.String(200)),
    sa.Column("lease_until", Milliseconds),
    sa.Column("run_after", Milliseconds, nullable=False),
    sa.Column("ring_after", Milliseconds, nullable=False),
    sa.Column("deadline_at", Milliseconds),
    sa.Column("stop_at", Milliseconds),
    sa.Column("idempotency_key", sa.String(300)),
    sa.Column("fingerprint", sa.String(64)),
    sa.Column("retry_of", sa.String(64)),
    sa.Column("submitted_by", sa.String(64), nullable=False),
    sa.Column("traceparent", sa.String(64)),
    sa.Column("created_at", Milliseconds, nullable=False),
    sa.Column("started_at", Milliseconds),
    sa.Column("finished_at", Milliseconds),
    sa.Column("announce_after", Milliseconds),
    sa.Column("parent_id", sa.String(64)),
    sa.Column("turns", sa.Integer, nullable=False, server_default="0"),
    sa.Column("wakes", sa.Integer, nullable=False, server_default="0"),
    sa.Column("interim", JSON),
    sa.Column("correlation_id", sa.String(64)),
)
_queued = jobs.c.state == sa.literal_column(f"'{State.QUEUED}'")
is_running = jobs.c.state == sa.literal_column(f"'{State.RUNNING}'")
_due = sa.and_(_queued, jobs.c.deadline_at.isnot(None))
_ended = jobs.c.announce_after.isnot(None)
_keyed = jobs.c.idempotency_key.isnot(None)
_child = jobs.c.parent_id.isnot(None)
_retry = jobs.c.retry_of.isnot(None)
_unfinished_child = sa.and_(_child, sa.literal_column("state IN ('queued', 'running')"))
sa.Index(
    "uq_jobs_idempotency_key",
    jobs.c.tenant_id,
    jobs.c.kind,
    jobs.c.idempotency_key,
    unique=True,
    postgresql_where=_keyed,
    sqlite_where=_keyed,
)
sa.Index("ix_jobs_tenant_id", jobs.c.tenant_id, jobs.c.id)
sa.Index("ix_jobs_tenant_kind", jobs.c.tenant_id, jobs.c.kind, jobs.c.id)
sa.Index("ix_jobs_tenant_state", jobs.c.tenant_id, jobs.c.state, jobs.c.id)
sa.Index("ix_jobs_place", jobs.c.place, postgresql_where=_queued, sqlite_where=_queued)
sa.Index("ix_jobs_ring", jobs.c.ring_after, postgresql_where=_queued, sqlite_where=_queued)
sa.Index("ix_jobs_announce", jobs.c.announce_after, postgresql_where=_ended, sqlite_where=_ended)
sa.Index("ix_jobs_deadline", jobs.c.deadline_at, postgresql_where=_due, sqlite_where=_due)
sa.Index("ix_jobs_keyed", jobs.c.created_at, postgresql_where=_keyed, sqlite_where=_keyed)
sa.Index("ix_jobs_children", jobs.c.parent_id, jobs.c.id, postgresql_where=_child, sqlite_where=_child)
sa.Index(
    "ix_jobs_unfinished_children",
    jobs.c.state,
    postgresql_where=_unfinished_child,
    sqlite_where=_unfinished_child,
)
sa.Index("ix_jobs_retries", jobs.c.retry_of, postgresql_where=_retry, sqlite_where=_retry)
sa.Index("ix_jobs_lease", jobs.c.lease_until, postgresql_where=is_running, sqlite_where=is_running)


def still(*states: State) -> sa.ColumnElement[bool]:
    """Guard rows that a statement finds by their ids: they are still in one of some states."""
    state = _unindexed(jobs.c.state)
    return state == states[0] if len(states) == 1 else state.in_(states)


def owned_by(tenant_id: str | sa.BindParameter[str]) -> sa.ColumnElement[bool]:
    """Guard rows that a statement finds by their ids: they are a tenant's."""
    return _unindexed(jobs.c.tenant_id) == tenant_id


def _unindexed(column: sa.Column[str]) -> sa.ColumnElement[str]:
    """Write a column so that no index can find rows by it.

    docs/decisions/statements.md, "A guard is no way to find a row".
    """
    return column.concat(sa.literal_column("''"))


job_tags = sa.Table(
    "job_tags",
    _ledger,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("tag", sa.String(100), primary_key=True),
    sa.Column("job_id", sa.String(64), primary_key=True),
)

job_logs = sa.Table(
    "job_logs",
    _ledger,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("job_id", sa.String(64), primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("at", Milliseconds, nullable=False),
    sa.Column("level", sa.String(16), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("fields", JSON, nullable=False),
)

outbox = sa.Table(
    "outbox",
    _ledger,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("tenant_id", sa.String(64), nullable=False),
    sa.Column("type", sa.String(100), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("data", JSON, nullable=False),
    sa.Column("created_at", Milliseconds, nullable=False),
    sa.Column("leased_until", Milliseconds, nullable=False),
    sa.Column("correlation_id", sa.String(64)),
)

inbox = sa.Table(
    "inbox",
    _ledger,
    sa.Column("message_id", sa.String(200), primary_key=True),
    sa.Column("tenant_id", sa.String(64), nullable=False),
    sa.Column("received_at", Milliseconds, nullable=False),
)

workers = sa.Table(
    "workers",
    _ledger,
    sa.Column("id", sa.String(200), primary_key=True),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("concurrency", sa.Integer, nullable=False),
    sa.Column("busy", sa.Integer, nullable=False),
    sa.Column("version", sa.String(50), nullable=False),
    sa.Column("since", Milliseconds, nullable=False),
    sa.Column("seen_at", Milliseconds, nullable=False),
)


def with_ledger() -> sa.MetaData:
    """Create a role's metadata, which holds the ledger's tables already."""
    metadata = sa.MetaData(naming_convention=NAMING)
    for table in _ledger.sorted_tables:
        table.to_metadata(metadata)
    return metadata
