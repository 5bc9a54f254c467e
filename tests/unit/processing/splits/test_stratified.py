"""Each class is divided by the shares, rare classes are named, and missing values are a class."""

import pytest

from shared import errors
from tests.unit.processing.splits.conftest import SplitTable
from workers.processing.splits import stratified


def test_each_class_has_its_share_in_each_part(split: SplitTable) -> None:
    parts = split({"c": ["a"] * 100 + ["b"] * 10 + [None] * 5}, stratify="c")
    train, test = parts.values("c").values()
    assert [train.count(value) for value in ("a", "b", None)] == [80, 8, 4]
    assert [test.count(value) for value in ("a", "b", None)] == [20, 2, 1]
    assert parts.split.notes == ["5 rows have no value in 'c' and are a class of their own."]


def test_rare_classes_are_divided_together_and_named(split: SplitTable) -> None:
    parts = split({"c": ["common"] * 90 + [f"rare{number}" for number in range(10)]}, stratify="c")
    assert parts.rows == {"train": 80, "test": 20}
    rare = [value for value in parts.values("c")["test"] if value != "common"]
    assert len(rare) == 2
    [note] = parts.split.notes
    assert note.startswith("10 values are too rare in 'c' to be in every part: such as 'rare")
    assert note.count("(1 row)") == 5


def test_a_single_rare_class_is_named_with_its_rows(split: SplitTable) -> None:
    parts = split({"c": [1] * 20 + [2**60 + 1] * 3}, {"a": 0.5, "b": 0.3, "c": 0.1, "d": 0.1}, stratify="c")
    assert parts.split.notes == [f"1 value is too rare in 'c' to be in every part: {2**60 + 1} (3 rows)."]


def test_integers_that_floats_would_merge_are_classes_of_their_own(split: SplitTable) -> None:
    column = [2**53] * 10 + [2**53 + 1] * 10
    assert sorted(split({"c": column}, stratify="c").values("c")["test"]) == [2**53] * 2 + [2**53 + 1] * 2


@pytest.mark.parametrize("column", [[True, False] * 10, [0.5, -0.0] * 10, ["", " "] * 10])
def test_classes_of_any_type(split: SplitTable, column: list[object]) -> None:
    test = split({"c": column}, stratify="c").values("c")["test"]
    assert sorted(map(repr, test)) == sorted(map(repr, column[:2] * 2))


def test_a_column_of_too_many_values_is_refused(split: SplitTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stratified, "MAX_CLASSES", 9)
    with pytest.raises(
        errors.BadDataError, match="10 different values; rows can be stratified by at most 9"
    ) as refused:
        split({"c": list(range(10))}, stratify="c")
    assert refused.value.pointer == "#/params/by/stratify"
