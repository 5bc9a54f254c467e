"""Joins by a key: which rows match, in which order, and what is counted, noted and refused."""

import math
import random
from pathlib import Path
from typing import Any, get_args

import pytest

from shared import errors
from shared.processing.joins import How
from tests.unit.processing.joins import cases

ORDERS = cases.table(
    id=("integer", [1, 2, 3, 4, 5]),
    customer=("string", ["b", "a", None, "zz", "a"]),
    note=("string", ["o1", "o2", "o3", "o4", "o5"]),
)
CUSTOMERS = cases.table(customer=("string", ["a", "b", "c", None]), age=("integer", [30, 40, 50, 60]))


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("left", [(1, "b", 40), (2, "a", 30), (3, None, None), (4, "zz", None), (5, "a", 30)]),
        ("inner", [(1, "b", 40), (2, "a", 30), (5, "a", 30)]),
        ("right", [(1, "b", 40), (2, "a", 30), (5, "a", 30), (None, "c", 50), (None, None, 60)]),
        (
            "full",
            [
                (1, "b", 40),
                (2, "a", 30),
                (3, None, None),
                (4, "zz", None),
                (5, "a", 30),
                (None, "c", 50),
                (None, None, 60),
            ],
        ),
        ("semi", [(1, "b"), (2, "a"), (5, "a")]),
        ("anti", [(3, None), (4, "zz")]),
    ],
)
def test_each_how_keeps_its_rows_in_order(how: str, expected: list[Any], tmp_path: Path) -> None:
    rows, joined = cases.run(tmp_path, ORDERS.drop(["note"]), CUSTOMERS, on=["customer"], how=how)
    assert [tuple(row.values()) for row in rows] == expected
    assert joined.left.model_dump() == {
        "rows": 5,
        "matched": 3,
        "unmatched": 2,
        "without_key": 1,
        "most_matches": 1,
    }
    assert joined.right.model_dump() == {
        "rows": 4,
        "matched": 2,
        "unmatched": 2,
        "without_key": 1,
        "most_matches": 2,
    }
    assert joined.notes[0] == "1 of the 5 rows of left@1 have no value in the key, and match nothing."
    assert "1 of the 4 rows of right@1" in joined.notes[1]


def _brute_force(left: cases.Rows, right: cases.Rows, how: str) -> list[tuple[Any, ...]]:
    def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
        return all(one[key] is not None and one[key] == other[key] for key in ("a", "b"))

    pairs = [(i, j) for i, one in enumerate(left) for j, other in enumerate(right) if same(one, other)]
    matched_left, matched_right = {i for i, _ in pairs}, {j for _, j in pairs}
    if how in ("semi", "anti"):
        return [tuple(row.values()) for i, row in enumerate(left) if (i in matched_left) == (how == "semi")]
    if how in ("left", "full"):
        pairs += [(i, -1) for i in range(len(left)) if i not in matched_left]
    rows = [(*left[i].values(), None if j < 0 else right[j]["y"]) for i, j in sorted(pairs, key=lambda pair: pair)]
    if how in ("right", "full"):
        rows += [(row["a"], row["b"], None, row["y"]) for j, row in enumerate(right) if j not in matched_right]
    return rows


@pytest.mark.parametrize("how", get_args(How))
def test_it_is_what_a_comparison_of_all_pairs_finds(how: str, tmp_path: Path) -> None:
    dice = random.Random(how)
    sides = {
        value: cases.table(
            a=("integer", [dice.choice([None, 2**53, 2**53 + 1, -3]) for _ in range(40)]),
            b=("date", [dice.choice([None, *range(10, 13)]) for _ in range(40)]),
            y=("number", [dice.random() for _ in range(40)]),
        ).rename_columns(["a", "b", value])
        for value in ("x", "y")
    }
    rows, joined = cases.run(tmp_path, sides["x"], sides["y"], on=["a", "b"], how=how)
    expected = _brute_force(sides["x"].to_pylist(), sides["y"].to_pylist(), how)
    assert [tuple(row.values()) for row in rows] == expected
    assert joined.left.most_matches > 1


def test_a_key_may_have_other_names_on_the_right_and_its_column_comes_once(tmp_path: Path) -> None:
    right = CUSTOMERS.rename_columns(["Customer", "age"])
    on = [{"left": "customer", "right": "Customer"}]
    rows, _ = cases.run(tmp_path, ORDERS, right, on=on, how="full")
    assert [row["customer"] for row in rows] == ["b", "a", None, "zz", "a", "c", None]
    assert list(rows[0]) == ["id", "customer", "note", "age"]
    rows, _ = cases.run(tmp_path, ORDERS, right, on=on, columns=["age", "Customer"])
    assert list(rows[0]) == ["id", "customer", "note", "age", "Customer"]


