"""Views of datasets keep every value as it is, whatever the columns are called, and reach nothing else."""

import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from pyarrow import parquet

from shared import contract, errors
from tests.unit.tabular.tables import EVERY_TYPE, write
from workers.tabular import query_results, table_views


def test_every_type_is_kept_exactly_with_nulls_and_names_that_look_alike(tmp_path: Path) -> None:
    path = write(tmp_path / "it's [a]*.parquet", EVERY_TYPE)
    with table_views.open_views({"t": path}, scratch=tmp_path, threads=2) as (connection, views):
        assert views["t"].rows == 3
        assert [views["t"].sql_name(name) for name in ("id", "ID", 'say "no"')] == ["c0", "c1", "c5"]
        selected = ", ".join(f"c{position}" for position in range(EVERY_TYPE.num_columns))
        stored = query_results.store(
            connection,
            f"SELECT {selected} FROM t ORDER BY row",
            columns=views["t"].columns,
            path=tmp_path / "out.parquet",
            threads=2,
        )
    assert parquet.read_table(tmp_path / "out.parquet").equals(EVERY_TYPE)
    assert (stored.rows, [column.nullable for column in stored.columns]) == (3, [True, False] + [True] * 5)
    assert [document["nulls"] for document in stored.profile] == [1, 0, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("name", ["file_row_number", "FILE_ROW_NUMBER"])
def test_a_column_that_is_called_like_the_row_number_is_one_like_others(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "t.parquet", pa.table({name: [7, None], "row": ["a", "b"]}))
    with table_views.open_views({"t": path}, scratch=tmp_path, threads=1) as (connection, views):
        rows = connection.execute("SELECT c0, c1, row FROM t ORDER BY row").fetchall()
        assert views["t"].sql_name(name) == "c0"
    assert rows == [(7, "a", 0), (None, "b", 1)]


def test_times_are_in_utc_whatever_the_zone_of_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    noon = datetime.datetime(2024, 7, 1, 12, tzinfo=datetime.UTC)
    path = write(tmp_path / "t.parquet", pa.table({"t": pa.array([noon], pa.timestamp("us", tz="UTC"))}))
    with table_views.open_views({"t": path}, scratch=tmp_path, threads=1) as (connection, _):
        assert connection.execute("SELECT date_trunc('day', c0), hour(c0) FROM t").fetchall() == [
            (datetime.datetime(2024, 7, 1), 12)  # noqa: DTZ001 - duckdb's times are without a zone here.
        ]


def test_a_table_may_be_read_by_several_queries_at_once_and_beside_others(tmp_path: Path) -> None:
    left = write(tmp_path / "l.parquet", pa.table({"k": list(range(5000))}))
    right = write(tmp_path / "r.parquet", pa.table({"k": [1, 1, 4999], "v": ["a", "b", "c"]}))
    with table_views.open_views({"l": left, "r": right}, scratch=tmp_path, threads=2) as (connection, _):
        both = zip(
            query_results.read(connection, "SELECT c0 FROM l ORDER BY row"),
            query_results.read(connection, "SELECT c0 FROM l ORDER BY row DESC"),
            strict=True,
        )
        assert sum((up.column(0)[0].as_py() + down.column(0)[0].as_py()) == 4999 for up, down in both) == 3
        joined = connection.execute("SELECT l.c0, r.c1 FROM l JOIN r ON l.c0 = r.c0 ORDER BY l.row, r.row").fetchall()
    assert joined == [(1, "a"), (1, "b"), (4999, "c")]


def test_no_other_file_can_be_reached_and_none_written(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", pa.table({"a": [1]}))
    other = write(tmp_path / "other.parquet", pa.table({"a": [2]}))
    with table_views.open_views({"t": path}, scratch=tmp_path, threads=1) as (connection, _):
        for statement in (
            f"FROM read_parquet('{other}')",
            f"COPY (SELECT 1) TO '{tmp_path / 'new.csv'}'",
            f"COPY (SELECT 1 AS a) TO '{path}'",
            "SET enable_external_access = true",
            f"SET allowed_paths = ['{other}']",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(statement)
    assert parquet.read_table(path).to_pydict() == {"a": [1]}


def test_an_absent_column_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    view = table_views.TableView("t", [contract.Column(name="Age", type="integer")], 0)
    with pytest.raises(errors.BadDataError, match="Age"):
        view.sql_name("age")


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"a,b\n1,2\n")
    opening = table_views.open_views({"t": tmp_path / "t.parquet"}, scratch=tmp_path, threads=1)
    with pytest.raises(errors.BadDataError, match="Parquet"):
        opening.__enter__()
