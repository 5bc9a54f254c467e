"""Rows are divided by shares in whole numbers, as near as these allow, class by class and all together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.processing.splits.shares import Apportionment, GroupAllocator, Shares

SHARES = st.lists(st.integers(1, 1000), min_size=2, max_size=10).map(
    lambda parts: [each / sum(parts) for each in parts]
)


@pytest.mark.parametrize(
    ("shares", "rows", "counts"),
    [
        ([0.8, 0.2], 10, [8, 2]),
        ([0.7, 0.3], 10, [7, 3]),
        ([0.29, 0.71], 100, [29, 71]),
        ([0.333, 0.333, 0.333], 9, [3, 3, 3]),
        ([0.333, 0.333, 0.334], 10, [3, 3, 4]),
        ([0.5, 0.5], 3, [2, 1]),
        ([0.9, 0.1], 4, [4, 0]),
        ([0.6, 0.2, 0.2], 2**60 * 5, [2**60 * 3, 2**60, 2**60]),
    ],
)
def test_each_part_gets_its_share_rounded_and_the_largest_rests_are_rounded_up(
    shares: list[float], rows: int, counts: list[int]
) -> None:
    assert Shares(shares).apportion(rows) == counts


@given(shares=SHARES, classes=st.lists(st.integers(1, 50), max_size=60))
def test_every_class_is_divided_to_within_a_row_and_nothing_is_lost(shares: list[float], classes: list[int]) -> None:
    divided, apportionment = Shares(shares), Apportionment(Shares(shares))
    for rows in classes:
        counts = apportionment.divide(rows)
        assert sum(counts) == rows
        for count, weight in zip(counts, divided.weights, strict=True):
            assert abs(count * divided.total - rows * weight) < divided.total


def test_classes_of_one_row_are_divided_among_the_parts_too() -> None:
    apportionment = Apportionment(Shares([0.6, 0.2, 0.2]))
    counts = [apportionment.divide(1) for _ in range(1000)]
    assert [sum(part) for part in zip(*counts, strict=True)] == [600, 200, 200]


@given(shares=SHARES, sizes=st.lists(st.integers(1, 1000), min_size=10, max_size=60))
def test_no_part_is_without_a_group_when_there_are_as_many_groups_as_parts(
    shares: list[float], sizes: list[int]
) -> None:
    allocator = GroupAllocator(Shares(shares), groups=len(sizes))
    assert {allocator.give(size) for size in sizes} == set(range(len(shares)))


def test_groups_of_one_size_are_divided_by_the_shares() -> None:
    allocator = GroupAllocator(Shares([0.7, 0.2, 0.1]), groups=1000)
    given_to = [allocator.give(3) for _ in range(1000)]
    assert [given_to.count(part) for part in range(3)] == [700, 200, 100]
