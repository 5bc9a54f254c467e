"""A recipe fitted on one dataset makes the same columns of another, or says why it can't."""

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn import dummy, model_selection, preprocessing

from shared import digests, errors
from shared.ml import artifacts, frames
from shared.recipe.language import Recipe
from tests.unit.ml import tables
from workers.processing import apply, feature_set, fit

pytestmark = pytest.mark.slow

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
        recipe=Recipe.model_validate_json(json.dumps({"steps": steps})),
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
        sha256=digests.of_file(folder / "t.skops"),
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
    assert made.sha256 == digests.of_file(tmp_path / "out.parquet")
    assert made.transformer_sha256 == digests.of_file(tmp_path / "t.skops")
    assert np.mean(table["weight"]) == pytest.approx(0.0)
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_what_no_step_names_keeps_values_and_types(tmp_path: Path) -> None:
    made = fit_mixed(tmp_path)
    given, table = parquet.read_table(tmp_path / "d.parquet"), parquet.read_table(tmp_path / "out.parquet")
    untouched = ["age", "member", "joined", "spent", "bought"]
    assert table.select(untouched).equals(given.select(untouched))
    assert made.notes == ["No step changes 'age', 'member', 'joined', 'spent': passed on as in the data."]


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
        (3, "town", [0.5] * 80, "column 'town' was of type string in training, but holds numbers"),
        (0, "age", ["old"] * 80, "column 'age' was of type integer in training, but holds the text 'old' in row 1"),
        (0, "age", [0.5] * 80, "column 'age' must be of type integer.*first in row 1"),
        (2, "member", [0.5] * 80, "column 'member' was of type boolean in training, but holds 0.5 in row 1"),
        (2, "member", ["Yes"] * 80, "the text 'Yes' in row 1; .*: load the dataset with `like: model@version`"),
        (2, "member", ["maybe"] * 80, "the text 'maybe' in row 1; every value must be true, false, 1, 0 or missing$"),
        (3, "town", [0.5] * 80, "load the dataset with types .*, or with `like: model@version`"),
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


def test_unseen_categories_that_are_to_fail_are_named(tmp_path: Path) -> None:
    fill, encode = STEPS[3], STEPS[4] | {"unseen": "fail"}
    fit_mixed(tmp_path, steps=[fill, encode])
    table = parquet.read_table(tmp_path / "d.parquet").set_column(3, "town", pa.array(["Troms"] * 80))
    parquet.write_table(table, tmp_path / "n")
    with pytest.raises(errors.BadDataError, match=r"column 'town' holds 'Troms', which one_hot has not seen"):
        apply_to(tmp_path, tmp_path / "n")


def test_categories_that_are_not_listed_are_noted(tmp_path: Path) -> None:
    number: dict[str, Any] = {"op": "ordinal", "columns": ["town"], "categories": ["Oslo", "Bergen"]}
    made = fit_mixed(tmp_path, steps=[{"op": "select", "columns": ["town"]}, number])
    towns = parquet.read_table(tmp_path / "d.parquet")["town"].to_pylist()
    expected = [None if town is None else {"Oslo": 0.0, "Bergen": 1.0}.get(town, -1.0) for town in towns]
    assert parquet.read_table(tmp_path / "out.parquet")["town"].to_pylist() == expected
    told = "Column 'town' holds values that are not among the `categories` of ordinal, such as 'Bodø': "
    assert made.notes == [f"{told}{expected.count(-1.0)} became -1."]
    listed = number | {"categories": ["Oslo", "Bergen", "Bodø"]}
    assert fit_mixed(tmp_path, steps=[{"op": "select", "columns": ["town"]}, listed]).notes == []


@pytest.mark.parametrize("big", [2**53 + 1, -(2**60), 2**63 - 1, 2**53 - 1])
def test_lags_of_whole_numbers_beyond_a_floats_reach_stay_exact(tmp_path: Path, big: int) -> None:
    tables.write(tmp_path / "d.parquet", {"key": "integer", "at": "number"}, key=[big, 1, None], at=[1, 2, 3])
    lag: dict[str, Any] = {"op": "lag", "columns": ["key"], "order": "at"}
    made = fit_mixed(tmp_path, steps=[lag], target=None)
    notes = made.notes + apply_to(tmp_path, tmp_path / "d.parquet").notes
    assert not any("2^53" in note for note in notes)
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table["key"].to_pylist() == [big, 1, None]
    assert table["key_lag1"].to_pylist() == [None, big, 1]


