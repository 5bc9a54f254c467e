"""The tables of the orchestration role: pipelines with their versions, and runs with the states of their steps."""

import sqlalchemy as sa

from shared.jobs import tables

metadata = tables.with_ledger()

pipelines = sa.Table(
    "pipelines",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("last_version", sa.Integer, nullable=False),
    sa.Column("created_at", tables.Milliseconds, nullable=False),
    sa.Column("updated_at", tables.Milliseconds, nullable=False),
    sa.Column("retired_at", tables.Milliseconds),
)

pipeline_versions = sa.Table(
    "pipeline_versions",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("document", tables.JSON, nullable=False),
    sa.Column("steps", sa.Integer, nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("created_at", tables.Milliseconds, nullable=False),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("tenant_id", sa.String(64), nullable=False),
    sa.Column("pipeline", sa.String(63), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("document", tables.JSON, nullable=False),
    sa.Column("params", tables.JSON, nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("correlation_id", sa.String(64), nullable=False),
    sa.Column("conducted_by", sa.String(64), nullable=False),
    sa.Column("cursor", sa.String(200)),
    sa.Column("looked_at", tables.Milliseconds, nullable=False),
    sa.Column("trouble", sa.String(500)),
    sa.Column("at", tables.Milliseconds),
    sa.Column("started_at", tables.Milliseconds, nullable=False),
    sa.Column("ended_at", tables.Milliseconds),
)
"""The runs that have begun. `id` is that of the run's job, `conducted_by` that of the job that takes its turns: the
same, until it has ended otherwise than by its own steps and another one winds it up. `document` is the pipeline with
what was edited for this run, `cursor` is how far its events are read, and `at` the moment that it is about, if it was
given one."""
_open = runs.c.ended_at.is_(None)
sa.Index("ix_runs_story", runs.c.tenant_id, runs.c.correlation_id, postgresql_where=_open, sqlite_where=_open)
sa.Index("ix_runs_open", runs.c.conducted_by, postgresql_where=_open, sqlite_where=_open)

run_steps = sa.Table(
    "run_steps",
    metadata,
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("step", sa.String(63), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("tenant_id", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("step_job_id", sa.String(64)),
    sa.Column("item", tables.JSON),
    sa.Column("result", tables.JSON),
    sa.Column("error", sa.Text),
    sa.Column("retryable", sa.Boolean, nullable=False),
    sa.Column("skip_cause", sa.String(16)),
    sa.Column("not_before", tables.Milliseconds),
    sa.Column("since", tables.Milliseconds),
    sa.Column("submission", tables.JSON),
)
"""The steps of runs. `number` is that of the item, or -1 for a step without items. `submission` is the job that is
about to be submitted, until its id is known. That id is not called `job_id`, because jobs of this role that a column of
this name has are kept for good, and those of steps are most often another role's."""

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
