"""The table of what was made of what, as each role that makes something gets it in a revision of its own.

The rows of what was made before say what it was made of, so that its edges can be made too.
"""

from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op

from migrations import parts

_EDGE = ("tenant_id", "source_type", "source", "job_id", "target_type", "target")
_SOURCES = (("dataset", "dataset"), ("features", "features"), ("model", "model"))
_ROWS_AT_ONCE = 1000


def create_edges() -> None:
    """Make the table of edges."""
    op.create_table(
        "lineage_edges",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("source_type", sa.String(16), nullable=False),
        sa.Column("source", sa.String(128), nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("target_type", sa.String(16), nullable=False),
        sa.Column("target", sa.String(128), nullable=False),
        sa.PrimaryKeyConstraint(*_EDGE, name=op.f("pk_lineage_edges")),
    )


def drop_edges() -> None:
    """Remove the table of edges."""
    op.drop_table("lineage_edges")


def fill_from_versions(table: str, made: str) -> None:
    """Make the edges of the versions that a table holds already."""
    names = ("tenant_id", "name", "version", "job_id")
    found = sa.table(table, *map(sa.column, names), sa.column("lineage", parts.JSON))
    _fill(
        (row.tenant_id, source_type, row.lineage[key], row.job_id, made, f"{row.name}@{row.version}")
        for row in op.get_bind().execute(sa.select(found)).all()
        for key, source_type in _SOURCES
        if isinstance(row.lineage.get(key), str)
    )


def fill_from_evaluations() -> None:
    """Make the edges of the evaluations that are there already."""
    found = sa.table("evaluations", *map(sa.column, ("tenant_id", "id", "job_id", "model", "dataset")))
    _fill(
        (row.tenant_id, source_type, getattr(row, source_type), row.job_id, "evaluation", row.id)
        for row in op.get_bind().execute(sa.select(found)).all()
        for source_type in ("model", "dataset")
    )


def _fill(edges: Iterable[tuple[str, ...]]) -> None:
    table = sa.table("lineage_edges", *map(sa.column, _EDGE))
    rows = [dict(zip(_EDGE, edge, strict=True)) for edge in edges]
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        op.get_bind().execute(sa.insert(table), rows[start : start + _ROWS_AT_ONCE])
