"""The tables of the processing role."""

import sqlalchemy as sa

from shared.catalog import datasets, marks, versions
from shared.jobs import tables

metadata = tables.with_ledger()
datasets.add_tables(metadata)

features = versions.add_heads(metadata, "features")
feature_versions = sa.Table(
    "feature_versions",
    metadata,
    *versions.key_columns(),
    sa.Column("recipe", tables.JSON, nullable=False),
    sa.Column("columns", tables.JSON, nullable=False),
    sa.Column("dataset", tables.JSON, nullable=False),
    sa.Column("notes", tables.JSON, nullable=False),
    sa.Column("lineage", tables.JSON, nullable=False),
    sa.Column("target", sa.Text),
)
feature_tags = marks.add_version_table(metadata, "feature_tags")

feature_publications = sa.Table(
    "feature_publications",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("keyed_by", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(400), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("key_columns", tables.JSON, nullable=False),
    sa.Column("columns", tables.JSON, nullable=False),
    sa.Column("dataset", sa.String(127), nullable=False),
    sa.Column("job_id", sa.String(64), nullable=False),
    sa.Column("published_at", tables.Milliseconds, nullable=False),
    sa.Column("pushes", sa.BigInteger, nullable=False),
)
"""What was published last of each version by each key; `keyed_by` is the hash of the key's names, which may be long.

`pushes` counts how often rows were pushed since the first publication, and gives each push its number.
"""

pushed_rows = sa.Table(
    "pushed_rows",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("keyed_by", sa.String(64), primary_key=True),
    sa.Column("key_hash", sa.String(32), primary_key=True),
    sa.Column("values", tables.JSON, nullable=False),
    sa.Column("push", sa.BigInteger, nullable=False),
    sa.Column("pushed_at", tables.Milliseconds, nullable=False),
)
"""Values that were pushed since the last publication, by the hash of their key; `push` is that of the latest one."""
sa.Index(
    "ix_pushed_rows_push",
    pushed_rows.c.tenant_id,
    pushed_rows.c.name,
    pushed_rows.c.version,
    pushed_rows.c.keyed_by,
    pushed_rows.c.push,
)
