"""Decides which rows stay, by the columns that decide: numbered rows in duckdb, whatever their number."""

import datetime
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import duckdb
import numpy as np
import pyarrow as pa

from shared import contract
from shared.ml import frames

BATCH_ROWS = 65_536
LOCAL_TIME = pa.timestamp("us")


class Selection:
    """Rows 0, 1, 2 … of a table, of which those that are taken out go no further.

    Columns have names of ours, since duckdb takes `a` and `A` for the same, and no text of a user's is ever part of a
    statement. Times are held in UTC without saying so, because duckdb would need a calendar for more.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, *, columns: list[contract.Column]) -> None:
        """Start without rows; only these columns can decide."""
        self._connection = connection
        self._kinds = {column.name: column.type for column in columns}
        self._names = {column.name: f"c{position}" for position, column in enumerate(columns)}
        self._schema = pa.schema([("row", pa.int64()), *((self._names[one.name], _held(one.type)) for one in columns)])
        connection.register("incoming", self._schema.empty_table())
        connection.execute("CREATE TABLE data AS FROM incoming")
        connection.execute("CREATE TABLE failing (row BIGINT)")
        connection.execute("CREATE TABLE quarantined (row BIGINT, reason INTEGER)")

    def fill(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Take in all rows, in their order; the batches have the deciding columns among others."""
        self._connection.begin()
        for batch in self._numbered(batches):
            self._connection.register("incoming", pa.Table.from_batches([batch]))
            self._connection.execute("INSERT INTO data FROM incoming")
        self._connection.commit()

    def name(self, column: str) -> str:
        """Give the name that a column has in conditions."""
        return self._names[column]

    def kind(self, column: str) -> contract.ColumnType:
        """Give a column's type."""
        return self._kinds[column]

    def count(self) -> int:
        """Count the rows that are left."""
        return self._number("SELECT count(*) FROM data")

    def greatest(self, column: str) -> Any:
        """Give the greatest value of a column, times with their offset; None when all are missing."""
        ((value,),) = self._connection.execute(f"SELECT max({self.name(column)}) FROM data").fetchall()
        return to_public(value)

    def drop_without(self, column: str, *, first: int) -> int:
        """Take out the rows from `first` on that have no value in a column; gives how many there were."""
        return self._number(f"DELETE FROM data WHERE row >= ? AND {self.name(column)} IS NULL", first)

    def drop_up_to(self, column: str, value: Any, *, first: int) -> int:
        """Take out the rows from `first` on that are not above a value; gives how many there were."""
        return self._number(f"DELETE FROM data WHERE row >= ? AND {self.name(column)} <= ?", first, from_public(value))

    def drop_repeated(self, key: list[str], *, keep: Literal["first", "last"]) -> int:
        """Take out all rows of a key but one, and none that lack a part of the key; gives how many there were."""
        return self._number(f"DELETE FROM data WHERE row IN ({self._repeated(key, keep=keep)})")

    def count_without(self, key: list[str]) -> int:
        """Count the rows that lack a part of a key."""
        absent = " OR ".join(f"{self.name(column)} IS NULL" for column in key)
        return self._number(f"SELECT count(*) FROM data WHERE {absent}")

    def mark(self, condition: str, *parameters: Any) -> int:
        """Mark the rows that meet a condition as failing; gives how many there are."""
        return self._mark(f"SELECT row FROM data WHERE {condition}", *parameters)

    def mark_repeated(self, key: list[str]) -> int:
        """Mark the rows that have the same values as one before them as failing; gives how many there are."""
        return self._mark(self._repeated(key, keep="first"))

    def examples(self, columns: list[str], *, most: int) -> list[tuple[Any, ...]]:
        """Give the first failing rows: the number, and the values in some columns."""
        wanted = ", ".join(["row", *(self.name(column) for column in columns)])
        rows = self._connection.execute(
            f"SELECT {wanted} FROM data SEMI JOIN failing USING (row) ORDER BY row LIMIT ?", [most]
        ).fetchall()
        return [tuple(to_public(value) for value in row) for row in rows]

    def quarantine(self, reason: int) -> None:
        """Take out the failing rows, and remember why."""
        self._connection.execute("INSERT INTO quarantined SELECT row, ? FROM failing", [reason])
        self._connection.execute("DELETE FROM data WHERE row IN (SELECT row FROM failing)")

    def kept(self) -> "Numbered":
        """Give the numbers of the rows that are left."""
        return Numbered(self._connection.cursor().sql("SELECT row FROM data ORDER BY row"))

    def quarantined(self) -> "Numbered":
        """Give the numbers of the rows in quarantine, each with its reason."""
        return Numbered(self._connection.cursor().sql("SELECT row, reason FROM quarantined ORDER BY row"))

    def _mark(self, query: str, *parameters: Any) -> int:
        self._connection.execute("TRUNCATE failing")
        return self._number(f"INSERT INTO failing {query}", *parameters)

    def _repeated(self, key: list[str], *, keep: Literal["first", "last"]) -> str:
        names = [self.name(column) for column in key]
        whole = " AND ".join(f"{name} IS NOT NULL" for name in names)
        chosen = {"first": "min", "last": "max"}[keep]
        return (
            f"SELECT row FROM data ANTI JOIN (SELECT {chosen}(row) AS row FROM data WHERE {whole} "
            f"GROUP BY {', '.join(names)}) AS chosen USING (row) WHERE {whole}"
        )

    def _number(self, statement: str, *parameters: Any) -> int:
        ((number,),) = self._connection.execute(statement, list(parameters)).fetchall()
        return int(number)

    def _numbered(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in batches:
            numbers = pa.array(np.arange(start, start + batch.num_rows))
            columns = [batch.column(name).cast(_held(kind)) for name, kind in self._kinds.items()]
            yield pa.RecordBatch.from_arrays([numbers, *columns], schema=self._schema)
            start += batch.num_rows


class Numbered:
    """Numbers of rows in rising order, read as far as they are needed."""

    def __init__(self, rows: duckdb.DuckDBPyRelation) -> None:
        """Read what a query answers: a column `row`, and maybe others."""
        self._batches: Iterator[pa.RecordBatch] = iter(rows.to_arrow_reader(BATCH_ROWS))
        self._rest: pa.RecordBatch | None = None

    def before(self, end: int) -> pa.Table | None:
        """Give the next of them that are below `end`; None when there is none."""
        found = []
        while (batch := self._rest if self._rest is not None else next(self._batches, None)) is not None:
            numbers = batch.column("row").to_numpy()
            cut = int(numbers.searchsorted(end))
            if cut:
                found.append(batch.slice(0, cut))
            self._rest = batch.slice(cut) if cut < batch.num_rows else None
            if self._rest is not None:
                break
        return pa.Table.from_batches(found) if found else None


def to_public(value: Any) -> Any:
    """Give a value as it left the engine with its offset, if it is a time."""
    return value.replace(tzinfo=datetime.UTC) if isinstance(value, datetime.datetime) else value


def from_public(value: Any) -> Any:
    """Give a value as the engine holds it: a time in UTC, without saying so."""
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(datetime.UTC).replace(tzinfo=None)
    return value


def _held(kind: contract.ColumnType) -> pa.DataType:
    return LOCAL_TIME if kind == "timestamp" else frames.PHYSICAL_TYPES[kind]
