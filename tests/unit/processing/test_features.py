"""A recipe fitted on one dataset makes the same columns of another, or says why it can't."""

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn import dummy

from shared import errors, recipe
from shared.ml import artifacts, frames
from tests.unit.ml import tables
from workers.processing import apply, fit

STEPS: list[dict[str, Any]] = [
    {"op": "drop", "columns": ["seen"]},
    {"op": "impute", "columns": ["weight"], "strategy": "mean", "indicator": True},
    {"op": "scale", "columns": ["weight"]},
    {"op": "impute", "columns": ["town"], "strategy": "constant", "value": "?"},
    {"op": "one_hot", "columns": ["town"]},
]
TOWNS = ["town_?", "town_Bergen", "town_Bodø", "town_Oslo"]


def fit_mixed(folder: Path, *, steps: list[dict[str, Any]] = STEPS, **given: Any) -> fit.FittedFeatures:
    """Fit a recipe on the mixed table."""
    dataset = folder / "d.parquet"
    if not dataset.exists():
        tables.mixed(dataset)
    return fit.fit_features(
        dataset,
        recipe=recipe.Recipe.model_validate_json(json.dumps({"steps": steps})),
        columns=frames.read_columns(dataset),
        transformer_path=folder / "t.skops",
        output_path=folder / "out.parquet",
        **({"target": "bought"} | given),
    )


def apply_to(folder: Path, dataset: Path, **given: Any) -> apply.AppliedFeatures:
    """Apply the stored feature set to a dataset."""
    return apply.apply_features(
        dataset,
        transformer=folder / "t.skops",
        sha256=frames.sha256_of(folder / "t.skops"),
        output_path=folder / "applied.parquet",
        **given,
    )


@pytest.mark.parametrize("batch_rows", [None, 1, 33])
def test_the_features_are_written_in_order_with_the_target_last(tmp_path: Path, batch_rows: int | None) -> None:
    told: list[float] = []
    made = fit_mixed(tmp_path, batch_rows=batch_rows, progress=lambda fraction, _: told.append(fraction))
    table = parquet.read_table(tmp_path / "out.parquet")
    assert made.features == ["age", "member", "joined", "spent", "weight", *TOWNS, "weight_missing"]
    assert table.column_names == [*made.features, "bought"]
    assert [column.name for column in made.columns] == table.column_names
    assert (made.rows, made.bytes) == (80, (tmp_path / "out.parquet").stat().st_size)
    assert made.sha256 == frames.sha256_of(tmp_path / "out.parquet")
    assert made.transformer_sha256 == frames.sha256_of(tmp_path / "t.skops")
    assert np.mean(table["weight"]) == pytest.approx(0.0)
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_what_no_step_names_keeps_values_and_types(tmp_path: Path) -> None:
    made = fit_mixed(tmp_path)
    given, table = parquet.read_table(tmp_path / "d.parquet"), parquet.read_table(tmp_path / "out.parquet")
    untouched = ["age", "member", "joined", "spent", "bought"]
    assert table.select(untouched).equals(given.select(untouched))
    assert made.notes == ["No step names 'age', 'member', 'joined', 'spent': passed on as in the data."]


def test_whole_numbers_beyond_a_floats_reach_stay_exact(tmp_path: Path) -> None:
    big = 2**53 + 1
    tables.write(tmp_path / "d.parquet", {"key": "integer", "x": "number"}, key=[big, None], x=[1, 2])
    fit_mixed(tmp_path, steps=[{"op": "scale", "columns": ["x"]}], target=None)
    assert parquet.read_table(tmp_path / "out.parquet")["key"].to_pylist() == [big, None]


def test_imputed_text_stays_text(tmp_path: Path) -> None:
    fit_mixed(tmp_path, steps=STEPS[:4])
    assert parquet.read_table(tmp_path / "out.parquet")["town"].to_pylist()[:7][-1] == "?"


def test_applying_gives_what_fitting_gave(tmp_path: Path) -> None:
    made = fit_mixed(tmp_path)
    applied = apply_to(tmp_path, tmp_path / "d.parquet", batch_rows=7)
    first, second = (parquet.read_table(tmp_path / name) for name in ("out.parquet", "applied.parquet"))
    assert first.equals(second)
    assert (applied.rows, applied.columns) == (80, made.columns)
    assert applied.notes == ["Left out, because the recipe doesn't use them: 'seen'."]


def test_applying_learns_nothing_new(tmp_path: Path) -> None:
    fit_mixed(tmp_path)
    parquet.write_table(parquet.read_table(tmp_path / "d.parquet").slice(0, 5), tmp_path / "few")
    apply_to(tmp_path, tmp_path / "few")
    applied = parquet.read_table(tmp_path / "applied.parquet")
    assert applied.equals(parquet.read_table(tmp_path / "out.parquet").slice(0, 5))


def test_the_target_may_be_absent_and_that_is_noted(tmp_path: Path) -> None:
    made = fit_mixed(tmp_path)
    parquet.write_table(parquet.read_table(tmp_path / "d.parquet").drop_columns(["bought"]), tmp_path / "n")
    applied = apply_to(tmp_path, tmp_path / "n")
    assert [column.name for column in applied.columns] == made.features
    assert applied.notes[-1] == "The target 'bought' is not in this dataset."


