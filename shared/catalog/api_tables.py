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

webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("tenant_id", sa.String(64), nullable=False),
    sa.Column("name", sa.String(63), nullable=False),
    sa.Column("url", sa.String(2000), nullable=False),
    sa.Column("types", tables.JSON, nullable=False),
    sa.Column("subject", sa.String(200)),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("disabled_reason", sa.String(500)),
    sa.Column("disabled_at", tables.Milliseconds),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("salt", sa.String(64), nullable=False),
    sa.Column("earlier_salts", tables.JSON, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("paused_until", tables.Milliseconds, nullable=False),
    sa.Column("throttles", sa.Integer, nullable=False),
    sa.Column("failing_since", tables.Milliseconds),
    sa.Column("delivered_at", tables.Milliseconds),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("created_at", tables.Milliseconds, nullable=False),
    sa.Column("updated_at", tables.Milliseconds, nullable=False),
    sa.Column("deleted_at", tables.Milliseconds),
)
_undeleted = webhooks.c.deleted_at.is_(None)
sa.Index(
    "uq_webhooks_name",
    webhooks.c.tenant_id,
    webhooks.c.name,
    unique=True,
    postgresql_where=_undeleted,
    sqlite_where=_undeleted,
)

webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("tenant_id", sa.String(64), nullable=False),
    sa.Column("webhook_id", sa.String(26), nullable=False),
    sa.Column("event_id", sa.String(100), nullable=False),
    sa.Column("type", sa.String(100), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("payload", tables.JSON),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("leases", sa.Integer, nullable=False),
    sa.Column("leased_until", tables.Milliseconds, nullable=False),
    sa.Column("due_at", tables.Milliseconds, nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("error", sa.String(300)),
    sa.Column("created_at", tables.Milliseconds, nullable=False),
    sa.Column("attempted_at", tables.Milliseconds),
    sa.Column("ended_at", tables.Milliseconds),
)
_deliveries = webhook_deliveries.c
_pending = _deliveries.state == sa.literal_column("'pending'")
_has_ended = _deliveries.ended_at.isnot(None)
sa.Index("uq_webhook_deliveries_event", _deliveries.webhook_id, _deliveries.event_id, unique=True)
sa.Index("ix_webhook_deliveries_newest", _deliveries.webhook_id, _deliveries.id)
sa.Index("ix_webhook_deliveries_state", _deliveries.webhook_id, _deliveries.state, _deliveries.id)
sa.Index(
    "ix_webhook_deliveries_due",
    _deliveries.webhook_id,
    _deliveries.due_at,
    postgresql_where=_pending,
    sqlite_where=_pending,
)
sa.Index(
    "ix_webhook_deliveries_leased",
    _deliveries.webhook_id,
    _deliveries.leased_until,
    postgresql_where=_pending,
    sqlite_where=_pending,
)
sa.Index("ix_webhook_deliveries_ended", _deliveries.ended_at, postgresql_where=_has_ended, sqlite_where=_has_ended)

webhook_keys = sa.Table(
    "webhook_keys",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("secret", sa.String(64), nullable=False),
    sa.Column("created_at", tables.Milliseconds, nullable=False),
)
"""What webhooks' secrets are computed from, where no setting and no file has it: `shared.webhooks.keys`."""
