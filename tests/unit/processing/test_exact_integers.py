"""Identifiers beyond 2^53, which float64 merges, are told apart by every step that asks which number it is.

What is right is told by duckdb, whose integers are exact, and by Python.
"""

import collections
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn import feature_extraction

from shared import digests, errors
from tests.unit.ml import tables
from tests.unit.processing.identifiers import ALIKE, ROWS, SIXTY, apply_to, make, run, select
from workers.processing import apply, feature_set


@pytest.mark.parametrize("ids", ALIKE)
def test_lags_are_of_ones_own_rows(tmp_path: Path, ids: list[int]) -> None:
    given = make(tmp_path, ids)
    lag = {"op": "lag", "columns": ["v", "id"], "by": ["id"], "order": "t", "lags": [1]}
    made = run(tmp_path, lag)
    wanted = select(
        "SELECT lag(v) OVER w, lag(id) OVER w FROM numbered WINDOW w AS (PARTITION BY id ORDER BY t)", given
    )
    assert list(zip(made["v_lag1"].to_pylist(), made["id_lag1"].to_pylist(), strict=True)) == wanted


@pytest.mark.parametrize("ids", ALIKE)
def test_windows_are_over_ones_own_rows(tmp_path: Path, ids: list[int]) -> None:
    given = make(tmp_path, ids)
    rolling = {"op": "rolling", "columns": ["v"], "by": ["id"], "order": "t", "window": 2, "functions": ["sum"]}
    made = run(tmp_path, rolling)
    window = "PARTITION BY id ORDER BY t ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING"
    wanted = select(f"SELECT sum(v) OVER ({window}) FROM numbered", given)
    assert made["v_sum_2"].to_pylist() == [value for (value,) in wanted]


@pytest.mark.parametrize("ids", ALIKE)
def test_groups_of_two_identifiers_are_told_apart(tmp_path: Path, ids: list[int]) -> None:
    given = make(tmp_path, ids)
    other = pa.array([None if row % 11 == 5 else ids[row % 2] for row in range(ROWS)], type=pa.int64())
    given = given.append_column("other", other).append_column("shop", pa.array([f"s{row % 3}" for row in range(ROWS)]))
    parquet.write_table(given, tmp_path / "d.parquet")
    for by in (["id", "other"], ["shop", "id"], ["other", "v", "id"]):
        made = run(tmp_path, {"op": "lag", "columns": ["t"], "by": by, "order": "t", "lags": [1]})
        window = f"PARTITION BY {', '.join(by)} ORDER BY t"
        wanted = select(f"SELECT lag(t) OVER ({window}) FROM numbered", given)
        assert made["t_lag1"].to_pylist() == [value for (value,) in wanted]


def test_rows_are_ordered_by_numbers_that_float64_would_tie(tmp_path: Path) -> None:
    order = [SIXTY + index for index in np.random.default_rng(1).permutation(40).tolist()]
    tables.write(tmp_path / "d.parquet", {"t": "integer", "v": "number"}, t=order, v=[float(i) for i in range(40)])
    made = run(tmp_path, {"op": "lag", "columns": ["v"], "order": "t"})
    value_at = dict(zip(order, range(40), strict=True))
    assert made["v_lag1"].to_pylist() == [value_at.get(number - 1) for number in order]


@pytest.mark.parametrize("ids", ALIKE)
def test_text_has_every_digit(tmp_path: Path, ids: list[int]) -> None:
    given = make(tmp_path, ids)["id"].to_pylist()
    texts = [None if number is None else str(number) for number in given]
    assert run(tmp_path, {"op": "cast", "columns": ["id"], "to": "string"})["id"].to_pylist() == texts
    derived = run(tmp_path, {"op": "derive", "name": "t", "expression": "concat('u', text(id))"})["t"].to_pylist()
    assert derived == [None if text is None else f"u{text}" for text in texts]


def test_text_becomes_integers_with_every_digit_or_none(tmp_path: Path) -> None:
    texts = ["1790000000000000001", " 1790000000000000002", "17", None, "-9223372036854775808", "9007199254740993.0"]
    tables.write(tmp_path / "d.parquet", {"t": "string"}, t=texts)
    made = run(tmp_path, {"op": "cast", "columns": ["t"], "to": "integer"})
    assert made["t"].type == pa.int64()
    assert made["t"].to_pylist() == [
        1790000000000000001,
        1790000000000000002,
        17,
        None,
        -9223372036854775808,
        9007199254740993,
    ]
    tables.write(tmp_path / "d.parquet", {"t": "string"}, t=["9223372036854775808", "1"])
    with pytest.raises(errors.BadDataError, match="9223372036854775808"):
        run(tmp_path, {"op": "cast", "columns": ["t"], "to": "integer"})
    missing = run(tmp_path, {"op": "cast", "columns": ["t"], "to": "integer", "on_error": "null"})
    assert missing["t"].to_pylist() == [None, 1]


