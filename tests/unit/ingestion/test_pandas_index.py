"""The index of a pandas frame is left out of its table, with a note, and nothing else is."""

import io
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.unit.ingestion.conftest import Load
from workers.ingestion.formats import csv_arrow

FRAME = pd.DataFrame({"x": [1.5, 2.5, 3.5, 4.5], "y": list("abcd")})
SHUFFLED = FRAME.iloc[[2, 0, 3]]


def to_parquet(frame: pd.DataFrame, **options: Any) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        to_parquet(SHUFFLED),
        to_parquet(FRAME, index=True),
        to_parquet(SHUFFLED.reset_index()[["x", "y"]]),
        to_parquet(SHUFFLED.set_index(np.array([5, 1, 7]), append=True)),
    ],
)
def test_the_index_in_parquet_is_no_column(load: Load, data: bytes) -> None:
    loaded = load(data, "parquet")
    assert list(loaded.values) == ["x", "y"]
    assert ("__index_level_0__" in loaded.notes) == (b"__index_level_0__" in data)


def test_an_index_with_a_name_or_with_text_is_kept_and_noted(load: Load) -> None:
    loaded = load(to_parquet(SHUFFLED.rename_axis("customer")), "parquet")
    assert loaded.values["customer"] == [2, 0, 3]
    assert "The column 'customer' was the index" in loaded.notes
    loaded = load(to_parquet(FRAME.set_index(pd.Index(list("pqrs")))), "parquet")
    assert loaded.values["__index_level_0__"] == list("pqrs")


def test_metadata_that_can_not_be_read_change_nothing(load: Load) -> None:
    assert list(load(to_parquet(FRAME), "parquet").values) == ["x", "y"]
    frame = FRAME.rename(columns={"x": "Unnamed: 0"})
    assert list(load(to_parquet(frame), "parquet").values) == ["Unnamed: 0", "y"]


@pytest.mark.parametrize(
    "text",
    [
        SHUFFLED.to_csv(),
        FRAME.to_csv(),
        pd.read_csv(io.StringIO(SHUFFLED.to_csv())).to_csv(index=False),
        SHUFFLED.rename_axis("__index_level_0__").to_csv(),
    ],
)
def test_the_index_in_csv_is_no_column(load: Load, text: str) -> None:
    loaded = load(text)
    assert list(loaded.values) == ["x", "y"]
    assert "is the index of a pandas frame" in loaded.notes


@pytest.mark.parametrize(
    "text",
    [
        ",x\n10234567,1\n10876543,2\n",
        ",x\n1,1\n1,2\n",
        ",x\n2024-01-01,1\n2024-01-02,2\n",
        ",x\n0.5,1\n1.5,2\n",
        "id,x\n0,1\n1,2\n",
        ",x\n01,1\n02,2\n",
        "Unnamed: 0\n0\n1\n",
    ],
)
def test_a_first_column_that_is_no_index_is_kept(load: Load, text: str) -> None:
    assert len(load(text).values) == text.split("\n", maxsplit=1)[0].count(",") + 1


@pytest.mark.parametrize("late", ["x", "", "1.5"])
def test_a_first_column_that_is_no_index_in_a_late_row_is_kept(
    load: Load, late: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_arrow, "BLOCK_BYTES", 1024)
    rows = 5000
    loaded = load(",x\n" + "".join(f"{row},1234567\n" for row in range(rows)) + f"{late},1\n")
    assert loaded.result.rows == rows + 1
    assert list(loaded.values) == ["column_1", "x"]


def test_an_index_that_is_named_in_an_option_is_kept(load: Load) -> None:
    assert load(to_parquet(SHUFFLED), "parquet", columns=["y", "__index_level_0__"]).values == {
        "y": ["c", "a", "d"], "__index_level_0__": [2, 0, 3]
    }  # fmt: skip
    assert load(FRAME.to_csv(), types={"column_1": "integer"}).values["column_1"] == [0, 1, 2, 3]
    assert load(FRAME.to_csv(), columns=["column_1", "y"]).values["column_1"] == [0, 1, 2, 3]