def test_names_that_clash_get_the_suffix_or_the_prefix(tmp_path: Path) -> None:
    right = cases.table(customer=("string", ["a"]), note=("string", ["n"]), Note=("string", ["N"]))
    rows, _ = cases.run(tmp_path, ORDERS, right, on=["customer"], suffix="_customer")
    assert list(rows[0]) == ["id", "customer", "note", "note_customer", "Note"]
    assert rows[1] == {"id": 2, "customer": "a", "note": "o2", "note_customer": "n", "Note": "N"}
    rows, _ = cases.run(tmp_path, ORDERS, right, on=["customer"], prefix="c.")
    assert list(rows[0]) == ["id", "customer", "note", "c.note", "Note"]


def test_rows_that_multiply_are_noted_or_refused(tmp_path: Path) -> None:
    right = cases.table(customer=("string", ["a", "a", "b", "a"]), n=("integer", [1, 2, 3, 4]))
    rows, joined = cases.run(tmp_path, ORDERS, right, on=["customer"], how="inner")
    assert [(row["id"], row["n"]) for row in rows] == [(1, 3), (2, 1), (2, 2), (2, 4), (5, 1), (5, 2), (5, 4)]
    assert any(
        "2 rows of left@1 match several rows of right@1 (up to 3)" in note and "7 pairs of 3 rows" in note
        for note in joined.notes
    )
    cases.run(tmp_path, ORDERS, right, on=["customer"], expect="many")
    with pytest.raises(errors.BadDataError, match=r"2 rows of left@1 match several rows of right@1, one of them 3"):
        cases.run(tmp_path, ORDERS, right, on=["customer"], expect="one")


def test_a_join_beyond_its_limit_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    many = cases.table(k=("integer", [1] * 20_000))
    with pytest.raises(
        errors.LimitExceededError, match=r"would make 400,000,000 rows of 1 columns.*at most 200,000,000"
    ):
        cases.run(tmp_path, many, many, on=["k"])
    with pytest.raises(errors.LimitExceededError, match="at most 6 rows"):
        cases.run(tmp_path, ORDERS, CUSTOMERS, on=["customer"], how="full", max_rows=6)
    assert not (tmp_path / "joined.parquet").exists()
    cases.run(tmp_path, ORDERS, CUSTOMERS, on=["customer"], how="full", max_rows=7)


def test_fractions_match_when_equal_and_what_is_no_number_is_missing(tmp_path: Path) -> None:
    left = cases.table(x=("number", [0.1 + 0.2, 0.3, -0.0, math.nan, None]))
    right = cases.table(x=("number", [0.3, 0.0, math.nan]), y=("integer", [1, 2, 3]))
    rows, joined = cases.run(tmp_path, left, right, on=["x"])
    assert [row["y"] for row in rows] == [None, 1, 2, None, None]
    assert joined.left.without_key == 2
    assert any("equal in every digit" in note for note in joined.notes)


@pytest.mark.parametrize("how", get_args(How))
def test_empty_sides_are_joined(how: str, tmp_path: Path) -> None:
    for left, right in ((ORDERS.slice(0, 0), CUSTOMERS), (ORDERS, CUSTOMERS.slice(0, 0))):
        rows, joined = cases.run(tmp_path, left, right, on=["customer"], how=how)
        sides = {"left": left.num_rows, "right": right.num_rows, "full": left.num_rows + right.num_rows}
        assert len(rows) == sides.get(how, left.num_rows if how == "anti" else 0)
        assert joined.left.matched == joined.right.matched == 0


def test_every_type_is_a_key(tmp_path: Path) -> None:
    left = cases.table(
        flag=("boolean", [True, False, None]),
        at=("timestamp", [1, 2, 3]),
        text=("string", ["é", "e\u0301", "E"]),
        n=("integer", [1, 2, 3]),
    )
    for name in ("flag", "at", "text"):
        right = left.rename_columns(["flag", "at", "text", "m"]).select([name, "m"])
        rows, _ = cases.run(tmp_path, left, right, on=[name])
        assert [row["m"] for row in rows] == [None if row[name] is None else row["n"] for row in rows]
