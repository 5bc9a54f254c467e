"""A table of one row a key gives back what was written, to the last bit, and is refused when it isn't whole."""

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shared import contract, errors
from shared.objects.lookups import keys, layout, table, writer

TYPES: dict[contract.ColumnType, pa.DataType] = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
}
ROWS: dict[contract.ColumnType, list[Any]] = {
    "number": [0.1, -0.0, None, 5e-324, 1e308],
    "integer": [2**63 - 1, -(2**63), 0, None, 2**53 + 1],
    "boolean": [True, None, False, True, False],
    "string": ["red", "", None, "Bodø", "red"],
    "timestamp": [0, -1, None, 1_764_540_000_123_456, 1],
    "date": [0, -1, 20_000, None, 3],
}


def write(path: Path, batch: pa.Table, ids: list[str], *, batches: int = 1) -> table.Table:
    hashes = [keys.hash_parts([each]) for each in ids]
    order = sorted(range(len(ids)), key=hashes.__getitem__)
    pairs = np.frombuffer(b"".join(hashes[row] for row in order), dtype=">u8").reshape(-1, 2).astype(np.uint64)
    places = np.empty(len(ids), dtype=np.int64)
    places[order] = np.arange(len(ids))
    described = layout.Layout(
        key=[contract.Column(name="id", type="string")],
        columns=[
            contract.Column(name=name, type=next(t for t in TYPES if t == name.rstrip("0123456789")))
            for name in batch.column_names
        ],
        rows=len(ids),
        example={"id": ids[0]} if ids else {"id": None},
    )
    with writer.Writer(path, described, hashes=pairs) as made:
        size = -(-len(ids) // batches) or 1
        for first in range(0, len(ids), size):
            made.write(batch.slice(first, size), places[first : first + size])
    return table.Table(path)


def every_type() -> pa.Table:
    return pa.table({name: pa.array(values, type=TYPES[name]) for name, values in ROWS.items()})


@pytest.mark.parametrize("batches", [1, 2, 5])
def test_what_was_written_is_read_to_the_last_bit(tmp_path: Path, batches: int) -> None:
    ids = [f"c-{row}" for row in range(5)]
    made = write(tmp_path / "t", every_type(), ids, batches=batches)
    read = made.select(list(ROWS))
    for row, each in enumerate(ids):
        place = made.find(keys.hash_parts([each]))
        assert place is not None
        values = dict(zip(ROWS, read(place), strict=True))
        for name, written in ROWS.items():
            expected, value = written[row], values[name]
            if expected is None:
                assert value is None
            elif name == "number":
                assert struct.pack("<d", value) == struct.pack("<d", expected)
            elif name in contract.TEMPORAL:
                assert value == np.datetime64(expected, "us" if name == "timestamp" else "D").astype("datetime64[us]")
            else:
                assert (type(value), value) == (type(expected), expected)


def test_columns_are_read_in_the_order_in_which_they_are_asked_for(tmp_path: Path) -> None:
    made = write(tmp_path / "t", every_type(), [f"c-{row}" for row in range(5)])
    place = made.find(keys.hash_parts(["c-3"]))
    assert place is not None
    assert made.select(["string", "integer", "number"])(place) == ["Bodø", None, 5e-324]
    assert made.select([])(place) == []
    assert made.select(["string"])(place) == ["Bodø"]


@pytest.mark.parametrize("count", [0, 1, 3, 1000])
def test_every_key_is_found_and_no_other(tmp_path: Path, count: int) -> None:
    ids = [f"{row}" for row in range(count)]
    made = write(tmp_path / "t", pa.table({"integer": pa.array(range(count), type=pa.int64())}), ids)
    read = made.select(["integer"])
    found = [made.find(keys.hash_parts([each])) for each in ids]
    assert [None if place is None else read(place)[0] for place in found] == list(range(count))
    assert all(made.find(keys.hash_parts([f"x{each}"])) is None for each in range(1000))


def test_a_file_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "t", every_type(), [f"c-{row}" for row in range(5)])
    content = (tmp_path / "t").read_bytes()
    for left in (1, 100, len(content) // 2, len(content) - 1):
        (tmp_path / "u").write_bytes(content[:left])
        with pytest.raises(errors.BadDataError, match="can't be read"):
            table.Table(tmp_path / "u")


EQUAL: list[tuple[contract.ColumnType, list[Any]]] = [
    ("string", ["007", "007"]),
    ("string", ["7", 7]),
    ("integer", [7, "7", 7.0, "+7"]),
    ("boolean", [True, "true", 1, "TRUE"]),
    ("timestamp", ["2026-01-31T12:00:00Z", "2026-01-31T13:00:00+01:00", "2026-01-31 12:00:00"]),
    ("date", ["2026-01-31", "2026-01-31T00:00:00"]),
]
REFUSED: list[tuple[contract.ColumnType, list[Any]]] = [
    ("string", [1.5, True, []]),
    ("integer", ["x", 1.5, 2**63, True, math.inf]),
    ("boolean", ["yes"]),
    ("timestamp", [3]),
    ("date", ["31.1.2026"]),
]


def test_equal_keys_are_equal_however_they_are_written_and_what_no_key_can_be_is_refused() -> None:
    for column_type, values in EQUAL:
        assert len({keys.to_text(value, column_type) for value in values}) == 1
    for column_type, values in REFUSED:
        for value in values:
            with pytest.raises(ValueError, match="where a"):
                keys.to_text(value, column_type)
    assert keys.to_text(None, "string") is None
    assert keys.to_text(math.nan, "integer") is None


def test_keys_of_several_columns_are_not_confused() -> None:
    assert keys.hash_parts(["a", "bc"]) != keys.hash_parts(["ab", "c"])
    assert len({keys.hash_parts(parts) for parts in (["a"], ["a", ""], ["", "a"])}) == 3
