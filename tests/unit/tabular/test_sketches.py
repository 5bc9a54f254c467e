"""Summaries of large columns cost little, and are what a full count would give within their stated errors."""

import numpy as np
import pyarrow as pa
import pytest

from shared import contract
from workers.tabular import profile, sketches

ROWS = 20_000


def test_a_text_has_the_same_hash_among_texts_of_its_size_and_among_others() -> None:
    for size in (1, 7, 8, 9, 16, 17, 255, 256):
        alike = [f"{number:0{size}d}"[-size:] for number in range(5)]
        among_others = sketches.hash_values(pa.array([*alike, "of another size"]))[:5]
        assert (sketches.hash_values(pa.array(alike)) == among_others).all()


def test_texts_of_one_size_are_hashed_by_all_of_their_bytes() -> None:
    texts = [f"id-{number:010d}" for number in range(100_000)]
    assert len(np.unique(sketches.hash_values(pa.array(texts)))) == 100_000


def test_a_distinct_count_does_not_depend_on_how_values_are_parted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketches, "MAX_HASHES", 1000)
    hashes = sketches.hash_values(pa.array(np.arange(ROWS) % 15_000))
    counts = []
    for parts in (1, 7, 500):
        count = sketches.DistinctCount()
        for part in np.array_split(hashes, parts):
            count.add(part)
        counts.append(count.estimate())
    assert counts[0] == counts[1] == counts[2] == pytest.approx(15_000, rel=0.1)


@pytest.mark.parametrize("as_text", [True, False])
def test_what_comes_often_among_identifiers_is_counted_to_the_last(
    monkeypatch: pytest.MonkeyPatch, *, as_text: bool
) -> None:
    monkeypatch.setattr(sketches, "MAX_HASHES", 1000)
    monkeypatch.setattr(sketches, "MAX_FREQUENT_VALUES", 100)
    monkeypatch.setattr(profile, "MIN_ESTIMATED_ROWS", ROWS)
    made = profile.ColumnProfile(contract.Column(name="x", type="string" if as_text else "integer"))
    for part in range(4):
        values = np.arange(part * ROWS, (part + 1) * ROWS)
        values[::40] = -1
        values[1::400] = -2
        values[2::1000] = -3
        array = pa.array(values)
        made.add(array.cast(pa.string()) if as_text else array)
    document = made.to_document(3)
    assert [(int(one["value"]), one["count"]) for one in document["top"]] == [(-1, 2000), (-2, 200), (-3, 80)]
    assert "top" in document["approximate"]
    assert document["distinct"] == pytest.approx(4 * ROWS, rel=0.15)


def test_a_dictionary_has_the_profile_of_its_values() -> None:
    values = pa.array(["b", None, "a", "b", "é", None])
    plain, encoded = (profile.ColumnProfile(contract.Column(name="x", type="string")) for _ in range(2))
    plain.add(values)
    encoded.add(values.dictionary_encode())
    assert encoded.to_document(10) == plain.to_document(10)
    assert encoded.to_document(10)["nulls"] == 2
