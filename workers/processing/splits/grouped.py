"""Divides whole groups: rows with equal values in a column stay together."""

from collections.abc import Iterator

import duckdb
import numpy as np
import pyarrow as pa

from shared import errors
from workers.processing.splits import draw
from workers.processing.splits.shares import GroupAllocator, Shares
from workers.tabular import query_results, table_views

_BATCH_ROWS = 65_536


def assign(
    connection: duckdb.DuckDBPyConnection, view: table_views.TableView, *, shares: Shares, seed: int, column: str
) -> list[str]:
    """Assign each group to a part, in the order of the groups' lots; return notes.

    Missing values are one group. BadDataError for fewer groups than parts.
    """
    value, parts = view.sql_name(column), len(shares.weights)
    # A group is known by its first row from here on: its lot then doesn't depend on its size, nor on its value's type.
    connection.execute(
        f"CREATE TABLE groups AS SELECT {value} AS value, min(row) AS first, count(*) AS rows "
        f"FROM {view.name} GROUP BY {value}"
    )
    ((count,),) = connection.execute("SELECT count(*) FROM groups").fetchall()
    if count < parts:
        raise errors.BadDataError(
            f"the column {column!r} has {draw.plural(count, 'different value')}, too few for {parts} parts, since a "
            "group is never in two parts",
            pointer="#/params/by/group",
        )
    connection.execute("CREATE TABLE given (first BIGINT, part UTINYINT)")
    connection.begin()
    for batch in _allocate(connection, GroupAllocator(shares, groups=count), seed=seed):
        connection.register("incoming", batch)
        connection.execute("INSERT INTO given FROM incoming")
    connection.commit()
    draw.assign(
        connection,
        f"SELECT row, part FROM {view.name} JOIN (SELECT value, part FROM groups JOIN given USING (first)) AS known "
        f"ON {value} IS NOT DISTINCT FROM known.value",
    )
    missing, _ = draw.count_missing(connection, view, column)
    have = "row has" if missing == 1 else "rows have"
    return [f"{missing:,} {have} no value in {column!r} and are one group."] if missing else []


def _allocate(connection: duckdb.DuckDBPyConnection, allocator: GroupAllocator, *, seed: int) -> Iterator[pa.Table]:
    """Allocate the groups, batch by batch, so that as many may be there as rows."""
    query = f"SELECT first, rows FROM groups ORDER BY {draw.lot('first', seed=seed)}, first"
    for batch in query_results.read(connection, query, batch_rows=_BATCH_ROWS):
        parts = np.array([allocator.give(rows) for rows in batch.column(1).to_pylist()], np.uint8)
        yield pa.table({"first": batch.column(0), "part": parts})
