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
