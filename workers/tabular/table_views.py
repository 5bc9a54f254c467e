"""Parquet files of datasets as views of a duckdb database, which reads of them only what a query needs.

docs/decisions/processing.md, "Tables are made of tables by duckdb, which reads Parquet in place"
"""

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
import pyarrow as pa
from pyarrow import parquet

from shared import contract
from shared.ml import frames
from workers.tabular import engine

_BATCH_ROWS = 65_536
_ROW_NUMBER = "file_row_number"
"""What duckdb calls the number of a row; it reads no file that has a column of this name."""
# Times are in UTC without a zone, so that none of duckdb's functions obeys the zone of the host.
_EXPRESSIONS: Mapping[contract.ColumnType, str] = {
    "integer": "CAST({} AS BIGINT)",
    "number": "CAST({} AS DOUBLE)",
    "boolean": "CAST({} AS BOOLEAN)",
    "string": "CAST({} AS VARCHAR)",
    "timestamp": "make_timestamp(epoch_us({}))",
    "date": "CAST({} AS DATE)",
}


@dataclasses.dataclass(frozen=True)
class TableView:
    """A dataset's file as a view: its columns are `c0`, `c1` … by position, and `row` is a row's number from 0.

    duckdb treats `a` and `A` as equal, so columns have names of ours, and no user's text becomes part of a statement.
    """

    name: str
    """The view's name in SQL."""
    columns: list[contract.Column]
    rows: int

    def sql_name(self, column: str) -> str:
        """Return the name that a column has in SQL; BadDataError when the dataset lacks it."""
        names = [known.name for known in self.columns]
        frames.require_columns([column], present=names)
        return f"c{names.index(column)}"

    def column(self, name: str) -> contract.Column:
        """Find a column; BadDataError when the dataset lacks it."""
        return self.columns[int(self.sql_name(name)[1:])]


@contextlib.contextmanager
def open_views(
    files: Mapping[str, Path], *, scratch: Path, threads: int, most_bytes: int | None = None
) -> Iterator[tuple[duckdb.DuckDBPyConnection, dict[str, TableView]]]:
    """Open a database in a folder with a view of each file, by the names that the views are to have in SQL.

    The views may be read as often as queries need, several at once; nothing else can be reached, and what doesn't fit
    in memory is spilled to the folder, which is left as it was. Rows come in no order, unless a query orders them by
    `row`. `most_bytes` is less memory than duckdb may take by default. BadDataError for a file that is no Parquet,
    OSError when the disk is full.
    """
    with tempfile.TemporaryDirectory(dir=scratch) as text:
        folder = Path(text)
        readable = {name: _make_readable(path, folder / f"{name}.parquet") for name, path in files.items()}
        with engine.open_database(
            folder, threads=threads, files=list(readable.values()), most_bytes=most_bytes
        ) as connection:
            yield connection, {name: _create(connection, name, path, files[name]) for name, path in readable.items()}


def _create(connection: duckdb.DuckDBPyConnection, name: str, path: Path, original: Path) -> TableView:
    columns = frames.read_columns(original)
    raw = ", ".join(f"r{position}" for position in range(len(columns)))
    typed = ", ".join(
        f"{_EXPRESSIONS[column.type].format(f'r{position}')} AS c{position}" for position, column in enumerate(columns)
    )
    connection.execute(
        f"CREATE VIEW {name} AS SELECT {typed}, row FROM read_parquet({engine.quote(path)}, "
        f"{_ROW_NUMBER} = true, hive_partitioning = false) AS file({raw}, row)"
    )
    return TableView(name, columns, frames.count_rows(original))


def _make_readable(path: Path, renamed: Path) -> Path:
    """Return a file that duckdb can number the rows of: a copy with other names, where a column has its number's."""
    columns = frames.read_columns(path)
    if all(column.name.lower() != _ROW_NUMBER for column in columns):
        return path
    schema = pa.schema(
        [(f"r{position}", frames.PHYSICAL_TYPES[column.type]) for position, column in enumerate(columns)]
    )
    with parquet.ParquetWriter(renamed, schema) as writer:
        for batch in frames.iterate_batches(path, batch_rows=_BATCH_ROWS):
            arrays = [array.cast(type_) for array, type_ in zip(batch.columns, schema.types, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    return renamed
