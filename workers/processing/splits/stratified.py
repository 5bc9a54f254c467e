"""Divides each class of a column by the same shares."""

import duckdb
import pyarrow as pa

from shared import errors
from workers.processing.splits import draw
from workers.processing.splits.shares import Apportionment, Shares
from workers.tabular import table_views

MAX_CLASSES = 10_000


def assign(
    connection: duckdb.DuckDBPyConnection, view: table_views.TableView, *, shares: Shares, seed: int, column: str
) -> list[str]:
    """Assign each row to a part, by its place among the rows of its class; return notes on rare classes.

    Missing values are a class. BadDataError for more than MAX_CLASSES classes.
    """
    value = view.sql_name(column)
    # A class is known by its first row from here on, so that its value leaves duckdb only for notes.
    connection.execute(
        f"CREATE TABLE classes AS SELECT {value} AS value, min(row) AS first, count(*) AS rows "
        f"FROM {view.name} GROUP BY {value}"
    )
    ((count,),) = connection.execute("SELECT count(*) FROM classes").fetchall()
    if count > MAX_CLASSES:
        raise errors.BadDataError(
            f"the column {column!r} has {count:,} different values; rows can be stratified by at most {MAX_CLASSES:,} "
            "classes. Name a column with fewer, or `group` if its values are to stay together",
            pointer="#/params/by/stratify",
        )
    classes = connection.execute(
        f"SELECT first, rows FROM classes ORDER BY rows DESC, {draw.lot('first', seed=seed)}, first"
    ).fetchall()
    apportionment = Apportionment(shares)
    counts = [apportionment.divide(rows) for _, rows in classes]
    _assign(connection, view, value, firsts=[first for first, _ in classes], counts=counts, seed=seed)
    absent = [first for (first, _), of_class in zip(classes, counts, strict=True) if 0 in of_class]
    return _note_missing(connection, view, column) + _note_rare(connection, column, absent)


def _assign(
    connection: duckdb.DuckDBPyConnection,
    view: table_views.TableView,
    value: str,
    *,
    firsts: list[int],
    counts: list[list[int]],
    seed: int,
) -> None:
    """Assign rows by the counts that each class has in each part; NULL is equal to NULL here."""
    parts = len(counts[0])
    columns = {f"n{part}": pa.array([of_class[part] for of_class in counts], pa.int64()) for part in range(parts)}
    connection.register("counts", pa.table({"first": pa.array(firsts, pa.int64()), **columns}))
    numbered = (
        "SELECT row, first, "
        f"row_number() OVER (PARTITION BY first ORDER BY {draw.lot('row', seed=seed)}, row) AS place "
        f"FROM {view.name} JOIN classes ON {value} IS NOT DISTINCT FROM classes.value"
    )
    ends = [" + ".join(f"n{earlier}" for earlier in range(part + 1)) for part in range(parts - 1)]
    cases = " ".join(f"WHEN place <= {end} THEN {part}" for part, end in enumerate(ends))
    part = f"CAST(CASE {cases} ELSE {parts - 1} END AS UTINYINT)"
    draw.assign(connection, f"SELECT row, {part} AS part FROM ({numbered}) JOIN counts USING (first)")


def _note_missing(connection: duckdb.DuckDBPyConnection, view: table_views.TableView, column: str) -> list[str]:
    missing, _ = draw.count_missing(connection, view, column)
    have = "row has" if missing == 1 else "rows have"
    return [f"{missing:,} {have} no value in {column!r} and are a class of their own."] if missing else []


def _note_rare(connection: duckdb.DuckDBPyConnection, column: str, firsts: list[int]) -> list[str]:
    """Write a note on the classes that have too few rows to be in every part, with the rarest of them."""
    if not firsts:
        return []
    shown = firsts[-draw.SHOWN_VALUES :]
    rows = connection.execute(
        f"SELECT value, rows FROM classes WHERE first IN ({', '.join(map(str, shown))}) ORDER BY rows, first"
    ).fetchall()
    values = ", ".join(f"{draw.show(value)} ({draw.plural(count, 'row')})" for value, count in rows)
    are = "value is" if len(firsts) == 1 else "values are"
    such = "" if len(firsts) == 1 else "such as "
    return [f"{len(firsts):,} {are} too rare in {column!r} to be in every part: {such}{values}."]
