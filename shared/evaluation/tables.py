"""The tables of the evaluation role."""

import sqlalchemy as sa

from shared.catalog import marks, metric_values
from shared.catalog.lineage import add_table
from shared.jobs import tables

metadata = tables.with_ledger()

evaluations = sa.Table(
    "evaluations",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("tenant_id", sa.String(64), nullable=False),
    sa.Column("job_id", sa.String(64), nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("created_at", tables.Milliseconds, nullable=False),
    sa.Column("model", sa.String(128), nullable=False),
    sa.Column("dataset", sa.String(128), nullable=False),
    sa.Column("metrics", tables.JSON, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("skipped_rows", sa.BigInteger, nullable=False),
    sa.Column("warnings", tables.JSON, nullable=False),
    sa.Column("lineage", tables.JSON, nullable=False),
    sa.Column("intervals", tables.JSON, nullable=False, server_default="{}"),
    sa.Column("comparison", tables.JSON),
    sa.Column("slices", tables.JSON, nullable=False, server_default="[]"),
    sa.Column("gate", tables.JSON),
    sa.Column("positive", tables.JSON),
    sa.Column("undefined", tables.JSON, nullable=False, server_default="{}"),
    sa.Column("details", tables.JSON),
    sa.Column("baseline_details", tables.JSON),
    # The names of `model` and `dataset`, whatever the version.
    sa.Column("model_name", sa.String(128), nullable=False, server_default=""),
    sa.Column("dataset_name", sa.String(128), nullable=False, server_default=""),
    *marks.columns(),
)
sa.Index("ix_evaluations_tenant", evaluations.c.tenant_id, evaluations.c.id)
sa.Index("ix_evaluations_model", evaluations.c.tenant_id, evaluations.c.model_name, evaluations.c.id)
sa.Index("ix_evaluations_dataset", evaluations.c.tenant_id, evaluations.c.dataset_name, evaluations.c.id)
evaluation_metrics = metric_values.add_table(
    metadata,
    "evaluation_metrics",
    key=[sa.Column("id", sa.String(64), primary_key=True)],
    groups=[sa.Column(name, sa.String(128), nullable=False) for name in ("model_name", "dataset_name")],
)
evaluation_tags = marks.add_table(metadata, "evaluation_tags", key=[sa.Column("id", sa.String(64), primary_key=True)])
add_table(metadata)