@pytest.mark.parametrize("ids", ALIKE)
def test_each_identifier_is_a_category_of_its_own(tmp_path: Path, ids: list[int]) -> None:
    given = make(tmp_path, ids)["id"].to_pylist()
    hot = run(tmp_path, {"op": "one_hot", "columns": ["id"]})
    for number in ids:
        assert hot[f"id_{number}"].to_pylist() == [float(value == number) for value in given]
    counts = collections.Counter(given)
    shares = run(tmp_path, {"op": "frequency_encode", "columns": ["id"]})["id"].to_pylist()
    assert shares == pytest.approx([counts[value] / len(given) for value in given])
    ranks = run(tmp_path, {"op": "ordinal", "columns": ["id"]})["id"].to_pylist()
    assert ranks == [None if value is None else sorted(ids).index(value) for value in given]


def test_hashes_are_of_every_digit(tmp_path: Path) -> None:
    ids = [SIXTY + index for index in range(30)]
    tables.write(tmp_path / "d.parquet", {"id": "integer"}, id=ids)
    made = run(tmp_path, {"op": "hash_encode", "columns": ["id"], "features": 8})
    hasher = feature_extraction.FeatureHasher(8, input_type="string")
    wanted = hasher.transform([[str(number)] for number in ids]).toarray()
    np.testing.assert_array_equal(np.column_stack([made[name] for name in made.column_names]), wanted)


def test_an_identifier_is_encoded_by_its_own_targets(tmp_path: Path) -> None:
    ids, y = [SIXTY, SIXTY + 1] * 30, [10.0, 20.0] * 30
    tables.write(tmp_path / "d.parquet", {"id": "integer", "y": "number"}, id=ids, y=y)
    encode = {"op": "target_encode", "columns": ["id"], "smooth": 0}
    run(tmp_path, encode, target="y")
    new = tables.write(tmp_path / "n.parquet", {"id": "integer"}, id=[SIXTY + 1, SIXTY, SIXTY + 2, 5])
    assert apply_to(tmp_path, new)["id"].to_pylist() == pytest.approx([20.0, 10.0, 15.0, 15.0])
    small = tables.write(tmp_path / "n.parquet", {"id": "integer"}, id=[5, None])
    assert apply_to(tmp_path, small)["id"].to_pylist() == pytest.approx([15.0, 15.0])


def test_gaps_are_filled_with_exact_integers(tmp_path: Path) -> None:
    ids = [SIXTY + 1, SIXTY, None, SIXTY + 1, 4]
    tables.write(tmp_path / "d.parquet", {"id": "integer"}, id=ids)
    impute: dict[str, Any] = {"op": "impute", "columns": ["id"]}
    most = run(tmp_path, impute | {"strategy": "most_frequent"})["id"]
    assert most.to_pylist() == [SIXTY + 1, SIXTY, SIXTY + 1, SIXTY + 1, 4]
    filled = run(tmp_path, impute | {"strategy": "constant", "value": SIXTY + 2})["id"]
    assert filled.to_pylist() == [SIXTY + 1, SIXTY, SIXTY + 2, SIXTY + 1, 4]
    hot = run(tmp_path, impute | {"strategy": "constant", "value": -1}, {"op": "one_hot", "columns": ["id"]})
    assert hot[f"id_{SIXTY + 1}"].to_pylist() == [1.0, 0.0, 0.0, 1.0, 0.0]
    assert hot["id_-1"].to_pylist() == [0.0, 0.0, 1.0, 0.0, 0.0]
    tables.write(tmp_path / "d.parquet", {"id": "integer"}, id=[3, None, 4])
    small = run(tmp_path, impute | {"strategy": "constant", "value": SIXTY})["id"].to_pylist()
    assert small == [3, SIXTY, 4]


