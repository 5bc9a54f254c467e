"""Small tables as Millrace stores them."""

import datetime
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

_NOON = datetime.datetime(2024, 7, 1, 12, 0, 0, 123_456, tzinfo=datetime.UTC)
_FIRST = datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)
EVERY_TYPE = pa.table(
    {
        "id": pa.array([2**53 + 1, None, -(2**63)], pa.int64()),
        "ID": pa.array([2**53, 2**63 - 1, 0], pa.int64()),
        "x": pa.array([0.1, None, -0.0], pa.float64()),
        "flag": pa.array([True, None, False], pa.bool_()),
        "at": pa.array([_NOON, None, _FIRST], pa.timestamp("us", tz="UTC")),
        'say "no"': pa.array(["ÿ, 'quoted'", None, ""], pa.string()),
        "day": pa.array([datetime.date(9999, 12, 31), None, datetime.date(1, 1, 1)], pa.date32()),
    }
)
"""Every type that columns have, with extremes, and names that differ by little or hold quotes."""


def write(path: Path, table: pa.Table, *, group_rows: int | None = None) -> Path:
    """Write a table as Parquet, and return where."""
    parquet.write_table(table, path, row_group_size=group_rows)
    return path
