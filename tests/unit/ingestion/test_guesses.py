"""A table is stored while its types are still being found, and what is stored never depends on a wrong guess."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shared import errors
from shared.ingestion.contract import LoadDataset, UploadSource
from tests.unit.ingestion.conftest import Load
from workers.ingestion import prefetch, values
from workers.ingestion.formats import csv_arrow, text_encoding
from workers.ingestion.load import load_table
from workers.tabular import sketches

ROWS = 5000
"""About forty blocks of a kilobyte, of which eight are read before types are guessed."""


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_arrow, "BLOCK_BYTES", 1024)


@pytest.mark.parametrize(
    ("usual", "late", "kind", "stored"),
    [
        ("5", "1.5", "number", [5.0, 1.5]),
        ("5", "abc", "string", ["5", "abc"]),
        ("5", "007", "string", ["5", "007"]),
        ("1.5", "+3", "string", ["1.5", "+3"]),
        ("1.5", "9007199254740993", "string", ["1.5", "9007199254740993"]),
        ("", "7", "integer", [None, 7]),
        ("5", " NA ", "integer", [5, None]),
        ("true", "maybe", "string", ["true", "maybe"]),
        ("2026-01-01", "2026-01-01T10:00:00Z", "timestamp", None),
    ],
)
def test_a_late_surprise_gives_the_type_that_fits_all_rows(
    load: Load, usual: str, late: str, kind: str, stored: list[Any] | None
) -> None:
    loaded = load("x,b\n" + f"{usual},1\n" * ROWS + f"{late},1\n")
    assert loaded.types["x"] == kind
    assert loaded.result.rows == ROWS + 1
    if stored is not None:
        assert loaded.values["x"] == [stored[0]] * ROWS + [stored[1]]
        assert loaded.profile["x"]["nulls"] == sum(value is None for value in loaded.values["x"])


def test_what_a_late_surprise_proves_wrong_is_told_with_its_row(load: Load) -> None:
    loaded = load("x,b\n" + "5,1\n" * ROWS + "abc,1\n")
    assert f"row {ROWS + 1:,} holds 'abc'" in loaded.notes


def test_a_right_guess_reads_the_table_once(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = []
    read = csv_arrow.Rows.batches

    def noted(reader: Any) -> Any:
        readings.append(reader)
        return read(reader)

    monkeypatch.setattr(csv_arrow.Rows, "batches", noted)
    load("x,b\n" + "5,1\n" * ROWS)
    assert len(readings) == 1
    load("x,b\n" + "5,1\n" * ROWS + "abc,1\n")
    assert len(readings) == 1 + 2


def test_a_row_that_is_ragged_late_is_named_and_nothing_is_left(load: Load, tmp_path: Path) -> None:
    with pytest.raises(errors.BadDataError, match=f"Row {ROWS + 1:,}"):
        load("x,b\n" + "5,1\n" * ROWS + "5\n")
    assert not (tmp_path / "target").exists()


def test_one_thread_stores_the_same_as_two(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("x,y\n" + "".join(f"{row},{row / 7:.3f}\n" for row in range(ROWS)))
    source = UploadSource(type="upload", upload="0" * 26)
    asked = LoadDataset(name="d", source=source, format="csv")
    one, two = (
        load_table(
            tmp_path / "source", target=tmp_path / f"{threads}", options=asked, scratch=tmp_path, threads=threads
        )
        for threads in (1, 2)
    )
    assert one == two


def test_items_made_ahead_keep_their_order_and_their_error() -> None:
    def items() -> Any:
        yield from range(1, 20)
        raise ValueError("the end")

    seen: list[int] = []
    with pytest.raises(ValueError, match="the end"):
        seen.extend(prefetch.prefetch(items()))
    assert seen == list(range(1, 20))


@pytest.mark.parametrize("shift", [0, 1, 2, 3])
@pytest.mark.parametrize("letter", ["é", "€", "😀"])
def test_letters_across_chunks_are_valid_utf8(tmp_path: Path, letter: str, shift: int) -> None:
    (tmp_path / "t").write_text("a" * shift + letter * 600_000, encoding="utf-8")
    assert text_encoding.find_encoding(tmp_path / "t").is_checked


@pytest.mark.parametrize("data", [b"a" * 100 + b"\xff", b"a" * (1 << 20) + b"\xc3", b"\xc3" + b"a" * 10, b"a\0b"])
def test_what_is_no_clean_utf8_is_looked_at_closely(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "t").write_bytes(data)
    assert not text_encoding.find_encoding(tmp_path / "t").is_checked


def test_texts_are_hashed_by_all_of_their_bytes() -> None:
    texts = ["", "a", "a\0", "abcdefgh", "abcdefghi", "b" * 255, "b" * 256, "b" * 257, "b" * 300, "b" * 299 + "c"]
    hashes = sketches.hash_values(pa.array(texts))
    assert len(set(hashes.tolist())) == len(texts)
    assert (sketches.hash_values(pa.array(texts).slice(3, 5)) == hashes[3:8]).all()
    many = pa.array([f"id-{number}" for number in range(100_000)])
    assert len(np.unique(sketches.hash_values(many))) == 100_000


@pytest.mark.parametrize("text", [" a", "a ", "\ta", "a\n", "\x0ba", "a\x0c", "a\r"])
def test_a_space_at_either_end_is_seen(text: str) -> None:
    reading = values.find_missing(pa.array(["b", "", None, text]), missing=pa.array(["a"]))
    assert reading.trimmed.to_pylist() == ["b", "", None, None]


def test_a_sample_of_rows_is_drawn_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketches, "SAMPLE_ROWS", 10_000)
    sample = sketches.RowSample(seed=1)
    for start in range(0, 200_000, 5000):
        sample.add(np.arange(start, start + 5000, dtype=np.float64))
    assert not sample.exact
    assert sample.quantiles([0.1, 0.5, 0.9]) == pytest.approx([20_000, 100_000, 180_000], rel=0.05)
