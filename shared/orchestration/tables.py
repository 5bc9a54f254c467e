"""The tables of the orchestration role."""

from shared.jobs import tables

metadata = tables.with_ledger()

schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("document", tables.JSON, nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("created_at", tables.Milliseconds, nullable=False),
    sa.Column("updated_at", tables.Milliseconds, nullable=False),
    sa.Column("decided_until", tables.Milliseconds, nullable=False),
    sa.Column("next_at", tables.Milliseconds),
    sa.Column("last_run", sa.String(64)),
)
"""Schedules. `created_by` is the key with whose rights runs act, that of whoever put it last. Of all firings up to
`decided_until` it is decided what becomes of them; `next_at` is the first one after it, null when there is none."""
_fires = schedules.c.next_at.isnot(None)
sa.Index("ix_schedules_next", schedules.c.next_at, postgresql_where=_fires, sqlite_where=_fires)

schedule_firings = sa.Table(
    "schedule_firings",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("schedule", sa.String(63), primary_key=True),
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("at", tables.Milliseconds, nullable=False),
    sa.Column("until", tables.Milliseconds, nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(500)),
    sa.Column("run", sa.String(64)),
    sa.Column("decided_at", tables.Milliseconds, nullable=False),
)
"""What became of firings: a row for each that started a run or was skipped, and one for a stretch of missed ones."""
