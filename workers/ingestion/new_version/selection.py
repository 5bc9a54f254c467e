"""Selects the rows to keep by the values of the deciding columns; duckdb holds them as numbered rows, however many.

docs/decisions/ingestion.md, "A CSV is read once in the usual case"
"""

import datetime
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import duckdb
import numpy as np
import pyarrow as pa

from shared import contract
from shared.ml import frames
from workers.tabular import engine

BATCH_ROWS = 65_536
LOCAL_TIME = pa.timestamp("us")


class Selection:
    """Rows 0, 1, 2 … of a table, from which rows are removed step by step.

    Columns have names of our own, since duckdb treats `a` and `A` as equal, and no user's text ever becomes part of a
    statement. Times are stored in UTC without a time zone, because duckdb would need a calendar for time zones.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, *, columns: list[contract.Column]) -> None:
        """Start without rows; only these columns can be used in conditions."""
        self._connection = connection
        self._types = {column.name: column.type for column in columns}
        self._sql_names = {column.name: f"c{position}" for position, column in enumerate(columns)}
        fields = [(self._sql_names[column.name], engine_type(column.type)) for column in columns]
        self._schema = pa.schema([("row", pa.int64()), *fields])
        connection.register("incoming", self._schema.empty_table())
        connection.execute("CREATE TABLE data AS FROM incoming")
        connection.execute("CREATE TABLE quarantined_data AS FROM incoming")
        connection.execute("CREATE TABLE failing (row BIGINT)")
        connection.execute("CREATE TABLE quarantined (row BIGINT, reason INTEGER)")

    def fill(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Insert all rows, in their order; the batches have the deciding columns among others."""
        self._connection.begin()
        for batch in self._number_rows(batches):
            self._connection.register("incoming", pa.Table.from_batches([batch]))
            self._connection.execute("INSERT INTO data FROM incoming")
        self._connection.commit()

    def sql_name(self, column: str) -> str:
        """Return the name that a column has in conditions."""
        return self._sql_names[column]

    def column_type(self, column: str) -> contract.ColumnType:
        """Return a column's type."""
        return self._types[column]

    def count(self) -> int:
        """Count the rows that remain."""
        return self._execute_count("SELECT count(*) FROM data")

    def find_greatest(self, column: str) -> Any:
        """Find the greatest value of a column, times with their offset; None when all are missing."""
        ((value,),) = self._connection.execute(f"SELECT max({self.sql_name(column)}) FROM data").fetchall()
        return from_engine(value)

    def find_lowest_quarantined(self, column: str) -> Any:
        """Find the lowest value of a column in quarantine; None when there is none."""
        query = f"SELECT min({self.sql_name(column)}) FROM quarantined_data"
        ((value,),) = self._connection.execute(query).fetchall()
        return from_engine(value)

    def find_first_quarantined(self, column: str, *, first: int) -> Any:
        """Find the value of a column in the first row in quarantine from `first` on that has one; None without one."""
        query = f"SELECT arg_min({self.sql_name(column)}, row) FROM quarantined_data WHERE row >= ?"
        ((value,),) = self._connection.execute(query, [first]).fetchall()
        return from_engine(value)

    def drop_missing(self, column: str, *, first: int) -> int:
        """Remove the rows from `first` on that have no value in a column; return their number."""
        return self._execute_count(f"DELETE FROM data WHERE row >= ? AND {self.sql_name(column)} IS NULL", first)

    def drop_below(self, column: str, value: Any, *, first: int) -> int:
        """Remove the rows from `first` on that are below a value; return their number."""
        return self._execute_count(
            f"DELETE FROM data WHERE row >= ? AND {self.sql_name(column)} < ?", first, to_engine(value)
        )

    def count_below(self, column: str, value: Any, *, before: int) -> int:
        """Count the rows before the row `before` that are below a value."""
        return self._execute_count(
            f"SELECT count(*) FROM data WHERE row < ? AND {self.sql_name(column)} < ?", before, to_engine(value)
        )

    def count_unknown(self, column: str, value: Any, *, first: int) -> int:
        """Count the rows from `first` on that are not above a value and not in the table `known`."""
        return self._execute_count(
            f"SELECT count(*) FROM data ANTI JOIN known USING (row) WHERE row >= ? AND {self.sql_name(column)} <= ?",
            first,
            to_engine(value),
        )

    def drop_known(self) -> int:
        """Remove the rows in the table `known`; return their number."""
        return self._execute_count("DELETE FROM data WHERE row IN (SELECT row FROM known)")

    def count_from(self, first: int) -> int:
        """Count the rows that remain from `first` on."""
        return self._execute_count("SELECT count(*) FROM data WHERE row >= ?", first)

    def drop_duplicates(self, key: list[str], *, keep: Literal["first", "last"]) -> int:
        """Remove all rows of each key but one, and none with a missing value in the key; return their number."""
        return self._execute_count(f"DELETE FROM data WHERE row IN ({self._build_duplicates_query(key, keep=keep)})")

    def count_incomplete(self, key: list[str]) -> int:
        """Count the rows with a missing value in the key."""
        absent = " OR ".join(f"{self.sql_name(column)} IS NULL" for column in key)
        return self._execute_count(f"SELECT count(*) FROM data WHERE {absent}")

    def mark_failing(self, condition: str, *parameters: Any) -> int:
        """Mark the rows that meet a condition as failing; return their number."""
        return self._mark(f"SELECT row FROM data WHERE {condition}", *parameters)

    def mark_duplicates(self, key: list[str]) -> int:
        """Mark the rows that have the same values as an earlier one as failing; return their number."""
        return self._mark(self._build_duplicates_query(key, keep="first"))

    def read_failing(self, columns: list[str], *, limit: int) -> list[tuple[Any, ...]]:
        """Read the first failing rows: each row's number, and its values in some columns."""
        selected = ", ".join(["row", *(self.sql_name(column) for column in columns)])
        rows = self._connection.execute(
            f"SELECT {selected} FROM data SEMI JOIN failing USING (row) ORDER BY row LIMIT ?", [limit]
        ).fetchall()
        return [tuple(from_engine(value) for value in row) for row in rows]

    def quarantine(self, reason: int) -> None:
        """Remove the failing rows, and record the reason for each."""
        self._connection.execute("INSERT INTO quarantined SELECT row, ? FROM failing", [reason])
        self._connection.execute("INSERT INTO quarantined_data FROM data SEMI JOIN failing USING (row)")
        self._connection.execute("DELETE FROM data WHERE row IN (SELECT row FROM failing)")

    def kept_rows(self) -> "RowNumbers":
        """Return the numbers of the rows that remain."""
        return RowNumbers(self._connection, "SELECT row FROM data ORDER BY row")

    def quarantined_rows(self) -> "RowNumbers":
        """Return the numbers of the rows in quarantine, each with its reason."""
        return RowNumbers(self._connection, "SELECT row, reason FROM quarantined ORDER BY row")

    def _mark(self, query: str, *parameters: Any) -> int:
        self._connection.execute("TRUNCATE failing")
        return self._execute_count(f"INSERT INTO failing {query}", *parameters)

    def _build_duplicates_query(self, key: list[str], *, keep: Literal["first", "last"]) -> str:
        names = [self.sql_name(column) for column in key]
        is_complete = " AND ".join(f"{column} IS NOT NULL" for column in names)
        aggregate = {"first": "min", "last": "max"}[keep]
        return (
            f"SELECT row FROM data ANTI JOIN (SELECT {aggregate}(row) AS row FROM data WHERE {is_complete} "
            f"GROUP BY {', '.join(names)}) AS chosen USING (row) WHERE {is_complete}"
        )

    def _execute_count(self, statement: str, *parameters: Any) -> int:
        ((count,),) = self._connection.execute(statement, list(parameters)).fetchall()
        return int(count)

    def _number_rows(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in batches:
            numbers = pa.array(np.arange(start, start + batch.num_rows))
            columns = [batch.column(name).cast(engine_type(column_type)) for name, column_type in self._types.items()]
            yield pa.RecordBatch.from_arrays([numbers, *columns], schema=self._schema)
            start += batch.num_rows


class RowNumbers:
    """Row numbers in ascending order, read only as far as they are needed."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, query: str) -> None:
        """Read the result of a query: a column `row`, and possibly others."""
        self._cursor = engine.open_cursor(connection)
        self._batches: Iterator[pa.RecordBatch] = iter(self._cursor.sql(query).to_arrow_reader(BATCH_ROWS))
        self._rest: pa.RecordBatch | None = None

    def take_below(self, end: int) -> pa.Table | None:
        """Take the next numbers that are below `end`; None when there are none."""
        parts = []
        while (batch := self._rest if self._rest is not None else next(self._batches, None)) is not None:
            numbers = batch.column("row").to_numpy()
            cut = int(numbers.searchsorted(end))
            if cut:
                parts.append(batch.slice(0, cut))
            self._rest = batch.slice(cut) if cut < batch.num_rows else None
            if self._rest is not None:
                break
        return pa.Table.from_batches(parts) if parts else None


def from_engine(value: Any) -> Any:
    """Convert a value from the form that it has in duckdb: a time gets its offset, UTC."""
    return value.replace(tzinfo=datetime.UTC) if isinstance(value, datetime.datetime) else value


def to_engine(value: Any) -> Any:
    """Convert a value to the form that it has in duckdb: a time to UTC, without an offset."""
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(datetime.UTC).replace(tzinfo=None)
    return value


def engine_type(column_type: contract.ColumnType) -> pa.DataType:
    """Return the type that a column has in duckdb."""
    return LOCAL_TIME if column_type == "timestamp" else frames.PHYSICAL_TYPES[column_type]
