"""Aggregates a dataset's file, out of core: by groups and windows, or for each row of those before it."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import duckdb

from shared import contract, errors
from shared.processing import aggregates
from shared.progress import Progress, no_progress
from workers.processing.aggregates import source, windows
from workers.processing.aggregates.statements import Statements
from workers.tabular import query_results, table_views, table_writer

_MEASURED = 0.6
# Sums of fractions depend on the order in which they are added, which several threads don't keep.
_THREADS = 1


@dataclasses.dataclass(frozen=True)
class Aggregated:
    """The file that was written, how many rows have no time, and what was noticed."""

    table: table_writer.StoredTable
    without_time: int
    notes: list[str]


def aggregate_table(
    command: aggregates.AggregateDataset,
    *,
    dataset: contract.DatasetPin,
    path: Path,
    output_path: Path,
    scratch: Path,
    threads: int = 1,
    progress: Progress = no_progress,
) -> Aggregated:
    """Aggregate a file of a pinned version, and write the groups in their order, or the rows in theirs.

    BadDataError where the columns don't allow it or a sum of whole numbers doesn't fit in 64 bits; LimitExceededError
    for more windows or cells than allowed.
    """
    plan = aggregates.plan(command, dataset=dataset)
    _refuse_too_many_windows(command, rows=dataset.rows)
    progress(0.0, "reading")
    copy = scratch / "conditions.parquet"
    prepared = source.prepare(command, path, copy=copy)
    statements = Statements(command, plan, prepared)
    files = {"source_rows": prepared.path, "all_rows": path}
    with table_views.open_views(files, scratch=scratch, threads=_THREADS) as (connection, _):
        without_time, notes = _describe_missing(connection, statements, rows=dataset.rows)
        progress(0.1, "measuring")
        query = _measure_rows(connection, statements) if command.is_per_row else _measure(connection, statements)
        rows = dataset.rows if command.is_per_row else _count(connection, "measured")
        _refuse_too_large(rows, columns=len(plan.columns))
        progress(_MEASURED, f"storing {rows:,} rows")
        with _explained(plan):
            table = query_results.store(
                connection,
                query,
                columns=plan.columns,
                path=output_path,
                threads=threads,
                rows=rows,
                progress=lambda fraction, message: progress(_MEASURED + (1 - _MEASURED) * fraction, message),
            )
    copy.unlink(missing_ok=True)
    return Aggregated(table, without_time, [*plan.notes, *notes])


@contextlib.contextmanager
def _explained(plan: aggregates.Plan) -> Iterator[None]:
    """Raise the errors that the statements raise where a column can't hold a value, as BadDataError."""
    try:
        yield
    except duckdb.InvalidInputException as error:
        message = str(error).rpartition(" ")[2]
        if message == windows.BEYOND:
            raise errors.BadDataError(
                "a window would begin before the year 1 or end after 9999; leave out rows with such times before"
            ) from error
        if not message.isdecimal():
            raise
        name = plan.measured[int(message)].name
        raise errors.BadDataError(f"{name!r} is infinite in a group, whose values are too large for it") from error


def _measure(connection: duckdb.DuckDBPyConnection, statements: Statements) -> str:
    # One measure after another, on disk: together they would share the memory, and run out of it.
    connection.execute(f"CREATE VIEW grouped_rows AS {statements.group_rows()}")
    connection.execute(f"CREATE TABLE measured AS {statements.measure_groups()}")
    tables = {}
    for at, query in statements.measure_by_sorting().items():
        tables[at] = f"measured_{at}"
        connection.execute(f"CREATE TABLE {tables[at]} AS {query}")
    return statements.select_groups(tables)


def _measure_rows(connection: duckdb.DuckDBPyConnection, statements: Statements) -> str:
    connection.execute(f"CREATE TABLE measured AS {statements.measure_rows()}")
    return statements.select_rows()


def _describe_missing(
    connection: duckdb.DuckDBPyConnection, statements: Statements, *, rows: int
) -> tuple[int, list[str]]:
    """Count the rows without a time; notes tell of them, and of those whose group is that of missing values."""
    command = statements.command
    if command.window is None and not command.by:
        return 0, []
    counts = [int(count) for count in connection.execute(statements.count_missing()).fetchone() or ()]
    notes, without_time = [], 0
    if command.window is not None:
        without_time, *counts = counts
        if without_time:
            what = "have no measures, and count for no other row" if command.is_per_row else "are in no window"
            notes.append(f"{without_time:,} of {rows:,} rows have no {command.window.time!r}, and {what}.")
    notes += [
        f"{count:,} of {rows:,} rows have no {name!r}; they are a group of their own."
        for name, count in zip(command.by, counts, strict=True)
        if count
    ]
    return without_time, notes


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone() or (0,)
    return int(count)


def _refuse_too_many_windows(command: aggregates.AggregateDataset, *, rows: int) -> None:
    per_row = 1 if command.window is None else command.window.windows_per_row
    if rows * per_row > aggregates.MAX_WINDOWED_ROWS and per_row > 1:
        raise errors.LimitExceededError(
            f"Each of {rows:,} rows would be in {per_row:,} windows, {rows * per_row:,} together; at most "
            f"{aggregates.MAX_WINDOWED_ROWS:,} are allowed. Choose a longer `every` or a shorter `length`."
        )


def _refuse_too_large(rows: int, *, columns: int) -> None:
    if rows > aggregates.MAX_ROWS or rows * columns > aggregates.MAX_CELLS:
        raise errors.LimitExceededError(
            f"The result would have {rows:,} rows of {columns:,} columns; at most {aggregates.MAX_ROWS:,} rows and "
            f"{aggregates.MAX_CELLS:,} cells are allowed."
        )
