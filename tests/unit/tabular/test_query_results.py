"""The result of a query becomes a typed file with its profile, however large it is."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from shared import contract, digests, errors
from tests.unit.tabular.tables import write
from workers.tabular import engine, query_results, table_views


def _columns(**types: contract.ColumnType) -> list[contract.Column]:
    return [contract.Column(name=name, type=type_) for name, type_ in types.items()]


@pytest.mark.slow
def test_a_result_larger_than_memory_is_sorted_and_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MEMORY_BYTES", 48 * 1024 * 1024)
    rows = 300_000
    numbers = np.random.default_rng(7).permutation(rows)
    path = write(tmp_path / "t.parquet", pa.table({"n": numbers, "text": [f"{n:0200d}" for n in numbers]}))
    seen: list[float] = []
    with table_views.open_views({"t": path}, scratch=tmp_path, threads=1) as (connection, views):
        stored = query_results.store(
            connection,
            "SELECT c0, c1 FROM t ORDER BY c0",
            columns=views["t"].columns,
            path=tmp_path / "out.parquet",
            threads=2,
            rows=rows,
            progress=lambda fraction, _message: seen.append(fraction),
        )
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table.column("n").to_pylist() == list(range(rows))
    assert table.column("text")[rows - 1].as_py() == f"{rows - 1:0200d}"
    assert (stored.rows, stored.sha256) == (rows, digests.of_file(tmp_path / "out.parquet"))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["out.parquet", "t.parquet"]
    assert seen == sorted(seen)
    assert 0 < seen[0] < seen[-1] <= 1


def test_a_result_without_rows_is_a_file_with_the_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", pa.table({"a": pa.array([], pa.int64())}))
    with table_views.open_views({"t": path}, scratch=tmp_path, threads=1) as (connection, views):
        stored = query_results.store(
            connection, "SELECT c0 FROM t", columns=views["t"].columns, path=tmp_path / "out", threads=1
        )
    assert (stored.rows, [column.name for column in stored.columns]) == (0, ["a"])


def test_a_sum_beyond_64_bits_is_refused_by_its_column_and_leaves_no_file(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", pa.table({"a": pa.array([2**63 - 1, 1], pa.int64())}))
    with (
        table_views.open_views({"t": path}, scratch=tmp_path, threads=1) as (connection, _),
        pytest.raises(errors.BadDataError, match="'total'"),
    ):
        query_results.store(
            connection, "SELECT sum(c0) FROM t", columns=_columns(total="integer"), path=tmp_path / "out", threads=1
        )
    assert not (tmp_path / "out").exists()
