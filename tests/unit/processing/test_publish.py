"""What is published of a feature set equals what applying it makes, row by row and to the last bit."""

import datetime
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from shared import digests, errors
from shared.ml import frames
from shared.objects.lookups import keys, table
from shared.recipe.language import Recipe
from workers.processing import apply, fit, publish

ROWS = 10_000
TIME = pa.timestamp("us", tz="UTC")
STEPS: list[dict[str, Any]] = [
    {"op": "drop", "columns": ["id", "branch"]},
    {"op": "impute", "columns": ["size"], "strategy": "mean", "indicator": True},
    {"op": "scale", "columns": ["size"]},
    {"op": "log1p", "columns": ["spent"]},
    {"op": "one_hot", "columns": ["town"]},
    {"op": "date_parts", "columns": ["joined"], "parts": ["year", "weekday"]},
]


def make_dataset(path: Path, *, rows: int = ROWS) -> None:
    dice = np.random.default_rng(5)
    holes = dice.random(rows) < 0.1
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    lags = [datetime.timedelta(days=int(day)) for day in dice.integers(0, 2000, rows)]
    columns = {
        "id": pa.array([f"{each:05}-X" for each in dice.permutation(rows)]),
        "branch": pa.array(np.arange(rows) % 7),
        "size": pa.array(dice.normal(size=rows), mask=holes),
        "spent": pa.array(dice.exponential(1e3, rows)),
        "count": pa.array(dice.integers(2**60, 2**62, rows), mask=holes),
        "flag": pa.array(dice.random(rows) < 0.5, mask=holes),
        "town": pa.array(dice.choice(["Oslo", "Bergen", "Bodø"], rows)),
        "note": pa.array([None if hole else f"nr {row % 100}" for row, hole in enumerate(holes)]),
        "joined": pa.array([start + lag for lag in lags], type=TIME),
        "seen": pa.array([None if hole else start + day for day, hole in zip(lags, holes, strict=True)], type=TIME),
        "born": pa.array([(start - lag).date() for lag in lags], type=pa.date32()),
        "target": pa.array(dice.random(rows)),
    }
    parquet.write_table(pa.table(columns), path)


def fit_on(folder: Path, *, steps: list[dict[str, Any]] = STEPS) -> None:
    fit.fit_features(
        folder / "d.parquet",
        recipe=Recipe.model_validate_json(json.dumps({"steps": steps})),
        columns=frames.read_columns(folder / "d.parquet"),
        target="target",
        transformer_path=folder / "t.skops",
        output_path=folder / "fitted.parquet",
    )


def publish_to(folder: Path, *, key: list[str], time: str | None = None, **given: Any) -> publish.Published:
    (folder / "scratch").mkdir(exist_ok=True)
    (folder / "rows.lookup").unlink(missing_ok=True)
    return publish.publish_features(
        folder / "d.parquet",
        transformer=folder / "t.skops",
        sha256=digests.of_file(folder / "t.skops"),
        key=key,
        time=time,
        output_path=folder / "rows.lookup",
        scratch=folder / "scratch",
        **given,
    )


def read_rows(path: Path, ids: list[list[str]]) -> list[list[Any]]:
    published = table.Table(path)
    read = published.select([column.name for column in published.layout.columns])
    places = [published.find(keys.hash_parts(parts)) for parts in ids]
    assert None not in places
    return [read(place) for place in places if place is not None]


def to_bits(value: Any) -> Any:
    return struct.pack("<d", value) if isinstance(value, float) else value


def test_10000_rows_equal_those_of_apply_to_the_last_bit(tmp_path: Path) -> None:
    make_dataset(tmp_path / "d.parquet")
    fit_on(tmp_path)
    made = publish_to(tmp_path, key=["id"], batch_rows=777)
    apply.apply_features(
        tmp_path / "d.parquet",
        transformer=tmp_path / "t.skops",
        sha256=digests.of_file(tmp_path / "t.skops"),
        output_path=tmp_path / "applied.parquet",
    )
    applied = parquet.read_table(tmp_path / "applied.parquet").drop_columns("target")
    assert [column.name for column in made.columns] == applied.column_names
    assert (made.rows, made.bytes) == (ROWS, (tmp_path / "rows.lookup").stat().st_size)
    assert made.notes == ["Left out, because the recipe doesn't use them: 'branch'."]
    assert made.sha256 == digests.of_file(tmp_path / "rows.lookup")
    ids = parquet.read_table(tmp_path / "d.parquet")["id"].to_pylist()
    online = list(zip(*read_rows(tmp_path / "rows.lookup", [[each] for each in ids]), strict=True))
    for name, values in zip(applied.column_names, online, strict=True):
        column = applied[name]
        if pa.types.is_temporal(column.type):
            instants = column.cast(pa.timestamp("us")).cast(pa.int64()).to_pylist()
            assert [None if value is None else value.astype(np.int64) for value in values] == instants, name
        else:
            assert [to_bits(value) for value in values] == [to_bits(value) for value in column.to_pylist()], name
    # No larger than it must be: the values at 8 bytes each, and the hashes.
    assert made.bytes < 1.3 * max(applied.nbytes, ROWS * 8 * len(made.columns))


def test_a_key_that_comes_more_than_once_is_refused_or_its_latest_row_taken(tmp_path: Path) -> None:
    make_dataset(tmp_path / "d.parquet", rows=70)
    fit_on(tmp_path)
    with pytest.raises(
        errors.BadDataError, match=r"63 rows have the key of another one, such as branch \d in rows \d+"
    ):
        publish_to(tmp_path, key=["branch"])
    made = publish_to(tmp_path, key=["branch"], time="seen")
    assert (made.rows, made.notes[-1]) == (7, "63 rows were left out, since a later one has the same key.")
    data = parquet.read_table(tmp_path / "d.parquet").to_pylist()
    never = datetime.datetime.min.replace(tzinfo=datetime.UTC)
    for branch in range(7):
        rows = [(row["seen"] or never, number) for number, row in enumerate(data) if row["branch"] == branch]
        expected = data[max(rows)[1]]["count"]
        [row] = read_rows(tmp_path / "rows.lookup", [[f"{branch}"]])
        names = [column.name for column in made.columns]
        assert row[names.index("count")] == expected


def test_rows_without_a_key_are_left_out_and_those_of_several_columns_are_found(tmp_path: Path) -> None:
    make_dataset(tmp_path / "d.parquet", rows=70)
    fit_on(tmp_path)
    data = parquet.read_table(tmp_path / "d.parquet")
    made = publish_to(tmp_path, key=["id", "note"])
    missing = data["note"].null_count
    assert missing
    assert made.rows == 70 - missing
    assert f"{missing} rows have no key, and were left out." in made.notes
    rows = [[row["id"], row["note"]] for row in data.to_pylist() if row["note"] is not None]
    assert len(read_rows(tmp_path / "rows.lookup", rows)) == made.rows
    assert table.Table(tmp_path / "rows.lookup").layout.example == dict(zip(["id", "note"], rows[0], strict=True))


def test_rows_that_the_recipe_leaves_out_are_not_published(tmp_path: Path) -> None:
    make_dataset(tmp_path / "d.parquet", rows=70)
    fit_on(tmp_path, steps=[{"op": "filter", "where": "branch < 3"}, {"op": "drop", "columns": ["id"]}])
    made = publish_to(tmp_path, key=["id"])
    kept = [row["id"] for row in parquet.read_table(tmp_path / "d.parquet").to_pylist() if row["branch"] < 3]
    assert made.rows == len(kept)
    assert len(read_rows(tmp_path / "rows.lookup", [[each] for each in kept])) == len(kept)
