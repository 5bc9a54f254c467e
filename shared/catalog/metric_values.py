"""Values of metrics, a row each, by which lists of evaluations and of models' versions are filtered and sorted.

They stand in the document of an evaluation or a version as well; these rows are for the indexes. See
docs/decisions/evaluation.md, "The values of metrics have rows of their own".
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from shared import storable

MAX_NAME = 200
"""Metrics with longer names, after classes that are whole texts, are shown but can't be sorted by."""


def add_table(
    metadata: sa.MetaData, name: str, *, key: Sequence[sa.Column[Any]], groups: Sequence[sa.Column[Any]]
) -> sa.Table:
    """Add a table of values; a group is a column within whose values lists are sorted, and may be a part of the key."""
    names = [column.name for column in key]
    table = sa.Table(
        name,
        metadata,
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        *key,
        sa.Column("metric", sa.String(MAX_NAME), primary_key=True),
        sa.Column("value", sa.Double, nullable=False),
        *(column for column in groups if column.name not in names),
    )
    sa.Index(f"ix_{name}_value", *(table.c[column] for column in ("tenant_id", "metric", "value", *names)))
    for group in groups:
        rest = [column for column in names if column != group.name]
        columns = ("tenant_id", group.name, "metric", "value", *rest)
        sa.Index(f"ix_{name}_{group.name}", *(table.c[column] for column in columns))
    return table


def note(connection: sa.Connection, table: sa.Table, metrics: Mapping[str, Any], **columns: Any) -> None:
    """Write the rows of an evaluation or a version, in the transaction that writes its own."""
    rows = [{**columns, "metric": metric, "value": value} for metric, value in list_values(metrics)]
    if rows:
        connection.execute(sa.insert(table), rows)


def list_values(metrics: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    """List the metrics that have a value: a number, or the mean over folds, where it is defined."""
    for metric, entry in metrics.items():
        value = entry.get("mean") if isinstance(entry, Mapping) else entry
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            continue
        if len(metric) <= MAX_NAME:
            yield storable.to_text(metric), float(value)
