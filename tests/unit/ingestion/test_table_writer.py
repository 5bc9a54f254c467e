"""A stored table is plain Parquet, however its columns were handed over."""

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from shared import contract
from tests.unit.ingestion.conftest import Load
from workers.ingestion.formats import csv_arrow
from workers.tabular import table_writer

COLUMNS = [contract.Column(name="x", type="string"), contract.Column(name="n", type="integer")]


@pytest.mark.parametrize("in_background", [True, False])
def test_texts_that_repeat_at_first_and_differ_later_are_stored_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, in_background: bool
) -> None:
    monkeypatch.setattr(table_writer, "GROUP_ROWS", 5000)
    texts = ["again", None] * 2500 + [f"{row} {'long' * 200}" for row in range(5000)] + [None] * 10
    with table_writer.TableWriter(tmp_path / "t", columns=COLUMNS, in_background=in_background) as writer:
        for start in range(0, len(texts), 1000):
            part = texts[start : start + 1000]
            writer.write([pa.array(part, pa.string()), pa.array(range(start, start + len(part)))])
    stored = parquet.read_table(tmp_path / "t")
    assert stored.column("x").to_pylist() == texts
    assert stored.schema.equals(pa.schema([("x", pa.string()), ("n", pa.int64())]))
    document, _ = writer.describe(threads=2).profile
    assert (document["count"], document["nulls"], document["top"][0]) == (7500, 2510, {"value": "again", "count": 2500})


def test_a_stored_table_is_described_by_its_bytes(tmp_path: Path) -> None:
    with table_writer.TableWriter(tmp_path / "t", columns=COLUMNS) as writer:
        writer.write([pa.array(["a", None]), pa.array([1, 2])])
    described = writer.describe(threads=1)
    data = (tmp_path / "t").read_bytes()
    assert (described.bytes, described.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert [column.nullable for column in described.columns] == [True, False]


def test_every_type_is_read_back_from_the_file_alone(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_arrow, "BLOCK_BYTES", 1024)
    row = "1,1.5,true,text,2026-01-02,2026-01-02T03:04:05Z\n"
    loaded = load("i,n,b,s,d,t\n" + row * 500)
    kinds = [pa.int64(), pa.float64(), pa.bool_(), pa.string(), pa.date32(), pa.timestamp("us", tz="UTC")]
    assert loaded.table.schema.types == kinds
