"""Fields that mean a missing value are found, and counted where they were texts."""

import pytest

from tests.unit.ingestion.conftest import Load
from workers.ingestion.formats import csv_arrow


def test_what_counts_as_missing_can_be_chosen(load: Load) -> None:
    assert load("a,b\n-,NA\n1,x\n", null_values=["-"]).values == {"a": [None, 1], "b": ["NA", "x"]}


def test_texts_that_are_read_as_missing_are_counted_in_a_note(load: Load) -> None:
    loaded = load('cc,pop,x\nNA,2,\nDE,80,\n"NA",NaN, NA\n,3,  \n')
    assert loaded.values == {"cc": [None, "DE", None, None], "pop": [2, 80, None, 3], "x": [None] * 4}
    assert "'null') were read as missing: 'cc' (2), 'pop' (1)." in loaded.notes
    assert "with spaces around them, were read as missing: 'x' (1)." in loaded.notes


def test_blank_fields_that_are_read_as_missing_are_no_news(load: Load) -> None:
    assert load("a,b\n,1\n  ,\nx,\n").result.notes == []


def test_blank_fields_are_texts_when_they_are_not_to_be_missing(load: Load) -> None:
    loaded = load("a,b\n,1\nNA,2\n-,3\n", null_values=["-"])
    assert loaded.values["a"] == ["", "NA", None]
    assert "'a' (1)" in loaded.notes


@pytest.mark.parametrize("late", ["x", "1.5"])
def test_texts_read_as_missing_are_counted_once_although_the_file_is_read_twice(
    load: Load, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    monkeypatch.setattr(csv_arrow, "BLOCK_BYTES", 1024)
    values = ["NA", "", *map(str, range(5000)), late, "NA", ""]
    loaded = load("a,b\n" + "".join(f"{value},1\n" for value in values))
    assert [loaded.values["a"].count(None), loaded.notes.count("'a' (2)")] == [4, 1]
