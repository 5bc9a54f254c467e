"""The quick looks at a column's bytes say what the slow looks at each of its texts would."""

import numpy as np
import pyarrow as pa
import pytest

from shared import contract
from workers.ingestion import values

HEXADECIMAL = ["0x100000000000000", "0x989680", "0xF"]
"""Arrow reads these as integers; the first two have as many letters as their numbers have digits."""


def hiding(texts: list[str], *, hidden: str) -> pa.Array:
    """Make an array in which a missing text has bytes all the same, as Arrow allows."""
    letters = "".join([*texts, hidden]).encode()
    ends = np.cumsum([0, *map(len, texts), len(hidden)]).astype(np.int32)
    known = np.packbits([1] * len(texts) + [0], bitorder="little")
    return pa.Array.from_buffers(
        pa.string(), len(texts) + 1, [pa.py_buffer(known), pa.py_buffer(ends), pa.py_buffer(letters)]
    )


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *(("integer", text) for text in [*HEXADECIMAL, "007", "-0", "-07", "+7", "1.", "9223372036854775808"]),
        *(("number", text) for text in ["007", "-00", "-01.5", "+7", "0e1x", "9007199254740993", "-9007199254740993"]),
        *(("boolean", text) for text in ["1", "0", "t", "yes", "maybe"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_text_that_would_lose_something_is_found_among_others(
    kind: contract.ColumnType, text: str, place: int
) -> None:
    usual = {"integer": "-12", "number": "-0.5", "boolean": "True"}[kind]
    texts = [usual, usual]
    texts.insert(place, text)
    assert values.convert_strictly(pa.array([usual, usual]), kind) is not None
    assert values.convert_strictly(pa.array(texts), kind) is None


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("integer", ["0", "-1", "9", "10", "-99", "100", "9223372036854775807", "-9223372036854775808"]),
        ("number", ["0", "5", "-0", "-0.5", "0.5", "0.", "1e+5", "-.5", "9007199254740991"]),
        ("boolean", ["TRUE", "false", "True"]),
        ("timestamp", ["2026-01-02T03:04:05Z", "2026-01-02 03:04:05+01:00"]),
    ],
)
@pytest.mark.parametrize("hidden", ["", "+07 ", "x"])
def test_texts_that_lose_nothing_are_read_whatever_a_missing_one_hides(
    kind: contract.ColumnType, texts: list[str], hidden: str
) -> None:
    array = hiding(texts, hidden=hidden)
    read = values.convert_strictly(array, kind)
    assert read is not None
    assert read.null_count == 1
    assert read.slice(0, len(texts)).equals(values.to_type(pa.array(texts), kind))


@pytest.mark.parametrize(
    ("texts", "lacks"),
    [
        (["2026-01-02T03:04:05Z"], False),
        (["2026-01-02T03:04:05Z", None], False),
        (["2026-01-02T03:04:05+01:00"], False),
        (["2026-01-02T03:04:05"], True),
        (["2026-01-02T03:04:05Z", "2026-01-02"], True),
        ([None, "2026-01-02T03:04:05", "2026-01-02T03:04:05Z"], True),
    ],
)
def test_a_time_without_an_offset_is_seen(texts: list[str | None], *, lacks: bool) -> None:
    assert values.any_lacks_offset(pa.array(texts, pa.string())) is lacks


@pytest.mark.parametrize(
    "texts", [["", " "], [" ", ""], ["", "", "a "], [" a", ""], [None, " a"], ["a ", "b"], ["a ", None, "b"]]
)
def test_a_space_beside_an_empty_text_is_seen(texts: list[str | None]) -> None:
    reading = values.find_missing(pa.array(texts, pa.string()), missing=pa.array([], pa.string()))
    assert reading.trimmed.to_pylist() == [None if text is None else text.strip() for text in texts]
