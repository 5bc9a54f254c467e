"""The tables of the training role."""

import sqlalchemy as sa

from shared.catalog import marks, metric_values, versions
from shared.catalog.lineage import add_table
from shared.jobs import tables

metadata = tables.with_ledger()

models = versions.add_heads(metadata, "models")
model_versions = sa.Table(
    "model_versions",
    metadata,
    *versions.key_columns(),
    sa.Column("problem", sa.String(32), nullable=False),
    sa.Column("target", sa.Text),
    sa.Column("estimator", tables.JSON, nullable=False),
    sa.Column("recipe", tables.JSON, nullable=False),
    sa.Column("metrics", tables.JSON, nullable=False),
    sa.Column("signature", tables.JSON, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("dropped_columns", tables.JSON, nullable=False),
    sa.Column("warnings", tables.JSON, nullable=False),
    sa.Column("notes", tables.JSON, nullable=False),
    sa.Column("libraries", tables.JSON, nullable=False),
    sa.Column("lineage", tables.JSON, nullable=False),
    sa.Column("details", tables.JSON),
    # What `lineage` says of the training data: the version of a dataset, and its name.
    sa.Column("dataset_label", sa.String(200), nullable=False, server_default=""),
    sa.Column("dataset_name", sa.String(128), nullable=False, server_default=""),
)
_newest = (model_versions.c.created_at, model_versions.c.name, model_versions.c.version)
sa.Index("ix_model_versions_newest", model_versions.c.tenant_id, *_newest)
sa.Index("ix_model_versions_dataset", model_versions.c.tenant_id, model_versions.c.dataset_name, *_newest)
model_metrics = metric_values.add_table(
    metadata,
    "model_metrics",
    key=[sa.Column("name", sa.String(63), primary_key=True), sa.Column("version", sa.Integer, primary_key=True)],
    groups=[sa.Column("name", sa.String(63)), sa.Column("dataset_name", sa.String(128), nullable=False)],
)
model_tags = marks.add_version_table(metadata, "model_tags")
model_aliases = sa.Table(
    "model_aliases",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("alias", sa.String(63), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("updated_by", sa.String(64), nullable=False),
    sa.Column("updated_at", tables.Milliseconds, nullable=False),
)
model_alias_changes = sa.Table(
    "model_alias_changes",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("tenant_id", sa.String(64), nullable=False),
    sa.Column("name", sa.String(63), nullable=False),
    sa.Column("alias", sa.String(63), nullable=False),
    sa.Column("version", sa.Integer),
    sa.Column("changed_by", sa.String(64), nullable=False),
    sa.Column("changed_at", tables.Milliseconds, nullable=False),
    sa.Column("archive_sha256", sa.String(64)),
)
sa.Index(
    "ix_model_alias_changes_alias",
    model_alias_changes.c.tenant_id,
    model_alias_changes.c.name,
    model_alias_changes.c.alias,
    model_alias_changes.c.id,
)
sa.Index("ix_model_aliases_version", model_aliases.c.tenant_id, model_aliases.c.name, model_aliases.c.version)
model_exports = sa.Table(
    "model_exports",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("format", sa.String(16), primary_key=True),
    sa.Column("job_id", sa.String(64), nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("created_at", tables.Milliseconds, nullable=False),
    sa.Column("key", sa.String(400), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("details", tables.JSON, nullable=False),
)
add_table(metadata)
