"""Shares of routes: a unit's place never changes, and a change of weights moves as few units as it must."""

import hypothesis
import pytest
from hypothesis import strategies as st

from shared.prediction import shares

weights = st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 1000), min_size=1).filter(
    lambda drawn: sum(drawn.values()) > 0
)


def count(ranges: shares.Ranges) -> int:
    return sum(stop - start for start, stop in ranges)


# Seed, unit, the hash's version and its value: `hash` in growthbook/growthbook, packages/sdk-js/test/cases.json.
# The fifteenth case there, of a version 99, says that it has no value.
VECTORS = [
    ("", "a", 1, 0.22),
    ("", "b", 1, 0.077),
    ("b", "a", 1, 0.946),
    ("ef", "d", 1, 0.652),
    ("asdf", "8952klfjas09ujk", 1, 0.549),
    ("", "123", 1, 0.011),
    ("", '___)((*":&', 1, 0.563),
    ("seed", "a", 2, 0.0505),
    ("seed", "b", 2, 0.2696),
    ("foo", "ab", 2, 0.2575),
    ("foo", "def", 2, 0.2019),
    ("89123klj", "8952klfjas09ujkasdf", 2, 0.124),
    ("90850943850283058242805", "123", 2, 0.7516),
    ("()**(%$##$%#$#", '___)((*":&', 2, 0.0128),
]


@pytest.mark.parametrize(("seed", "unit", "version", "expected"), VECTORS)
def test_the_hash_gives_the_published_values(seed: str, unit: str, version: int, expected: float) -> None:
    if version == 1:
        # Version 1 puts the seed after the unit and hashes once; only this test has a use for it.
        assert shares.hash_text(unit + seed) % 1000 == round(expected * 1000)
    else:
        assert shares.place_of(unit, seed=seed) == round(expected * shares.PLACES)


# Those of `getBucketRange` in the same file whose weights add up to 1 and cover everybody; ours always do.
@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([0.5, 0.5], [[0, 0.5], [0.5, 1]]),
        ([0.25] * 4, [[0, 0.25], [0.25, 0.5], [0.5, 0.75], [0.75, 1]]),
        ([0.4, 0.6], [[0, 0.4], [0.4, 1]]),
        ([0.2, 0.3, 0.5], [[0, 0.2], [0.2, 0.5], [0.5, 1]]),
    ],
)
def test_a_first_division_gives_the_published_ranges(weights: list[float], expected: list[list[float]]) -> None:
    ranges = shares.allocate({str(index): weight for index, weight in enumerate(weights)}, previous={})
    assert list(ranges.values()) == [[[round(edge * shares.PLACES) for edge in pair]] for pair in expected]


@hypothesis.given(weights)
def test_each_place_has_one_route_and_each_route_its_share(drawn: dict[str, float]) -> None:
    ranges = shares.allocate(drawn, previous={})
    taken = sorted(place for spans in ranges.values() for start, stop in spans for place in range(start, stop))
    assert taken == list(range(shares.PLACES))
    total = sum(drawn.values())
    for name, weight in drawn.items():
        assert abs(count(ranges[name]) - shares.PLACES * weight / total) < 1


@hypothesis.given(st.lists(weights, min_size=2, max_size=5))
def test_a_change_moves_only_what_shrinking_routes_lose(steps: list[dict[str, float]]) -> None:
    before: dict[str, shares.Ranges] = {}
    for step in steps:
        after = shares.allocate(step, previous=before)
        if before:
            old_table, old_names = shares.tabulate(list(before.values())), list(before)
            new_table, new_names = shares.tabulate(list(after.values())), list(after)
            moved = sum(old_names[old] != new_names[new] for old, new in zip(old_table, new_table, strict=True))
            lost = sum(max(0, count(before[name]) - count(after.get(name, []))) for name in before)
            assert moved == lost
        before = after


@pytest.mark.parametrize(("before", "after"), [(5, 25), (50, 51), (25, 5), (10, 90), (40, 0)])
def test_of_100000_keys_a_change_of_weights_moves_just_the_difference_and_none_the_other_way(
    before: int, after: int
) -> None:
    first = shares.allocate({"stable": 100 - before, "canary": before}, previous={})
    second = shares.allocate({"stable": 100 - after, "canary": after}, previous=first)
    old, new = (shares.tabulate([each["stable"], each["canary"]]) for each in (first, second))
    places = [shares.place_of(f"customer-{number}", seed="churn") for number in range(100_000)]
    to_canary = sum(old[place] == 0 and new[place] == 1 for place in places)
    to_stable = sum(old[place] == 1 and new[place] == 0 for place in places)
    moved, back = (to_canary, to_stable) if after > before else (to_stable, to_canary)
    assert back == 0
    assert abs(moved / len(places) - abs(after - before) / 100) < 0.003


def test_an_arm_that_is_added_takes_from_all_and_moves_nobody_between_the_others() -> None:
    first = shares.allocate({"a": 50, "b": 50}, previous={})
    second = shares.allocate({"a": 40, "b": 40, "c": 20}, previous=first)
    old, new = shares.tabulate([first["a"], first["b"]]), shares.tabulate([second[name] for name in "abc"])
    assert {(before, after) for before, after in zip(old, new, strict=True) if before != after} == {(0, 2), (1, 2)}
