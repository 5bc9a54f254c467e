"""The table of lineage edges, which each role that makes versions or evaluations gets by a revision of its own.

The existing rows contain what they were made of, so that their edges can be added too.
"""

from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op

from migrations import initial_tables

_EDGE_COLUMNS = ("tenant_id", "source_type", "source", "job_id", "target_type", "target")
_SOURCES = (("dataset", "dataset"), ("features", "features"), ("model", "model"))
_ROWS_AT_ONCE = 1000


def create_edges() -> None:
    """Create the table of edges."""
    op.create_table(
        "lineage_edges",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("source_type", sa.String(16), nullable=False),
        sa.Column("source", sa.String(128), nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("target_type", sa.String(16), nullable=False),
        sa.Column("target", sa.String(128), nullable=False),
        sa.PrimaryKeyConstraint(*_EDGE_COLUMNS, name=op.f("pk_lineage_edges")),
    )


def drop_edges() -> None:
    """Remove the table of edges."""
    op.drop_table("lineage_edges")


def fill_from_versions(table: str, target_type: str) -> None:
    """Add the edges of the versions that are in a table already."""
    names = ("tenant_id", "name", "version", "job_id")
    versions = sa.table(table, *map(sa.column, names), sa.column("lineage", initial_tables.JSON))
    _fill(
        (row.tenant_id, source_type, row.lineage[key], row.job_id, target_type, f"{row.name}@{row.version}")
        for row in op.get_bind().execute(sa.select(versions)).all()
        for key, source_type in _SOURCES
        if isinstance(row.lineage.get(key), str)
    )


def fill_from_evaluations() -> None:
    """Add the edges of the existing evaluations."""
    evaluations = sa.table("evaluations", *map(sa.column, ("tenant_id", "id", "job_id", "model", "dataset")))
    _fill(
        (row.tenant_id, source_type, getattr(row, source_type), row.job_id, "evaluation", row.id)
        for row in op.get_bind().execute(sa.select(evaluations)).all()
        for source_type in ("model", "dataset")
    )


def _fill(edges: Iterable[tuple[str, ...]]) -> None:
    table = sa.table("lineage_edges", *map(sa.column, _EDGE_COLUMNS))
    rows = [dict(zip(_EDGE_COLUMNS, edge, strict=True)) for edge in edges]
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        op.get_bind().execute(sa.insert(table), rows[start : start + _ROWS_AT_ONCE])
