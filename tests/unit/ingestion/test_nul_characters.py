"""U+0000 in texts, which only some formats may hold, is replaced where it is and noted by column."""

import io
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.unit.ingestion.conftest import Load
from workers.tabular import nul_characters

NDJSON = '{"a": "x\\u0000y", "b\\u0000": 1}\n{"a": "\\u0000", "b\\u0000": 2}\n{"a": "plain", "b\\u0000": 3}\n'


def to_parquet(columns: dict[str, Any]) -> bytes:
    """Write columns as Parquet."""
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file)
    return file.getvalue()


def test_lines_of_json_load_with_a_symbol_and_a_note(load: Load) -> None:
    loaded = load(NDJSON, "ndjson")
    assert loaded.values == {"a": ["x␀y", "␀", "plain"], "b␀": [1, 2, 3]}
    assert loaded.result.notes == [
        "U+0000 in the names of columns was replaced by ␀: b␀.",
        "Column 'a': U+0000 was replaced by ␀ in 2 values.",
    ]
    assert loaded.profile["a"]["min"] == "plain"


@pytest.mark.parametrize(
    "texts",
    [
        pa.array(["x\0y", None, "\0"]),
        pa.array(["x\0y", None, "\0"], pa.large_string()),
        pa.array(["x\0y", None, "\0"], pa.string_view()),
        pa.array([b"x\0y", None, b"\0"]),
        pa.array(["x\0y", None, "\0"]).dictionary_encode(),
    ],
    ids=lambda texts: f"{texts.type}",
)
def test_parquet_of_any_type_of_text_loads_with_a_symbol_and_a_note(load: Load, texts: pa.Array) -> None:
    loaded = load(to_parquet({"t": texts, "n": [1, 2, 3]}), "parquet")
    assert loaded.values["t"] == ["x␀y", None, "␀"]
    assert "Column 't': U+0000 was replaced by ␀ in 2 values." in loaded.result.notes


def test_nested_values_keep_the_escape_that_json_has_for_it(load: Load) -> None:
    loaded = load(to_parquet({"t": [["a\0"], ["b"]]}), "parquet")
    assert loaded.values["t"] == ['["a\\u0000"]', '["b"]']


def test_names_that_become_equal_are_refused(load: Load) -> None:
    with pytest.raises(Exception, match="every column needs a unique name"):
        load('{"a\\u0000": 1, "a␀": 2}\n', "ndjson")


def test_a_table_without_it_has_no_note(load: Load) -> None:
    loaded = load('{"a": "x"}\n{"a": "\\\\u0000"}\n', "ndjson")
    assert loaded.values == {"a": ["x", "\\u0000"]}
    assert loaded.result.notes == []


def test_bytes_of_missing_and_of_other_rows_do_not_count() -> None:
    texts = pa.array(["\0", "b", "c"])
    assert nul_characters.are_in(texts)
    assert not nul_characters.are_in(texts.slice(1))
    assert not nul_characters.are_in(pa.array([None, None], pa.string()))
    assert nul_characters.replace(texts.slice(1))[1] == 0
