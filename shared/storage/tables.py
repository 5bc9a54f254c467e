"""The tables of the storage role."""

import sqlalchemy as sa

from shared.jobs import tables

metadata = tables.with_ledger()

archives = sa.Table(
    "archives",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("tenant_id", sa.String(64), nullable=False),
    sa.Column("job_id", sa.String(64), nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("created_at", tables.Milliseconds, nullable=False),
    sa.Column("deleted_at", tables.Milliseconds),
    sa.Column("key", sa.String(400), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("items", tables.JSON, nullable=False),
)
archive_keys = sa.Table(
    "archive_keys",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("secret", sa.String(100), nullable=False),
    sa.Column("created_at", tables.Milliseconds, nullable=False),
)
sa.Index("ix_archives_tenant", archives.c.tenant_id, archives.c.id)
