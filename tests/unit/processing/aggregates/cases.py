"""Small tables that are aggregated, and how the tests aggregate them."""

from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from shared.processing.aggregates import AggregateDataset
from tests.unit.processing.joins.cases import Rows, pin, table
from workers.processing.aggregates import aggregate

__all__ = ["Rows", "run", "table"]


def run(folder: Path, data: pa.Table, **params: Any) -> tuple[Rows, aggregate.Aggregated]:
    """Aggregate a table; return the rows of the result, and what was counted and noted."""
    path = folder / "source.parquet"
    parquet.write_table(data, path, row_group_size=7)
    command = AggregateDataset.model_validate({"name": "groups", "dataset": "source@1"} | params)
    made = aggregate.aggregate_table(
        command, dataset=pin(path, "source"), path=path, output_path=folder / "made.parquet", scratch=folder
    )
    result = parquet.read_table(folder / "made.parquet")
    assert [column.name for column in made.table.columns] == result.column_names
    return list(result.to_pylist()), made