def test_a_filter_reads_dates_as_they_are_whatever_the_zone(tmp_path: Path) -> None:
    kept: dict[str, Any] = {"op": "filter", "where": "day(joined, 'America/New_York') == 31"}
    fit_mixed(tmp_path, steps=[kept])
    joined = parquet.read_table(tmp_path / "d.parquet")["joined"].to_pylist()
    assert parquet.read_table(tmp_path / "out.parquet")["joined"].to_pylist() == [
        day for day in joined if day is not None and day.day == 31
    ]


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
    assert notes == [fit.WITHOUT_TARGET, "No row has a value in 'x'."]
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
    with pytest.raises(errors.UnsafeArtifactError, match="is not a feature set"):
        apply_to(tmp_path, tables.mixed(tmp_path / "d.parquet"))


LAGS: list[dict[str, Any]] = [
    {"op": "filter", "where": "age > 25 and not is_null(seen)"},
    {"op": "lag", "columns": ["age", "town"], "order": "seen"},
    {"op": "select", "columns": ["age", "age_lag1", "town_lag1", "weight"]},
    {"op": "scale", "columns": ["weight"]},
]


def test_a_feature_set_applies_its_steps_on_whole_tables_to_new_data(tmp_path: Path) -> None:
    made = fit_mixed(tmp_path, steps=LAGS)
    applied = apply_to(tmp_path, tmp_path / "d.parquet", batch_rows=5)
    first, second = (parquet.read_table(tmp_path / name) for name in ("out.parquet", "applied.parquet"))
    assert first.equals(second)
    assert made.rows == applied.rows < 80
    assert f"{80 - made.rows} of 80 rows were left out by filter." in made.notes
    types = {column.name: column.type for column in made.columns}
    assert types == {
        "age": "integer",
        "age_lag1": "integer",
        "town_lag1": "string",
        "weight": "number",
        "bought": "string",
    }


def test_a_filter_alone_goes_a_part_at_a_time_and_may_leave_nothing(tmp_path: Path) -> None:
    made = fit_mixed(tmp_path, steps=LAGS[:1])
    applied = apply_to(tmp_path, tmp_path / "d.parquet", batch_rows=3)
    assert applied.rows == made.rows
    assert parquet.read_table(tmp_path / "applied.parquet").equals(parquet.read_table(tmp_path / "out.parquet"))
    young = parquet.read_table(tmp_path / "d.parquet").set_column(0, "age", pa.array([1] * 80))
    parquet.write_table(young, tmp_path / "n")
    assert apply_to(tmp_path, tmp_path / "n").rows == 0
    assert parquet.read_table(tmp_path / "applied.parquet").column_names == [column.name for column in made.columns]


def test_a_filter_that_leaves_nothing_to_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.BadDataError, match="the filter leaves no row"):
        fit_mixed(tmp_path, steps=[{"op": "filter", "where": "age > 1000"}])


def test_a_table_too_large_to_be_held_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_set, "MAX_CELLS", 100)
    with pytest.raises(errors.LimitExceededError, match="80 rows of 4 columns are more than 100 values"):
        fit_mixed(tmp_path, steps=LAGS)


