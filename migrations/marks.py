"""Tags and a note on versions and evaluations, which the roles that keep them get by revisions of their own."""

import sqlalchemy as sa
from alembic import op

from migrations import initial_tables


def add(table: str, tag_table: str, *key: sa.Column[str] | sa.Column[int]) -> None:
    """Add the columns to a table, and the table of its tags; without a `key`, that of versions."""
    op.add_column(table, sa.Column("tags", initial_tables.JSON, nullable=False, server_default="[]"))
    op.add_column(table, sa.Column("note", sa.Text))
    columns = key or (
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
    )
    names = [column.name for column in columns]
    op.create_table(
        tag_table,
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("tag", sa.String(100), nullable=False),
        *columns,
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "tag", *names, name=op.f(f"pk_{tag_table}")),
    )
    op.create_index(f"ix_{tag_table}_newest", tag_table, ["tenant_id", "tag", "created_at", *names])
    op.create_index(f"ix_{tag_table}_key", tag_table, ["tenant_id", *names])


def remove(table: str, tag_table: str) -> None:
    """Remove both."""
    op.drop_table(tag_table)
    op.drop_column(table, "note")
    op.drop_column(table, "tags")
