"""A column that decides which rows stay is not rounded, and has one order."""

import decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from shared import errors
from tests.unit.ingestion import versions
from tests.unit.ingestion.test_parquet import TWINS, packed

NEIGHBOURS = [decimal.Decimal("0.12345678901234567891"), decimal.Decimal("0.12345678901234567892")]


@pytest.mark.parametrize("command", [{"key": ["id"]}, {"watermark": {"column": "id"}}], ids=["key", "watermark"])
def test_numbers_that_would_be_rounded_decide_nothing(tmp_path: Path, command: dict[str, Any]) -> None:
    dataset = versions.Dataset(tmp_path)
    finer = packed({"id": pa.array(NEIGHBOURS, pa.decimal128(38, 20))})
    with pytest.raises(errors.BadDataError, match="more than the about 16 digits"):
        dataset.load(finer, format="parquet", **command)
    with pytest.raises(errors.BadDataError, match="more than the about 16 digits"):
        dataset.load(packed({"id": TWINS}), format="parquet", types={"id": "number"}, **command)
    dataset.load(packed({"id": TWINS}), format="parquet", **command)
    assert [row["id"] for row in dataset.rows] == TWINS


def test_a_number_beyond_64_bits_is_text_and_no_watermark(tmp_path: Path) -> None:
    dataset = versions.Dataset(tmp_path)
    with pytest.raises(errors.BadDataError, match="another order"):
        dataset.load(
            packed({"id": pa.array([9, 2**64 - 1], pa.uint64())}), format="parquet", watermark={"column": "id"}
        )


def test_whole_decimals_are_a_watermark_to_the_last_digit(tmp_path: Path) -> None:
    dataset, watermark = versions.Dataset(tmp_path), {"column": "id"}
    dataset.load(packed({"id": pa.array(TWINS[:1], pa.decimal128(20, 0))}), format="parquet", watermark=watermark)
    later = packed({"id": pa.array(TWINS, pa.decimal128(20, 0))})
    dataset.load(later, format="parquet", mode="append", watermark=watermark)
    assert [row["id"] for row in dataset.rows] == TWINS
