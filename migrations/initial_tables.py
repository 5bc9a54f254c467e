"""The tables that several stores start with, as their first revisions create them.

A first revision never changes, so neither does this file: a later change is a revision of its own in each
store.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def create_ledger() -> None:
    """Create the tables that every role has: jobs, tags, outbox, inbox and workers."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(64), nullable=False),
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
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("run_after", sa.BigInteger, nullable=False),
        sa.Column("ring_after", sa.BigInteger, nullable=False),
        sa.Column("deadline_at", sa.BigInteger),
        sa.Column("stop_at", sa.BigInteger),
        sa.Column("idempotency_key", sa.String(300)),
        sa.Column("fingerprint", sa.String(64)),
        sa.Column("retry_of", sa.String(64)),
        sa.Column("submitted_by", sa.String(64), nullable=False),
        sa.Column("traceparent", sa.String(64)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("finished_at", sa.BigInteger),
        sa.Column("announce_after", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index(
        "ix_jobs_announce",
        "jobs",
        ["announce_after"],
        postgresql_where=sa.text("announce_after IS NOT NULL"),
        sqlite_where=sa.text("announce_after IS NOT NULL"),
    )
    op.create_index(
        "ix_jobs_deadline",
        "jobs",
        ["deadline_at"],
        postgresql_where=sa.text("state = 'queued' AND deadline_at IS NOT NULL"),
        sqlite_where=sa.text("state = 'queued' AND deadline_at IS NOT NULL"),
    )
    op.create_index(
        "ix_jobs_keyed",
        "jobs",
        ["created_at"],
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
        sqlite_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_index(
        "ix_jobs_lease",
        "jobs",
        ["lease_until"],
        postgresql_where=sa.text("state = 'running'"),
        sqlite_where=sa.text("state = 'running'"),
    )
    op.create_index(
        "ix_jobs_place",
        "jobs",
        ["place"],
        postgresql_where=sa.text("state = 'queued'"),
        sqlite_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "ix_jobs_ring",
        "jobs",
        ["ring_after"],
        postgresql_where=sa.text("state = 'queued'"),
        sqlite_where=sa.text("state = 'queued'"),
    )
    op.create_index("ix_jobs_tenant_id", "jobs", ["tenant_id", "id"])
    op.create_index("ix_jobs_tenant_kind", "jobs", ["tenant_id", "kind", "id"])
    op.create_index("ix_jobs_tenant_state", "jobs", ["tenant_id", "state", "id"])
    op.create_index(
        "uq_jobs_idempotency_key",
        "jobs",
        ["tenant_id", "kind", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
        sqlite_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_table(
        "job_tags",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("tag", sa.String(100), nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "tag", "job_id", name=op.f("pk_job_tags")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("type", sa.String(100), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("data", JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("leased_until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_table(
        "inbox",
        sa.Column("message_id", sa.String(200), nullable=False),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_inbox")),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.String(200), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("concurrency", sa.Integer, nullable=False),
        sa.Column("busy", sa.Integer, nullable=False),
        sa.Column("version", sa.String(50), nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )


def drop_ledger() -> None:
    """Remove the tables that every role has, and every job with them."""
    for table in ("workers", "inbox", "outbox", "job_tags", "jobs"):
        op.drop_table(table)


def create_datasets() -> None:
    """Create the tables of datasets."""
    op.create_table(
        "datasets",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("last_version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", name=op.f("pk_datasets")),
    )
    op.create_table(
        "dataset_versions",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("deleted_at", sa.BigInteger),
        sa.Column("key", sa.String(400), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("columns", JSON, nullable=False),
        sa.Column("profile", JSON, nullable=False),
        sa.Column("notes", JSON, nullable=False),
        sa.Column("lineage", JSON, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", "version", name=op.f("pk_dataset_versions")),
    )


def drop_datasets() -> None:
    """Remove the tables of datasets, and every dataset with them."""
    for table in ("dataset_versions", "datasets"):
        op.drop_table(table)
