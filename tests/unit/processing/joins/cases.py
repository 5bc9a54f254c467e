"""Small tables that are joined, and how the tests join them."""

from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from shared import contract
from shared.ml import frames
from shared.processing.joins import JoinDatasets
from workers.processing.joins import join

Rows = list[dict[str, Any]]


def table(**columns: tuple[contract.ColumnType, list[Any]]) -> pa.Table:
    """Make a table as Millrace stores it, of columns with their types and values."""
    return pa.table({name: pa.array(values, frames.PHYSICAL_TYPES[kind]) for name, (kind, values) in columns.items()})


def pin(path: Path, name: str) -> contract.DatasetPin:
    """Describe a stored table as the API pins it."""
    return contract.DatasetPin(
        name=name,
        version=1,
        key=name,
        sha256="",
        rows=frames.count_rows(path),
        bytes=path.stat().st_size,
        columns=frames.read_columns(path),
    )


def run(folder: Path, left: pa.Table, right: pa.Table, **params: Any) -> tuple[Rows, join.Joined]:
    """Join two tables; return the rows of the result, and what was counted and noted."""
    files = {}
    for side, data in (("left", left), ("right", right)):
        files[side] = folder / f"{side}.parquet"
        parquet.write_table(data, files[side], row_group_size=7)
    command = JoinDatasets.model_validate({"name": "both", "left": "left@1", "right": "right@1"} | params)
    joined = join.join_tables(
        command,
        left=pin(files["left"], "left"),
        right=pin(files["right"], "right"),
        left_path=files["left"],
        right_path=files["right"],
        output_path=folder / "joined.parquet",
        scratch=folder,
    )
    result = parquet.read_table(folder / "joined.parquet")
    assert result.num_rows == joined.table.rows
    assert [column.name for column in joined.table.columns] == result.column_names
    return result.to_pylist(), joined
