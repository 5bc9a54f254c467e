"""A group is never in two parts, whatever identifies it."""

import random

import pytest

from shared import errors
from tests.unit.processing.splits.conftest import SplitTable


def test_no_group_is_in_two_parts_and_the_shares_are_near(split: SplitTable) -> None:
    dice = random.Random(3)
    groups = [f"user{number}" for number in range(300) for _ in range(dice.randint(1, 20))]
    dice.shuffle(groups)
    parts = split({"g": groups}, {"train": 0.6, "valid": 0.2, "test": 0.2}, group="g")
    values = parts.values("g")
    assert sum(len(set(part)) for part in values.values()) == 300
    assert all(abs(reached - asked) < 0.01 for reached, asked in zip(parts.split.shares, (0.6, 0.2, 0.2), strict=True))
    assert parts.split.notes == []


def test_ids_that_floats_would_merge_are_groups_of_their_own(split: SplitTable) -> None:
    ids = [2**53 + number for number in range(100)] * 3
    values = split({"g": ids}, group="g").values("g")
    assert {name: len(set(part)) for name, part in values.items()} == {"train": 80, "test": 20}


def test_rows_without_a_group_are_one_group(split: SplitTable) -> None:
    parts = split({"g": [None] * 30 + list(range(70))}, group="g")
    assert sum(None in part for part in parts.values("g").values()) == 1
    assert "30 rows have no value in 'g' and are one group." in parts.split.notes


def test_a_group_that_is_larger_than_its_share_is_noted(split: SplitTable) -> None:
    parts = split({"g": ["big"] * 90 + ["small"] * 10}, {"a": 0.5, "b": 0.5}, group="g")
    assert sorted(parts.rows.values()) == [10, 90]
    [note] = parts.split.notes
    assert note.startswith("Rows that belong together don't divide by these shares: 'a' has ")
    assert "instead of 50.0%" in note


def test_large_groups_are_not_all_in_the_first_part(split: SplitTable) -> None:
    groups = ["big"] * 30 + [f"g{number}" for number in range(70)]
    in_test = sum(
        "big" in split({"g": groups}, {"a": 0.5, "b": 0.5}, seed=seed, group="g").values("g")["b"] for seed in range(20)
    )
    assert 3 < in_test < 17


def test_fewer_groups_than_parts_are_refused(split: SplitTable) -> None:
    with pytest.raises(errors.BadDataError, match="'g' has 1 different value, too few for 2 parts") as refused:
        split({"g": ["only"] * 50}, group="g")
    assert refused.value.pointer == "#/params/by/group"
    parts = split({"g": ["a", "b"] * 50}, {"most": 0.99, "least": 0.01}, group="g")
    assert parts.rows == {"most": 50, "least": 50}
