"""The tables of the ingestion role."""

import sqlalchemy as sa

from shared.catalog import datasets
from shared.jobs import tables

metadata = tables.with_ledger()
datasets.add_tables(metadata)

locks = sa.Table(
    "dataset_locks",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("job_id", sa.String(64), nullable=False),
)
