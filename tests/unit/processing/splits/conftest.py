"""Splits tables in a test's folder."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from shared.processing.splits import SplitBy
from tests.unit.tabular.tables import write
from workers.processing.splits.split import Part, Split, split_table

TRAIN_TEST = {"train": 0.8, "test": 0.2}


@dataclasses.dataclass(frozen=True)
class Parts:
    """The parts of a table, read back, and what the split says of them."""

    tables: dict[str, pa.Table]
    split: Split

    def values(self, column: str) -> dict[str, list[Any]]:
        """Read a column of each part."""
        return {name: table.column(column).to_pylist() for name, table in self.tables.items()}

    @property
    def rows(self) -> dict[str, int]:
        """Count the rows of each part."""
        return {name: table.num_rows for name, table in self.tables.items()}


SplitTable = Callable[..., Parts]


@pytest.fixture
def split(tmp_path: Path) -> SplitTable:
    """Split a table, or the columns of one, by `stratify`, `group`, `time` or at random."""

    def run(
        table: pa.Table | dict[str, Any],
        parts: dict[str, float] | None = None,
        *,
        seed: int = 0,
        threads: int = 1,
        group_rows: int | None = None,
        **by: str,
    ) -> Parts:
        whole = table if isinstance(table, pa.Table) else pa.table(table)
        path = write(tmp_path / "whole.parquet", whole, group_rows=group_rows)
        asked = [Part(name, share, tmp_path / f"{name}.parquet") for name, share in (parts or TRAIN_TEST).items()]
        divided = split_table(
            path, parts=asked, by=SplitBy(**by) if by else None, seed=seed, scratch=tmp_path, threads=threads
        )
        return Parts({part.name: parquet.read_table(part.path) for part in asked}, divided)

    return run
