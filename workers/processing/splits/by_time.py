"""Divides rows in the order of time, and only where the time changes."""

import itertools
from typing import Any

import duckdb

from shared import errors
from shared.processing.splits import require_time
from workers.processing.splits import draw
from workers.processing.splits.shares import Shares
from workers.tabular import table_views

_POINTER = "#/params/by/time"


def assign(
    connection: duckdb.DuckDBPyConnection, view: table_views.TableView, *, shares: Shares, names: list[str], column: str
) -> list[str]:
    """Assign each row to a part by its time; return notes on where the parts begin and end.

    Each cut is moved to the nearest place where the time changes and no part is left empty. BadDataError for rows
    without a time, for a column that is no time, and for fewer times than parts.
    """
    require_time(view.column(column), pointer=_POINTER)
    missing, first = draw.count_missing(connection, view, column)
    if missing:
        raise errors.BadDataError(
            f"the time {column!r} is missing in {missing:,} of {view.rows:,} rows (first in row {first:,}), so they "
            "are in no part's time; load the dataset without these rows, or split by another column",
            pointer=_POINTER,
        )
    value = view.sql_name(column)
    connection.execute(
        "CREATE TABLE times AS SELECT value, row_number() OVER (ORDER BY value) AS place, "
        "CAST(sum(rows) OVER (ORDER BY value) AS BIGINT) AS rows_up_to "
        f"FROM (SELECT {value} AS value, count(*) AS rows FROM {view.name} GROUP BY {value})"
    )
    cuts = _cut(connection, shares, rows=view.rows, column=column)
    cases = " ".join(
        f"WHEN {value} <= (SELECT value FROM times WHERE place = {place}) THEN {part}"
        for part, place in enumerate(cuts)
    )
    draw.assign(connection, f"SELECT row, CAST(CASE {cases} ELSE {len(cuts)} END AS UTINYINT) AS part FROM {view.name}")
    return _note_spans(connection, cuts, names=names, column=column)


def _cut(connection: duckdb.DuckDBPyConnection, shares: Shares, *, rows: int, column: str) -> list[int]:
    """Choose the place of each part's last time, but for the last part, whose last time is the last of all."""
    ((times,),) = connection.execute("SELECT count(*) FROM times").fetchall()
    parts = len(shares.weights)
    if times < parts:
        raise errors.BadDataError(
            f"the column {column!r} has {draw.plural(times, 'different time')}, too few for {parts} parts, since rows "
            "of the same time are never separated",
            pointer=_POINTER,
        )
    cuts: list[int] = []
    for number, wanted in enumerate(itertools.accumulate(shares.apportion(rows)[:-1]), start=1):
        ((place,),) = connection.execute(
            "SELECT place FROM times WHERE place > ? AND place <= ? ORDER BY abs(rows_up_to - ?), place LIMIT 1",
            [cuts[-1] if cuts else 0, times - (parts - number), wanted],
        ).fetchall()
        cuts.append(place)
    return cuts


def _note_spans(connection: duckdb.DuckDBPyConnection, cuts: list[int], *, names: list[str], column: str) -> list[str]:
    ((times,),) = connection.execute("SELECT count(*) FROM times").fetchall()
    spans = []
    for name, before, last in zip(names, [0, *cuts], [*cuts, times], strict=True):
        ends = connection.execute(
            "SELECT value FROM times WHERE place IN (?, ?) ORDER BY place", [before + 1, last]
        ).fetchall()
        spans.append(f"{name} from {_show(ends[0][0])} to {_show(ends[-1][0])}")
    return [f"By {column!r}: {'; '.join(spans)}."]


def _show(value: Any) -> str:
    return f"{value.isoformat()}Z" if hasattr(value, "hour") else str(value)