def test_dropped_columns_may_be_absent(tmp_path: Path) -> None:
    fit_mixed(tmp_path)
    parquet.write_table(parquet.read_table(tmp_path / "d.parquet").drop_columns(["seen"]), tmp_path / "n")
    assert apply_to(tmp_path, tmp_path / "n").notes == []


def test_a_missing_column_is_named_and_nothing_is_left_behind(tmp_path: Path) -> None:
    fit_mixed(tmp_path)
    parquet.write_table(parquet.read_table(tmp_path / "d.parquet").drop_columns(["town"]), tmp_path / "n")
    with pytest.raises(errors.BadDataError, match="missing: column 'town'"):
        apply_to(tmp_path, tmp_path / "n")
    assert not (tmp_path / "applied.parquet").exists()


@pytest.mark.parametrize(
    ("place", "name", "values", "message"),
    [
        (3, "town", list(range(80)), "column 'town' was of type string in training, but holds numbers"),
        (0, "age", ["old"] * 80, "column 'age' was of type integer in training, but holds the text 'old'"),
        (0, "age", [0.5] * 80, "column 'age' must be of type integer"),
        (2, "member", [0.5] * 80, "column 'member' must be of type boolean: double doesn't fit without loss"),
        (4, "joined", ["today"] * 80, "column 'joined' was of type date in training, but holds text"),
        (
            4,
            "joined",
            [datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)] * 80,
            "column 'joined' must be of type date",
        ),
    ],
)
def test_another_type_is_named(tmp_path: Path, place: int, name: str, values: list[Any], message: str) -> None:
    fit_mixed(tmp_path)
    table = parquet.read_table(tmp_path / "d.parquet").set_column(place, name, pa.array(values))
    parquet.write_table(table, tmp_path / "n")
    with pytest.raises(errors.BadDataError, match=message):
        apply_to(tmp_path, tmp_path / "n")


def test_unseen_categories_become_zeros(tmp_path: Path) -> None:
    fit_mixed(tmp_path)
    table = parquet.read_table(tmp_path / "d.parquet").set_column(3, "town", pa.array(["Troms"] * 80))
    parquet.write_table(table, tmp_path / "n")
    apply_to(tmp_path, tmp_path / "n")
    assert frames.read_frame(tmp_path / "applied.parquet", columns=TOWNS).to_numpy().sum() == 0


def test_a_step_may_not_name_the_target(tmp_path: Path) -> None:
    with pytest.raises(errors.BadRecipeError, match="there is no column 'bought'"):
        fit_mixed(tmp_path, steps=[{"op": "one_hot", "columns": ["bought"]}])


def test_an_absent_target_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(errors.BadDataError, match=r"column 'brought'.*did you mean 'bought'"):
        fit_mixed(tmp_path, target="brought")


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    tables.write(tmp_path / "d.parquet", {"a": "string", "a_b": "number"}, a=["b", "c"], a_b=[1, 2])
    with pytest.raises(errors.BadRecipeError, match=r"'a_b'.*not unique"):
        fit_mixed(tmp_path, steps=[{"op": "one_hot", "columns": ["a"]}], target=None)
    with pytest.raises(errors.BadRecipeError, match="makes a column 'a_b', which is the target's name"):
        fit_mixed(tmp_path, steps=[{"op": "one_hot", "columns": ["a"]}], target="a_b")


def test_a_dataset_without_rows_is_refused(tmp_path: Path) -> None:
    tables.write(tmp_path / "d.parquet", {"x": "number"}, x=[])
    with pytest.raises(errors.BadDataError, match="has no rows"):
        fit_mixed(tmp_path, steps=[{"op": "scale", "columns": ["x"]}], target=None)


def test_infinite_values_are_refused_and_empty_columns_noted(tmp_path: Path) -> None:
    tables.write(tmp_path / "d.parquet", {"x": "number"}, x=[None, None])
    notes = fit_mixed(tmp_path, steps=[{"op": "impute", "columns": ["x"]}], target=None).notes
    assert notes == ["No row has a value in 'x'."]
    tables.write(tmp_path / "d.parquet", {"x": "number"}, x=[np.inf, 1])
    with pytest.raises(errors.BadDataError, match="'x' holds inf"):
        fit_mixed(tmp_path, steps=[{"op": "impute", "columns": ["x"]}], target=None)


def test_a_tampered_feature_set_is_refused(tmp_path: Path) -> None:
    recorded = fit_mixed(tmp_path).transformer_sha256
    (tmp_path / "t.skops").write_bytes((tmp_path / "t.skops").read_bytes()[:-1] + b"\1")
    with pytest.raises(errors.UnsafeArtifactError, match="was recorded"):
        apply.apply_features(
            tmp_path / "d.parquet", transformer=tmp_path / "t.skops", sha256=recorded, output_path=tmp_path / "o"
        )


def test_a_model_is_no_feature_set(tmp_path: Path) -> None:
    artifacts.save(dummy.DummyClassifier().fit([[0.0]], ["a"]), tmp_path / "t.skops")
    with pytest.raises(errors.UnsafeArtifactError, match="holds no feature set"):
        apply_to(tmp_path, tables.mixed(tmp_path / "d.parquet"))
