"""The tables of the API's own database: keys, mirror of names (`catalog`), owners of dataset names, event log."""

import sqlalchemy as sa

from shared.jobs import tables

metadata = sa.MetaData(naming_convention=tables.NAMING)

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("tenant_id", sa.String(64), nullable=False),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("prefix", sa.String(16), nullable=False, unique=True),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("scopes", tables.JSON, nullable=False),
    sa.Column("created_at", tables.Milliseconds, nullable=False),
    sa.Column("expires_at", tables.Milliseconds),
    sa.Column("revoked_at", tables.Milliseconds),
    sa.Column("max_priority", sa.SmallInteger),
)

catalog = sa.Table(
    "catalog",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("type", sa.String(16), primary_key=True),
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("label", sa.String(63), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("role", sa.String(32), nullable=False),
    sa.Column("pin", tables.JSON),
    sa.Column("noted_at", tables.Milliseconds, nullable=False),
)

dataset_names = sa.Table(
    "dataset_names",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("role", sa.String(32), nullable=False),
    sa.Column("asked_at", tables.Milliseconds, nullable=False),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("id", sa.String(100), nullable=False),
    sa.Column("role", sa.String(32), nullable=False),
    sa.Column("tenant_id", sa.String(64), nullable=False),
    sa.Column("type", sa.String(100), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("correlation_id", sa.String(100), nullable=False),
    sa.Column("data", tables.JSON, nullable=False),
    sa.Column("created_at", tables.Milliseconds, nullable=False),
    sa.Column("logged_at", tables.Milliseconds, nullable=False),
)
sa.Index("uq_events_id", events.c.id, unique=True)
sa.Index("ix_events_tenant", events.c.tenant_id, events.c.position)
sa.Index("ix_events_type", events.c.tenant_id, events.c.type, events.c.position)
sa.Index("ix_events_subject", events.c.tenant_id, events.c.subject, events.c.position)
sa.Index("ix_events_correlation", events.c.tenant_id, events.c.correlation_id, events.c.position)

event_heads = sa.Table(
    "event_heads",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
)

event_cursors = sa.Table(
    "event_cursors",
    metadata,
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("leased_by", sa.String(100)),
    sa.Column("leased_until", tables.Milliseconds, nullable=False),
)