def test_identifiers_are_told_apart_in_later_stages_and_new_data(tmp_path: Path) -> None:
    """What was fitted on small numbers meets large ones, and the other way round."""
    steps: list[dict[str, Any]] = [
        {"op": "cast", "columns": ["id"], "to": "integer"},
        {"op": "derive", "name": "is_it", "expression": f"id == {SIXTY}"},
        {"op": "rename", "names": {"id": "key"}},
        {"op": "derive", "name": "word", "expression": "text(key)"},
        {"op": "one_hot", "columns": ["key"]},
    ]
    small = tables.write(tmp_path / "d.parquet", {"id": "integer"}, id=[1, 2, 2, None])
    run(tmp_path, *steps)
    new = tables.write(tmp_path / "n.parquet", {"id": "integer"}, id=[SIXTY + 1, 2, SIXTY, None])
    made = apply_to(tmp_path, new)
    assert made["word"].to_pylist() == [str(SIXTY + 1), "2", str(SIXTY), None]
    assert made["is_it"].to_pylist() == [False, False, True, None]
    assert made["key_2.0"].to_pylist() == [0.0, 1.0, 0.0, 0.0]
    new.rename(tmp_path / "d.parquet")
    run(tmp_path, *steps)
    tables.write(small, {"id": "integer"}, id=[1, 2, 2, None])
    made = apply_to(tmp_path, small)
    assert made["key_2"].to_pylist() == [0.0, 1.0, 1.0, 0.0]
    assert made[f"key_{SIXTY}"].to_pylist() == [0.0] * 4


def test_an_unseen_identifier_is_named_with_every_digit(tmp_path: Path) -> None:
    tables.write(tmp_path / "d.parquet", {"id": "integer"}, id=[SIXTY, SIXTY + 1])
    run(tmp_path, {"op": "one_hot", "columns": ["id"], "unseen": "fail"})
    new = tables.write(tmp_path / "n.parquet", {"id": "integer"}, id=[SIXTY, SIXTY + 2])
    with pytest.raises(errors.BadDataError, match=f"holds {SIXTY + 2}, which one_hot has not seen"):
        apply_to(tmp_path, new)


def test_steps_of_numbers_take_identifiers_as_numbers(tmp_path: Path) -> None:
    make(tmp_path, ALIKE[3])
    steps: list[dict[str, Any]] = [
        {"op": "impute", "columns": ["id"], "strategy": strategy} for strategy in ("mean", "median", "knn", "iterative")
    ]
    steps += [{"op": "clip", "columns": ["id"]}, {"op": "scale", "columns": ["id"]}]
    steps += [{"op": "clip", "columns": ["id"], "method": "fixed", "least": 0, "most": 10}]
    filled = {"op": "impute", "columns": ["id"]}
    for step in steps:
        made = run(tmp_path, step)
        assert made["id"].type == pa.float64()
    for step in [{"op": "bin", "columns": ["id"]}, {"op": "polynomial", "columns": ["id", "v"]}]:
        assert run(tmp_path, filled, step).num_rows == ROWS
    make(tmp_path, ALIKE[3], gaps=False)
    two = ["id", "v"]
    numbers: list[dict[str, Any]] = [
        {"op": "bin", "columns": two, "encode": "one_hot"},
        {"op": "polynomial", "columns": two},
        {"op": "log1p", "columns": two},
        {"op": "pca", "columns": two, "components": 1},
        {"op": "svd", "columns": two, "components": 1},
        *({"op": "scale", "columns": two, "method": method} for method in ("min_max", "robust", "quantile")),
        *({"op": "clip", "columns": two, "method": method} for method in ("iqr", "quantile")),
    ]
    for step in numbers:
        assert run(tmp_path, step).num_rows == ROWS
    for method in ("variance", "mutual_information", "model"):
        select = {"op": "select_features", "columns": two, "method": method}
        kept = run(tmp_path, select | ({} if method == "variance" else {"keep": 1}), target="y", problem="regression")
        assert kept.num_rows == ROWS
    make(tmp_path, ALIKE[3])
    assert run(tmp_path, filled | {"indicator": True})["id_missing"].to_pylist()[3] == 1.0


def test_a_feature_set_of_an_earlier_release_goes_on_as_it_was(tmp_path: Path) -> None:
    make(tmp_path, ALIKE[0], gaps=False)
    steps: list[dict[str, Any]] = [{"op": "lag", "columns": ["id"], "order": "t"}]
    run(tmp_path, *steps, {"op": "cast", "columns": ["id"], "to": "string"})
    fitted = feature_set.FeatureSet.load(tmp_path / "t.skops", sha256=digests.of_file(tmp_path / "t.skops"))
    assert fitted.exact
    dataclasses.replace(fitted, exact=False).save(tmp_path / "t.skops")
    assert set(apply_to(tmp_path, tmp_path / "d.parquet")["id"].to_pylist()) == {"1.79e+18"}
    applied = apply.apply_features(
        tmp_path / "d.parquet",
        transformer=tmp_path / "t.skops",
        sha256=digests.of_file(tmp_path / "t.skops"),
        output_path=tmp_path / "applied.parquet",
    )
    assert "Whole numbers beyond 2^53 may be rounded in 'id_lag1'." in applied.notes
