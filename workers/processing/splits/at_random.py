"""Divides rows at random."""

import duckdb

from workers.processing.splits import draw
from workers.processing.splits.shares import Shares
from workers.tabular import table_views


def assign(
    connection: duckdb.DuckDBPyConnection, view: table_views.TableView, *, shares: Shares, seed: int
) -> list[str]:
    """Assign each row to a part, by its place when all rows are ordered by lot; return notes."""
    part = draw.choose_part("place", shares.apportion(view.rows))
    lots = f"SELECT row, row_number() OVER (ORDER BY {draw.lot('row', seed=seed)}, row) AS place FROM {view.name}"
    draw.assign(connection, f"SELECT row, {part} AS part FROM ({lots})")
    return []
