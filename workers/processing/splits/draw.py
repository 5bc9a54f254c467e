"""What the rules of a split have in common: the draw, and the table `assigned` with each row's part."""

import itertools
from collections.abc import Sequence

import duckdb

from workers.tabular import table_views

SHOWN_VALUES = 5
SHOWN_CHARACTERS = 100


def lot(row: str, *, seed: int) -> str:
    """Return the SQL of a row's lot, 64 bits that depend on the seed and on the row's number and nothing else.

    MD5 is the same in every version of duckdb, which its own hash isn't; nothing secret rests on it. Equal lots are
    ordered by the rows' numbers.
    """
    return f"md5_number_lower('{int(seed)}:' || {row})"


def choose_part(place: str, counts: Sequence[int]) -> str:
    """Return the SQL of the part of a row by its place, counted from 1, when the parts take so many places in turn."""
    ends = list(itertools.accumulate(counts))
    cases = " ".join(f"WHEN {place} <= {end} THEN {part}" for part, end in enumerate(ends[:-1]))
    return f"CAST(CASE {cases} ELSE {len(ends) - 1} END AS UTINYINT)"


def assign(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    """Make the table `assigned` of a query for every row's number and its part."""
    connection.execute(f"CREATE TABLE assigned AS SELECT row, part FROM ({query})")


def count_parts(connection: duckdb.DuckDBPyConnection, *, parts: int) -> list[int]:
    """Count the rows of each part."""
    counts = dict(connection.execute("SELECT part, count(*) FROM assigned GROUP BY part").fetchall())
    return [counts.get(part, 0) for part in range(parts)]


def count_missing(connection: duckdb.DuckDBPyConnection, view: table_views.TableView, column: str) -> tuple[int, int]:
    """Count the rows without a value in a column, and find the number of the first of them, from 1; 0 without any."""
    query = f"SELECT count(*), coalesce(min(row) + 1, 0) FROM {view.name} WHERE {view.sql_name(column)} IS NULL"
    ((count, first),) = connection.execute(query).fetchall()
    return count, first


def show(value: object) -> str:
    """Show a value in a message, a long one in part."""
    return repr(value[:SHOWN_CHARACTERS]) if isinstance(value, str) else str(value)


def plural(count: int, noun: str) -> str:
    """Write a count with its noun."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
