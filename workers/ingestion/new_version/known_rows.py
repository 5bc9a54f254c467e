"""Finds the loaded rows that the latest version has already, by all columns that both have.

docs/decisions/ingestion.md, "A watermark reads again what it can't be sure of"
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from shared import contract
from shared.ml import frames
from workers.ingestion import schema
from workers.ingestion.new_version import selection

BATCH_ROWS = 32_768


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Which rows of a new file to look for in an old one."""

    old: Path
    new: Path
    columns: list[contract.Column]
    """The columns that both files have, with the types in which they are compared."""
    watermark: str
    """One of these columns: only rows with a value that occurs in both files are compared."""
    start: Any
    """The value of the watermark from which on old rows are compared; None for all of them."""
    first_row: int
    """The number of the first new row."""


def mark(connection: duckdb.DuckDBPyConnection, comparison: Comparison) -> int:
    """Write the numbers of the new rows that are in the old file into the table `known`; return how many they are.

    A row that occurs three times among the new ones and twice among the old ones is known twice.
    """
    position = [column.name for column in comparison.columns].index(comparison.watermark)
    names = [f"c{number}" for number in range(len(comparison.columns))]
    value = names[position]
    mark_none(connection)
    connection.register("incoming", _schema(comparison.columns).empty_table())
    for table in ("old_rows", "new_rows"):
        connection.execute(f"CREATE OR REPLACE TABLE {table} AS FROM incoming")
    _fill_values(connection, comparison)
    _fill(connection, "new_rows", comparison.new, comparison, f"{value} IN (SELECT value FROM old_values)")
    _fill(connection, "old_rows", comparison.old, comparison, f"{value} IN (SELECT {value} FROM new_rows)")
    numbered = "SELECT *, row_number() OVER (PARTITION BY {} ORDER BY row) AS nth FROM {}"
    listed = ", ".join(names)
    equal = " AND ".join(f"n.{name} IS NOT DISTINCT FROM o.{name}" for name in [*names, "nth"])
    connection.execute(
        f"INSERT INTO known SELECT n.row FROM ({numbered.format(listed, 'new_rows')}) AS n "
        f"SEMI JOIN ({numbered.format(listed, 'old_rows')}) AS o ON {equal}"
    )
    ((count,),) = connection.execute("SELECT count(*) FROM known").fetchall()
    return int(count)


def mark_none(connection: duckdb.DuckDBPyConnection) -> int:
    """Create the table `known` without rows."""
    connection.execute("CREATE OR REPLACE TABLE known (row BIGINT)")
    return 0


def _fill_values(connection: duckdb.DuckDBPyConnection, comparison: Comparison) -> None:
    """Collect the old values of the watermark from the start on."""
    column = next(column for column in comparison.columns if column.name == comparison.watermark)
    connection.register("incoming", _schema([column]).empty_table())
    connection.execute("CREATE OR REPLACE TABLE old_values AS SELECT c0 AS value FROM incoming")
    condition, parameters = ("c0 >= ?", [selection.to_engine(comparison.start)])
    if comparison.start is None:
        condition, parameters = ("true", [])
    for batch in _read(comparison.old, [column], first_row=0):
        connection.register("incoming", pa.Table.from_batches([batch]))
        connection.execute(f"INSERT INTO old_values SELECT DISTINCT c0 FROM incoming WHERE {condition}", parameters)


def _fill(
    connection: duckdb.DuckDBPyConnection, table: str, path: Path, comparison: Comparison, condition: str
) -> None:
    connection.begin()
    for batch in _read(path, comparison.columns, first_row=comparison.first_row):
        connection.register("incoming", pa.Table.from_batches([batch]))
        connection.execute(f"INSERT INTO {table} SELECT * FROM incoming WHERE {condition}")
    connection.commit()


def _read(path: Path, columns: list[contract.Column], *, first_row: int) -> Iterator[pa.RecordBatch]:
    names, start = [column.name for column in columns], first_row
    for batch in frames.iterate_batches(path, batch_rows=BATCH_ROWS, columns=names):
        arrays = [
            array.cast(selection.engine_type(column.type))
            for array, column in zip(schema.align(batch, columns=columns), columns, strict=True)
        ]
        rows = pa.array(np.arange(start, start + batch.num_rows))
        yield pa.RecordBatch.from_arrays([rows, *arrays], schema=_schema(columns))
        start += batch.num_rows


def _schema(columns: list[contract.Column]) -> pa.Schema:
    fields = [(f"c{number}", selection.engine_type(column.type)) for number, column in enumerate(columns)]
    return pa.schema([("row", pa.int64()), *fields])
