"""The id that ties the jobs and events of one story together, which every role's database gets by a revision."""

import sqlalchemy as sa
from alembic import op

_TABLES = ("jobs", "outbox")


def add_columns() -> None:
    """Keep a correlation id with jobs and with events that are not relayed yet."""
    for table in _TABLES:
        op.add_column(table, sa.Column("correlation_id", sa.String(64)))


def drop_columns() -> None:
    """Forget the correlation ids."""
    for table in reversed(_TABLES):
        op.drop_column(table, "correlation_id")
