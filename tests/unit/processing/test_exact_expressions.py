"""Expressions compare, choose and calculate with every digit of identifiers beyond 2^53."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.unit.ml import tables
from tests.unit.processing.identifiers import ALIKE, SIXTY, make, run, select


@pytest.mark.parametrize(
    ("condition", "sql"),
    [
        ("id == 1790000000000000001", None),
        ("id != 1790000000000000001", None),
        ("id > 1790000000000000001", None),
        ("id in [1790000000000000002, 5]", None),
        ("id % 10 == 2", None),
        ("id - 1790000000000000000 == 1", None),
        ("-id == -1790000000000000002", None),
        ("abs(0 - id) == 1790000000000000001", None),
        ("least(id, 1790000000000000001) == 1790000000000000001", "id IS NOT NULL"),
        ("coalesce(id, 1790000000000000002) == 1790000000000000002", None),
        (
            "null_if(id, 1790000000000000001) == 1790000000000000002",
            "nullif(id, 1790000000000000001) = 1790000000000000002",
        ),
        ("number('1790000000000000001') == id", "1790000000000000001 = id"),
        ("number(text(id)) == id", "id = id"),
        ("text(id) == '1790000000000000001'", "id = 1790000000000000001"),
        ("where(v > 20, id, 3) == 1790000000000000001", "(CASE WHEN v > 20 THEN id ELSE 3 END) = 1790000000000000001"),
        ("id // 10 == 179000000000000000", None),
    ],
)
def test_conditions_compare_every_digit(tmp_path: Path, condition: str, sql: str | None) -> None:
    given = make(tmp_path, ALIKE[0])
    made = run(tmp_path, {"op": "filter", "where": condition}, {"op": "select", "columns": ["id", "t"]})
    where = sql or condition.replace("==", "=").replace("[", "(").replace("]", ")")
    wanted = select(f"SELECT id, t FROM numbered WHERE {where}", given)
    assert wanted
    assert list(zip(made["id"].to_pylist(), made["t"].to_pylist(), strict=True)) == wanted


def test_a_number_that_is_made_of_an_identifier_is_said_to_be_rounded(tmp_path: Path) -> None:
    tables.write(tmp_path / "d.parquet", {"id": "integer"}, id=[SIXTY, 5])
    steps: list[dict[str, Any]] = [
        {"op": "derive", "name": "n", "expression": "id + 1"},
        {"op": "cast", "columns": ["id"], "to": "number"},
        {"op": "rolling", "columns": ["id"], "order": "id", "window": 2, "functions": ["max"]},
    ]
    for step in steps:
        with pytest.raises(AssertionError, match=f"2\\^53, such as {SIXTY // 10}"):
            run(tmp_path, step)


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("id", [SIXTY, 5, None, SIXTY + 1]),
        ("coalesce(id, other)", [SIXTY, 5, SIXTY + 3, SIXTY + 1]),
        ("where(id == 5, other, id)", [SIXTY, SIXTY + 2, None, SIXTY + 1]),
        (f"null_if(id, {SIXTY})", [None, 5, None, SIXTY + 1]),
        ("greatest(id, coalesce(other, 0))", [SIXTY, SIXTY + 2, None, SIXTY + 1]),
        (f"where(is_null(id), {SIXTY + 9}, id)", [SIXTY, 5, SIXTY + 9, SIXTY + 1]),
    ],
)
def test_an_identifier_that_is_chosen_stays_an_exact_integer(
    tmp_path: Path, expression: str, wanted: list[Any]
) -> None:
    tables.write(
        tmp_path / "d.parquet",
        {"id": "integer", "other": "integer", "at": "number"},
        id=[SIXTY, 5, None, SIXTY + 1],
        other=[None, SIXTY + 2, SIXTY + 3, None],
        at=[1.0, 2.0, 3.0, 4.0],
    )
    derive = {"op": "derive", "name": "key", "expression": expression}
    made = run(tmp_path, derive)
    assert made["key"].type == pa.int64()
    assert made["key"].to_pylist() == wanted
    lag = {"op": "lag", "columns": ["at"], "by": ["key"], "order": "at"}
    alone = [number for number, key in enumerate(wanted) if wanted.count(key) == 1]
    assert [run(tmp_path, derive, lag)["at_lag1"].to_pylist()[number] for number in alone] == [None] * len(alone)
    shares = run(tmp_path, derive, {"op": "frequency_encode", "columns": ["key"]})["key"].to_pylist()
    assert shares == [wanted.count(key) / 4 for key in wanted]


def test_numbers_of_any_size_can_be_calculated_with(tmp_path: Path) -> None:
    tables.write(tmp_path / "d.parquet", {"id": "integer", "v": "number"}, id=[SIXTY, 5, None], v=[2.0, 2.0, 2.0])
    for expression, wanted in [
        ("sqrt(id)", [SIXTY**0.5, 5**0.5, None]),
        ("id / v", [SIXTY / 2, 2.5, None]),
        ("id ** 2", [float(SIXTY) ** 2, 25.0, None]),
        ("id // 0", [None, None, None]),
        ("id % 7", [SIXTY % 7, 5.0, None]),
        ("round(id / 3, 1) * 0", [0.0, 0.0, None]),
        ("least(id, v)", [2.0, 2.0, None]),
        ("greatest(floor(id), 6) % 6", [SIXTY % 6, 0.0, None]),
        ("id * id * id * id * 0 + 1", [1.0, 1.0, None]),
    ]:
        made = run(tmp_path, {"op": "derive", "name": "n", "expression": expression})
        assert made["n"].to_pylist() == [None if value is None else pytest.approx(value) for value in wanted]
