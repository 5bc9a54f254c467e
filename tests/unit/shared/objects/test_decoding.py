"""Tables are read in batches of bounded size, and completely."""

import io
import itertools
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from shared import errors
from shared.objects import decoding

LONG = "é" * 50_000
LIMIT = 1 << 20


DELTA = {"a": "DELTA_BYTE_ARRAY", "b": "PLAIN"}


def write(table: pa.Table, **options: Any) -> io.BytesIO:
    sink = io.BytesIO()
    parquet.write_table(table, sink, store_schema=False, **options)
    sink.seek(0)
    return sink


def repeated(indices: Sequence[int | None]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), pa.array(["", LONG, "b"]))


TABLES = {
    "one value": pa.table({"a": repeated([1] * 500)}),
    "a long value in the middle": pa.table({"a": repeated([0] * 300 + [1] * 100 + [2] * 100), "b.c": range(500)}),
    "missing values first": pa.table({"a": repeated([None] * 100 + [1] * 400)}),
    "distinct texts": pa.table({"a": [f"{number}{LONG}" for number in range(200)]}),
    "many columns": pa.table({f"c{number}": pa.array(range(500)) for number in range(400)}),
    "no rows": pa.table({"a": pa.array([], pa.string())}),
}


@pytest.mark.parametrize("group_rows", [40, 10_000])
@pytest.mark.parametrize("name", TABLES)
def test_batches_hold_all_rows_and_few_bytes(name: str, group_rows: int) -> None:
    file = write(TABLES[name], row_group_size=group_rows, dictionary_pagesize_limit=1 << 30)
    expected = parquet.read_table(file)
    for first_row in (0, 1, 39, 40, 137, 1000):
        with decoding.Table(file, buffer_bytes=1 << 16) as table:
            batches = list(table.iterate(max_rows=300, max_bytes=LIMIT, first_row=first_row))
            assert pa.Table.from_batches(batches, schema=table.schema) == expected.slice(first_row)
        assert all(batch.nbytes <= LIMIT + 1000 and 0 < batch.num_rows <= 300 for batch in batches)


def test_rows_that_are_too_large_come_alone() -> None:
    file = write(pa.table({"a": ["x" * 2 * LIMIT, "x", "y" * 2 * LIMIT, "y"]}))
    with decoding.Table(file, buffer_bytes=1 << 16) as table:
        sizes = [batch.num_rows for batch in table.iterate(max_rows=10, max_bytes=LIMIT)]
    assert sizes == [1, 1, 1, 1]


def test_chosen_columns_alone_are_read_and_measured() -> None:
    file = write(pa.table({"long": repeated([1] * 500), "short": range(500)}), dictionary_pagesize_limit=1 << 30)
    with decoding.Table(file, buffer_bytes=1 << 16) as table:
        [batch] = table.iterate(max_rows=500, max_bytes=LIMIT, columns=["short"])
    assert batch.to_pydict() == {"short": list(range(500))}


def test_little_is_held_while_many_bytes_go_by() -> None:
    file = write(pa.table({"a": repeated([1] * 100_000)}), compression="zstd")
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    with decoding.Table(file, buffer_bytes=1 << 16) as table:
        seen, most = 0, 0
        for batch in itertools.islice(table.iterate(max_rows=4096, max_bytes=LIMIT), 1000):
            seen, most = seen + batch.nbytes, max(most, pool.bytes_allocated() - before)
    assert seen > 500 * LIMIT
    assert most < 8 * LIMIT


def test_values_that_share_their_beginnings_are_read_in_small_batches() -> None:
    texts = pa.array([LONG]).take(pa.array([0] * 2000))
    file = write(pa.table({"a": texts, "b": range(2000)}), use_dictionary=False, column_encoding=DELTA)
    assert file.getbuffer().nbytes < 10**6
    pool = pa.default_memory_pool()
    before, seen, most = pool.bytes_allocated(), 0, 0
    with decoding.Table(file, buffer_bytes=1 << 16) as table:
        for batch in table.iterate(max_rows=2000, max_bytes=LIMIT):
            seen, most = seen + batch.num_rows, max(most, pool.bytes_allocated() - before)
    assert seen == 2000
    assert most < 8 * LIMIT


def test_short_values_that_share_their_beginnings_are_read_many_at_once() -> None:
    texts = [f"https://example.org/{number}" for number in range(50_000)]
    file = write(pa.table({"a": texts, "b": range(50_000)}), use_dictionary=False, column_encoding=DELTA)
    with decoding.Table(file, buffer_bytes=1 << 16) as table:
        sizes = [batch.num_rows for batch in table.iterate(max_rows=10_000, max_bytes=LIMIT)]
    assert sum(sizes) == 50_000
    assert max(sizes) > 5_000


def test_dictionaries_that_are_too_large_together_are_refused_before_all_are_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decoding, "_MOST_DICTIONARY_BYTES", 16 << 20)
    columns = {f"c{number}": repeated([1] * 10) for number in range(1000)}
    file = write(pa.table(columns), compression="zstd", dictionary_pagesize_limit=1 << 30)
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    with (
        decoding.Table(file, buffer_bytes=1 << 12) as table,
        pytest.raises(errors.LimitExceededError, match="dictionaries of the columns"),
    ):
        next(table.iterate(max_rows=10, max_bytes=LIMIT))
    assert pool.bytes_allocated() - before < 64 << 20
