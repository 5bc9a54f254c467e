"""A file of a few hundred bytes that decodes to gigabytes costs the API no more memory than any other."""

import io
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.integration import worker
from tests.integration.steps import at_home
from tests.security.peak import ALLOWED_BYTES, MEBIBYTE, Peak
from tests.system_under_test import System

LONG = "x" * 1_000_000


def repeat(value: object, *, rows: int, kind: pa.DataType) -> pa.Array:
    return pa.DictionaryArray.from_arrays(
        pa.array([0]).take(pa.repeat(0, rows)).cast(pa.int32()), pa.array([value], kind)
    )


def forge(columns: dict[str, pa.Array]) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(
        pa.table(columns), sink, compression="zstd", dictionary_pagesize_limit=1 << 30, store_schema=False
    )
    return sink.getvalue()


def shapes() -> dict[str, bytes]:
    """Make small files of much data: one long value, two among short ones, missing ones first, and many columns."""
    words = pa.array(["", LONG, "yes", LONG[:-1]])
    mixed = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 3] * 500, pa.int32()), words)
    sparse = pa.DictionaryArray.from_arrays(pa.array([None] * 1000 + [1] * 1000, pa.int32()), words)
    wide = {f"c{number}": repeat(LONG[:20_000], rows=1000, kind=pa.string()) for number in range(50)}
    return {
        "long": forge({"a": repeat(LONG, rows=2000, kind=pa.string())}),
        "mixed": forge({"a": mixed, "b": pa.array(range(2000))}),
        "sparse": forge({"a": sparse}),
        "wide": forge(wide),
    }


SHAPES = shapes()


@pytest.fixture(scope="module")
def forged(served: System) -> System:
    """Return a system that has loaded every forged file."""
    for name, data in SHAPES.items():
        assert len(data) < 20_000
        headers = {"Content-Type": "application/vnd.apache.parquet"}
        job = served.client.post(f"/v1/datasets/{name}", content=data, headers=headers).json()
        with at_home(served.home):
            assert worker.perform(job) is None
    return served


@pytest.mark.parametrize("name", SHAPES)
def test_rows_cost_memory_by_their_answer(forged: System, name: str) -> None:
    path = f"/v1/datasets/{name}/versions/1/rows?limit=1000"
    rows: list[dict[str, Any]] = []
    cursor = None
    with Peak(forged) as peak:
        while not rows or cursor:
            page = forged.client.get(path + (f"&cursor={cursor}" if cursor else "")).json()
            rows, cursor = rows + page["rows"], page["next_cursor"]
    expected = parquet.read_table(io.BytesIO(SHAPES[name])).to_pylist()
    assert len(rows) == len(expected)
    shown = [{key: text[:10_000] if isinstance(text, str) else text for key, text in row.items()} for row in expected]
    assert rows == shown
    assert peak.grown_bytes < ALLOWED_BYTES


@pytest.mark.parametrize("name", SHAPES)
def test_a_csv_costs_memory_by_its_batch(forged: System, name: str) -> None:
    with (
        Peak(forged) as peak,
        forged.client.stream("GET", f"/v1/datasets/{name}/versions/1/content?format=csv") as answer,
    ):
        length = sum(map(len, answer.iter_bytes()))
    assert length == int(answer.headers["Content-Length"]) > 100 * MEBIBYTE
    assert peak.grown_bytes < ALLOWED_BYTES
