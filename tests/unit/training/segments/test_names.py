"""The models of values have valid names, which stay apart whatever the values are."""

import re

import hypothesis
from hypothesis import strategies

from shared import contract
from shared.training import segments
from workers.training.segments.names import make_names


def test_a_value_is_written_in_small_letters_and_digits() -> None:
    values: list[str | int | bool] = ["north", "Fiber optic", "São Paulo", "  a_b  ", 7, True]
    named = ["m.north", "m.fiber-optic", "m.sao-paulo", "m.a-b", "m.7", "m.true"]
    assert make_names("m", values) == named


def test_values_that_read_alike_stay_apart() -> None:
    plain, *others = make_names("m", ["north", "North", "NORTH ", "-north"])
    assert plain == "m.north"
    assert len({plain, *others}) == 4
    assert all(re.fullmatch(r"m\.north-[0-9a-f]{8}", name) for name in others)
    # The name of a value doesn't hang on how many others read like it.
    assert make_names("m", ["North", "NORTH "]) == others[:2]


def test_values_without_such_letters_and_long_ones_get_digests() -> None:
    [east, west, long] = make_names("m", ["東", "西", "x" * 200])
    assert re.fullmatch(r"m\.[0-9a-f]{8}", east)
    assert east != west
    assert len(long) == contract.MAX_NAME_CHARACTERS
    assert re.fullmatch(r"m\.x+-[0-9a-f]{8}", long)


def test_a_value_that_imitates_the_name_of_another_gets_its_own() -> None:
    [taken] = [name for name in make_names("m", ["north", "North"]) if name != "m.north"]
    names = make_names("m", ["north", "North", taken.removeprefix("m.")])
    assert len(set(names)) == 3


@hypothesis.given(
    strategies.lists(strategies.text(max_size=80) | strategies.integers(), unique_by=str, max_size=30),
    strategies.integers(1, segments.MAX_BASE_NAME),
)
def test_any_values_get_valid_names_that_differ(values: list[str | int], length: int) -> None:
    names = make_names("m" * length, values)
    assert all(re.fullmatch(contract.NAME_PATTERN, name) for name in names)
    assert len(set(names)) == len(values)
