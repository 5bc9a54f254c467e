"""The tables of the values of metrics, which evaluation and training get by revisions of their own.

The existing rows hold their metrics, so that their values can be added too.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

from migrations import initial_tables

_ROWS_AT_ONCE = 1000
_MAX_NAME = 200


Types = Mapping[str, sa.types.TypeEngine[Any]]


def add_columns(table: str, columns: Types) -> None:
    """Add columns of texts to a table, and let nobody write to it until the revision is done; reads go on.

    On PostgreSQL adding a column keeps readers out until its transaction ends, so it has one of its own, which is over
    at once; if the rest fails, the columns are there when the revision is run again.
    """
    added = [sa.Column(name, type_, nullable=False, server_default="") for name, type_ in columns.items()]
    if op.get_bind().dialect.name != "postgresql":
        for column in added:
            op.add_column(table, column)
        return
    with op.get_context().autocommit_block():
        for column in added:
            op.add_column(table, column, if_not_exists=True)
    op.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")


def create(table: str, key: Types, groups: Types) -> None:
    """Create a table of values; its indexes are built once it is filled."""
    op.create_table(
        table,
        sa.Column("tenant_id", sa.String(64), nullable=False),
        *(sa.Column(name, type_, nullable=False) for name, type_ in key.items()),
        sa.Column("metric", sa.String(_MAX_NAME), nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        *(sa.Column(name, type_, nullable=False) for name, type_ in groups.items() if name not in key),
        sa.PrimaryKeyConstraint("tenant_id", *key, "metric", name=op.f(f"pk_{table}")),
    )


def create_indexes(table: str, key: Types, groups: Types) -> None:
    """Index the values, also within each group within which lists are sorted."""
    op.create_index(f"ix_{table}_value", table, ["tenant_id", "metric", "value", *key])
    for group in groups:
        rest = [name for name in key if name != group]
        op.create_index(f"ix_{table}_{group}", table, ["tenant_id", group, "metric", "value", *rest])


def fill(table: str, source: str, columns: tuple[str, ...], *, where: Any = None) -> None:
    """Add the values of the rows of a table, some at a time; `columns` are those that both tables have."""
    rows = sa.table(source, sa.column("metrics", initial_tables.JSON), *map(sa.column, columns))
    target = sa.table(table, *map(sa.column, (*columns, "metric", "value")))
    query = sa.select(rows) if where is None else sa.select(rows).where(where)
    for part in op.get_bind().execute(query, execution_options={"yield_per": _ROWS_AT_ONCE}).partitions():
        values = [
            {**{name: getattr(row, name) for name in columns}, "metric": metric, "value": value}
            for row in part
            for metric, value in _list_values(row.metrics)
        ]
        if values:
            op.get_bind().execute(sa.insert(target), values)


def _list_values(metrics: Mapping[str, Any]) -> list[tuple[str, float]]:
    means = {metric: entry.get("mean") if isinstance(entry, dict) else entry for metric, entry in metrics.items()}
    return [
        (metric, float(value))
        for metric, value in means.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and len(metric) <= _MAX_NAME
    ]