def test_rows_without_a_target_are_no_part_of_what_is_learned_but_get_features(tmp_path: Path) -> None:
    steps: list[dict[str, Any]] = [
        {"op": "select", "columns": ["town"]},
        {"op": "target_encode", "columns": ["town"], "folds": 3},
    ]
    table = parquet.read_table(tables.mixed(tmp_path / "d.parquet"))
    bought = [None if row % 5 == 0 else value for row, value in enumerate(table["bought"].to_pylist())]
    parquet.write_table(table.set_column(6, "bought", pa.array(bought)), tmp_path / "d.parquet")
    made = fit_mixed(tmp_path, steps=steps)
    whole = parquet.read_table(tmp_path / "out.parquet")
    assert whole["bought"].to_pylist() == bought
    assert any("target_encode learned from" in note for note in made.notes)
    known = np.array([value is not None for value in bought])
    frame = frames.read_frame(tmp_path / "d.parquet")
    folds = model_selection.StratifiedKFold(3, shuffle=True, random_state=0)
    encoder = preprocessing.TargetEncoder(cv=folds)
    crossed = encoder.fit_transform(frame[known][["town"]], frame["bought"][known])
    expected = encoder.transform(frame[["town"]])[:, 0]
    expected[known] = crossed[:, 0]
    np.testing.assert_allclose(whole["town"].to_numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize(("problem", "columns"), [("classification", 3), ("regression", 1), (None, 3)])
def test_whole_numbers_are_classes_or_numbers_as_the_problem_says(tmp_path: Path, problem: Any, columns: int) -> None:
    tables.write(
        tmp_path / "d.parquet",
        {"word": "string", "grade": "integer"},
        word=["a", "b", "c", "d"] * 6,
        grade=[1, 2, 3, 1, 3, 2] * 4,
    )
    made = fit_mixed(
        tmp_path, steps=[{"op": "target_encode", "columns": ["word"], "folds": 2}], target="grade", problem=problem
    )
    assert len(made.features) == columns


def test_a_step_that_learns_from_a_target_needs_one_that_is_known_somewhere(tmp_path: Path) -> None:
    steps: list[dict[str, Any]] = [{"op": "target_encode", "columns": ["town"]}]
    with pytest.raises(errors.BadRecipeError, match="give `target`"):
        fit_mixed(tmp_path, steps=steps, target=None)
    tables.write(tmp_path / "d.parquet", {"town": "string", "y": "number"}, town=["a", "b"], y=[None, None])
    with pytest.raises(errors.BadDataError, match="the target 'y' has no value in any row"):
        fit_mixed(tmp_path, steps=steps, target="y")


def test_types_that_steps_give_are_those_of_the_file(tmp_path: Path) -> None:
    made = fit_mixed(
        tmp_path,
        steps=[
            {"op": "derive", "name": "old", "expression": "age > 40"},
            {"op": "derive", "name": "week", "expression": "coalesce(seen, time('2026-01-01'))"},
            {"op": "cast", "columns": ["weight"], "to": "integer", "on_error": "null"},
            {"op": "cast", "columns": ["town"], "to": "boolean", "on_error": "null"},
            {"op": "cast", "columns": ["seen"], "to": "date"},
            {"op": "rename", "names": {"age": "years"}},
            {"op": "select", "columns": ["old", "week", "weight", "town", "seen", "years"]},
        ],
    )
    table = parquet.read_table(tmp_path / "out.parquet")
    assert {column.name: column.type for column in made.columns if column.name != "bought"} == {
        "old": "boolean",
        "week": "timestamp",
        "weight": "integer",
        "town": "boolean",
        "seen": "date",
        "years": "integer",
    }
    given = parquet.read_table(tmp_path / "d.parquet")
    assert table["old"].to_pylist() == [None if age is None else age > 40 for age in given["age"].to_pylist()]
    assert table["years"].equals(given["age"])


def test_a_feature_set_stored_before_there_was_rename_still_applies(tmp_path: Path) -> None:
    fit_mixed(tmp_path)
    stored = artifacts.load(tmp_path / "t.skops", sha256=digests.of_file(tmp_path / "t.skops"))
    document = json.loads(stored["document"])
    assert document["passed"] == {name: name for name in ("age", "member", "joined", "spent")}
    old = document | {"passed": list(document["passed"])}
    artifacts.save({"transformer": stored["transformer"], "document": json.dumps(old)}, tmp_path / "t.skops")
    apply_to(tmp_path, tmp_path / "d.parquet")
    assert parquet.read_table(tmp_path / "applied.parquet").equals(parquet.read_table(tmp_path / "out.parquet"))
