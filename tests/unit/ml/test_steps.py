"""Every step does something sound at the edges, comes back from the store as it was, and then learns nothing more."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction import text
from skops import io as skops_io

from shared import contract, digests, errors
from shared.ml import artifacts, column_transformers, encoders, frames, notices, transformers
from shared.ml.recipes import compiling
from shared.recipe.language import Recipe
from tests.integration import recipe_cases
from tests.unit.ml import tables

pytestmark = pytest.mark.slow

NUMBERS: list[dict[str, Any]] = [
    {"op": "impute", "columns": ["x"], "strategy": "knn"},
    {"op": "impute", "columns": ["x"], "strategy": "iterative"},
    {"op": "scale", "columns": ["x"], "method": "quantile", "quantiles": 2},
    {"op": "clip", "columns": ["x"]},
    {"op": "clip", "columns": ["x"], "method": "iqr"},
    {"op": "clip", "columns": ["x"], "method": "fixed", "most": 1},
    {"op": "frequency_encode", "columns": ["x"]},
    {"op": "hash_encode", "columns": ["x"], "features": 2},
    {"op": "one_hot", "columns": ["x"]},
    {"op": "derive", "name": "y", "expression": "x / x"},
    {"op": "cast", "columns": ["x"], "to": "string"},
    {"op": "rename", "names": {"x": "y"}},
    {"op": "select", "columns": ["x"]},
]
TEXTS: list[dict[str, Any]] = [
    {"op": "text_hash", "columns": ["x"], "features": 4},
    {"op": "frequency_encode", "columns": ["x"]},
    {"op": "hash_encode", "columns": ["x"], "features": 4},
    {"op": "one_hot", "columns": ["x"], "min_frequency": 2, "unseen": "rare"},
    {"op": "derive", "name": "y", "expression": "concat(x, '!')"},
    {"op": "cast", "columns": ["x"], "to": "number", "on_error": "null"},
]
TIMES: list[dict[str, Any]] = [
    {"op": "date_parts", "columns": ["x"], "parts": ["second", "quarter"], "zone": "Europe/Berlin"},
    {"op": "cyclic_time", "columns": ["x"]},
    {"op": "cast", "columns": ["x"], "to": "string"},
    {"op": "cast", "columns": ["x"], "to": "integer"},
]
EDGES: list[tuple[contract.ColumnType, list[Any], list[dict[str, Any]]]] = [
    ("number", [np.nan] * 4, NUMBERS),
    ("number", [2.5], NUMBERS),
    ("number", [3.0] * 5, NUMBERS),
    ("string", [np.nan] * 3, TEXTS),
    ("string", ["größe 日本 \U0001f40d"], TEXTS),
    ("string", ["same"] * 4, TEXTS),
    ("timestamp", [pd.NaT] * 3, TIMES),
    ("timestamp", [pd.Timestamp("2026-03-29T01:00:00Z")], TIMES),
]


def read(*steps: dict[str, Any]) -> Recipe:
    """Read a recipe as the API does."""
    return Recipe.model_validate_json(json.dumps({"steps": steps}))


def column(kind: contract.ColumnType, values: list[Any]) -> pd.DataFrame:
    """Make a table of the one column `x`."""
    return pd.DataFrame({"x": pd.Series(values, dtype=frames.dtype_of(kind))})


def fit(kind: contract.ColumnType, values: list[Any], *steps: dict[str, Any], target: Any = None) -> Any:
    """Fit a recipe on a table of the one column `x`."""
    made = compiling.compile_recipe(read(*steps), columns=tables.columns(x=kind)).set_output(transform="pandas")
    with notices.collect():
        return made.fit(column(kind, values), target)


def one(kind: contract.ColumnType, values: list[Any], *steps: dict[str, Any]) -> pd.DataFrame:
    """Apply a recipe to a table of the one column `x`."""
    result: pd.DataFrame = fit(kind, values, *steps).transform(column(kind, values))
    return result


@pytest.mark.parametrize(("kind", "values", "steps"), EDGES, ids=lambda part: str(part)[:40])
def test_empty_columns_constant_ones_and_single_rows_are_no_trouble(
    kind: contract.ColumnType, values: list[Any], steps: list[dict[str, Any]]
) -> None:
    for step in steps:
        fitted = fit(kind, values, step)
        made = fitted.transform(column(kind, values))
        assert len(made) == len(values), step
        assert list(made.columns) == list(fitted.get_feature_names_out()), step
        numbers = made.select_dtypes("float64").to_numpy()
        assert not np.isinf(numbers).any(), step


def test_an_empty_column_stays_empty_where_nothing_can_be_learned_of_it() -> None:
    for step in (NUMBERS[3], NUMBERS[4], NUMBERS[5]):
        assert one("number", [np.nan] * 4, step)["x"].isna().all()


def test_frequencies_count_missing_as_a_category_and_unseen_ones_as_none() -> None:
    fitted = fit("string", ["a", "a", "b", np.nan], {"op": "frequency_encode", "columns": ["x"]})
    assert fitted.transform(column("string", ["a", "b", np.nan, "new"]))["x"].tolist() == [0.5, 0.25, 0.25, 0.0]
    fitted = fit("number", [1.0, 1.0, 2.0, 2.0], {"op": "frequency_encode", "columns": ["x"]})
    assert fitted.transform(column("number", [1.0, np.nan]))["x"].tolist() == [0.5, 0.0]


@pytest.mark.parametrize(("unseen", "row"), [("zeros", [0.0, 0.0]), ("rare", [0.0, 1.0])])
def test_an_unseen_category_becomes_zeros_or_a_rare_one(unseen: str, row: list[float]) -> None:
    step = {"op": "one_hot", "columns": ["x"], "min_frequency": 2, "unseen": unseen}
    fitted = fit("string", ["a", "a", "b", "c"], step)
    assert list(fitted.get_feature_names_out()) == ["x_a", "x_infrequent_sklearn"]
    with notices.collect():
        assert fitted.transform(column("string", ["new"])).to_numpy().tolist() == [row]


@pytest.mark.parametrize(
    "before",
    [
        [],
        [{"op": "impute", "columns": ["x"], "strategy": "constant", "value": "a"}],
        [{"op": "derive", "name": "y", "expression": "length(x)"}, {"op": "pca", "columns": ["y"], "components": 1}],
    ],
    ids=["alone", "after a step", "in a later stage"],
)
def test_an_unseen_category_can_be_an_error_that_names_it(before: list[dict[str, Any]]) -> None:
    fitted = fit("string", ["a", "bb"] * 2, *before, {"op": "one_hot", "columns": ["x"], "unseen": "fail"})
    with pytest.raises(errors.BadDataError, match=r"column 'x' holds 'new', 'other', which one_hot has not seen"):
        encoders.transform(fitted, column("string", ["a", "new", "other", "new"]))


def test_a_missing_value_can_be_unseen_too() -> None:
    fitted = fit("number", [1.0, 2.0], {"op": "one_hot", "columns": ["x"], "unseen": "fail"})
    with pytest.raises(errors.BadDataError, match=r"column 'x' holds no value, 3, which"):
        encoders.transform(fitted, column("number", [1.0, np.nan, 3.0]))


def test_other_faults_of_values_stay_what_they_are() -> None:
    fitted = fit("string", ["a", "b"], {"op": "one_hot", "columns": ["x"], "unseen": "fail"})
    with pytest.raises(ValueError, match="columns are missing"):
        encoders.transform(fitted, column("string", ["a"]).rename(columns={"x": "y"}))


@pytest.mark.parametrize("seen", [["a", "b", np.nan], ["a", "b"]], ids=["missing in fitting", "never missing"])
def test_what_is_missing_is_no_unlisted_category(seen: list[Any]) -> None:
    number = {"op": "ordinal", "columns": ["x"], "categories": ["b", "a"]}
    new = column("string", ["a", "b", "new", np.nan])
    np.testing.assert_array_equal(fit("string", seen, number).transform(new)["x"], [1.0, 0.0, -1.0, np.nan])
    fill = {"op": "impute", "columns": ["x"], "strategy": "constant", "value": 9}
    np.testing.assert_array_equal(fit("string", seen, number, fill).transform(new)["x"], [1.0, 0.0, -1.0, 9.0])


def test_a_clock_is_read_in_its_zone_on_the_day_it_changes() -> None:
    moments = [pd.Timestamp("2026-03-29T00:59:59Z"), pd.Timestamp("2026-03-29T01:00:00Z")]
    made = one("timestamp", moments, {"op": "date_parts", "columns": ["x"], "parts": ["hour"], "zone": "Europe/Berlin"})
    assert made["x_hour"].tolist() == [1.0, 3.0]
    for zone in ("Nowhere", "localtime"):
        with pytest.raises(errors.BadRecipeError, match=f"there is no time zone '{zone}'"):
            one("timestamp", moments, {"op": "date_parts", "columns": ["x"], "zone": zone})


DAYS = [pd.Timestamp("2024-01-01", tz="UTC"), pd.NaT, pd.Timestamp("2024-02-29", tz="UTC")]
PARTS: list[dict[str, Any]] = [
    {"op": "date_parts", "columns": "temporal", "parts": ["year", "month", "day", "weekday", "hour"]},
    {"op": "cyclic_time", "columns": "temporal"},
    {"op": "derive", "name": "day", "expression": "day(x, 'UTC')"},
]


def zoned(step: dict[str, Any], zone: str) -> dict[str, Any]:
    """Return a step with another time zone."""
    if step["op"] == "derive":
        return step | {"expression": step["expression"].replace("UTC", zone)}
    return step | {"zone": zone}


@pytest.mark.parametrize("step", PARTS, ids=lambda step: step["op"])
@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Kiritimati"])
def test_a_date_is_the_same_day_in_every_zone(step: dict[str, Any], zone: str) -> None:
    pd.testing.assert_frame_equal(one("date", DAYS, zoned(step, zone)), one("date", DAYS, step))
    to_date = {"op": "cast", "columns": ["x"], "to": "date"}
    # The derived one stands in another place once there is a stage before it.
    pd.testing.assert_frame_equal(
        one("timestamp", DAYS, to_date, zoned(step, zone)), one("date", DAYS, step), check_like=True
    )


def test_times_beside_dates_are_read_in_the_zone() -> None:
    wanted = read(zoned(PARTS[0], "America/New_York"))
    frame = pd.DataFrame({"day": column("date", DAYS)["x"], "seen": column("timestamp", DAYS)["x"]})
    types = tables.columns(day="date", seen="timestamp")
    made = compiling.compile_recipe(wanted, columns=types).set_output(transform="pandas").fit_transform(frame)
    assert made["day_year"].tolist()[::2] == [2024.0, 2024.0]
    assert made["day_day"].tolist()[::2] == [1.0, 29.0]
    assert made["seen_year"].tolist()[::2] == [2023.0, 2024.0]
    assert made["seen_day"].tolist()[::2] == [31.0, 28.0]


def test_a_zone_that_is_none_is_refused_for_dates_too() -> None:
    with pytest.raises(errors.BadRecipeError, match="there is no time zone 'Nowhere'"):
        one("date", DAYS, zoned(PARTS[0], "Nowhere"))


@pytest.mark.parametrize(
    ("stored", "made"),
    [
        (transformers.DateParts(("day",), "America/New_York"), "x_day"),
        (transformers.CyclicTime(("day",), "America/New_York"), "x_day_sin"),
        (column_transformers.Derive("day", "day(x, 'America/New_York')", {"x": "date"}), "day"),
    ],
    ids=["date_parts", "cyclic_time", "derive"],
)
def test_what_was_stored_before_dates_kept_their_day_goes_on_as_it_was(tmp_path: Path, stored: Any, made: str) -> None:
    frame = column("date", DAYS[:1])
    expected = {"x_day": 31.0, "x_day_sin": np.sin(2 * np.pi * 30 / 31), "day": 31.0}[made]
    vars(stored.fit(frame)).pop("dates", None)
    artifacts.save(stored, tmp_path / "m")
    loaded = artifacts.load(tmp_path / "m", sha256=digests.of_file(tmp_path / "m"))
    assert loaded.transform(frame)[made].tolist() == pytest.approx([expected])


def test_the_year_closes_on_its_circle() -> None:
    moments = [pd.Timestamp("2025-12-31T12:00Z"), pd.Timestamp("2026-01-01T12:00Z"), pd.Timestamp("2026-07-02T12:00Z")]
    made = one("timestamp", moments, {"op": "cyclic_time", "columns": ["x"], "parts": ["day_of_year"]}).to_numpy()
    assert np.linalg.norm(made[0] - made[1]) < 0.03
    assert np.linalg.norm(made[0] - made[2]) > 1.99


@pytest.mark.parametrize(
    ("kind", "values", "to", "expected"),
    [
        ("string", ["1.5", " 2 ", "x", np.nan, "1e999"], "number", [1.5, 2.0, None, None, None]),
        ("string", ["3", "2.5"], "integer", [3.0, None]),
        ("string", ["Yes", "0", "FALSE", "maybe"], "boolean", [1.0, 0.0, 0.0, None]),
        ("number", [1.0, 0.0, 2.0, np.nan], "boolean", [1.0, 0.0, None, None]),
        ("number", [1.0, 2.5, np.nan], "string", ["1", "2.5", None]),
        ("boolean", [1.0, 0.0, np.nan], "string", ["true", "false", None]),
        ("date", [pd.Timestamp("2026-02-03", tz="UTC"), pd.NaT], "string", ["2026-02-03", None]),
        ("integer", [86400.0, np.nan], "date", [pd.Timestamp("1970-01-02", tz="UTC"), None]),
        ("timestamp", [pd.Timestamp("1970-01-02T00:00:01Z")], "number", [86401.0]),
        (
            "string",
            ["2026-01-01", "2026-01-01T02:00:00+02:00", "01/02/2026"],
            "timestamp",
            [pd.Timestamp("2026-01-01", tz="UTC"), pd.Timestamp("2026-01-01", tz="UTC"), None],
        ),
    ],
)
def test_casts_read_what_can_be_read(
    kind: contract.ColumnType, values: list[Any], to: contract.ColumnType, expected: list[Any]
) -> None:
    made = one(kind, values, {"op": "cast", "columns": ["x"], "to": to, "on_error": "null"})["x"]
    assert made.dtype == frames.dtype_of(to)
    assert [None if pd.isna(value) else value for value in made] == expected


def test_a_cast_that_loses_a_value_fails_unless_told_otherwise() -> None:
    with pytest.raises(
        errors.BadDataError, match=r"column 'x' holds 'x1' in row 2, which can't be converted to number"
    ):
        one("string", ["1", "x1"], {"op": "cast", "columns": ["x"], "to": "number"})
    assert one("string", ["1", np.nan], {"op": "cast", "columns": ["x"], "to": "number"})["x"].isna().tolist() == [
        False,
        True,
    ]


def test_casts_follow_on_each_other_with_the_types_of_their_time() -> None:
    steps = [{"op": "cast", "columns": ["x"], "to": to} for to in ("string", "number", "boolean", "string")]
    assert one("integer", [1.0, 0.0], *steps)["x"].tolist() == ["true", "false"]


def test_numbers_of_a_regression_are_numbers_to_target_encode_also_when_they_are_whole() -> None:
    step = {"op": "target_encode", "columns": ["x"], "smooth": 0.0, "folds": 2}
    fitted = fit("string", ["a", "a", "b", "b"] * 3, step, target=np.array([1.0, 2.0, 3.0, 4.0] * 3))
    assert fitted.transform(column("string", ["a", "b", "new"]))["x"].tolist() == pytest.approx([1.5, 3.5, 2.5])


def test_three_classes_get_a_column_each() -> None:
    step = {"op": "target_encode", "columns": ["x"], "folds": 2}
    fitted = fit("string", ["a", "b", "c"] * 4, step, target=np.array(["u", "v", "w"] * 4, dtype=object))
    assert list(fitted.get_feature_names_out()) == ["x_u", "x_v", "x_w"]


@pytest.mark.parametrize("target", [None, np.zeros((4, 2))], ids=["none", "two"])
def test_a_step_that_learns_from_a_target_needs_one(target: Any) -> None:
    with pytest.raises(errors.BadRecipeError, match="target_encode learns from"):
        fit("string", ["a", "b"] * 2, {"op": "target_encode", "columns": ["x"]}, target=target)


def test_cross_fitting_keeps_a_rows_own_target_out_of_its_features() -> None:
    names = [f"n{row}" for row in range(40)]
    target = np.array(["yes", "no"] * 20, dtype=object)
    made = compiling.compile_recipe(
        read({"op": "target_encode", "columns": ["x"]}), columns=tables.columns(x="string")
    ).fit_transform(column("string", names), target)
    # No other row has the same name, so nothing but the mean of all is known of any.
    np.testing.assert_allclose(made[:, 0], 0.5)


@pytest.mark.parametrize("case", recipe_cases.CASES)
def test_what_is_stored_comes_back_and_learns_nothing_more(tmp_path: Path, case: str) -> None:
    steps, _ = recipe_cases.CASES[case]
    wanted = read(
        *[step for step in steps if step["op"] not in ("filter", "lag", "rolling")]
        or [{"op": "drop", "columns": ["a"]}]
    )
    types = tables.columns(
        a="number", b="number", gaps="number", whole="integer", town="string", shop="string", review="string",
        seen="timestamp", day="date",
    )  # fmt: skip
    frame = cases_frame()
    made = compiling.compile_recipe(wanted, columns=types).set_output(transform="pandas")
    made.fit(frame, np.array(["yes", "no", "yes"] * 30, dtype=object))
    artifacts.save(made, tmp_path / "one")
    loaded = artifacts.load(tmp_path / "one", sha256=digests.of_file(tmp_path / "one"))
    pd.testing.assert_frame_equal(loaded.transform(frame), made.transform(frame))
    few = frame.iloc[5:9]
    pd.testing.assert_frame_equal(loaded.transform(few), made.transform(frame).iloc[5:9], rtol=1e-9, atol=1e-12)
    artifacts.save(loaded, tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def cases_frame() -> pd.DataFrame:
    """Build the table of the cases as a frame."""
    dice = np.random.default_rng(3)
    rows = 90
    place = np.arange(rows)
    texts = np.array(["good größe", "bad плохо slow", "日本 fast", "naïve red good"], dtype=object)
    times = pd.date_range("2026-01-01", periods=rows, freq="17h", tz="UTC").astype("datetime64[us, UTC]")
    frame = pd.DataFrame(
        {
            "a": dice.uniform(0.5, 9, rows).round(3),
            "b": dice.normal(size=rows).round(3),
            "gaps": np.where(place % 8 == 3, np.nan, dice.normal(size=rows).round(3)),
            "whole": np.floor(dice.uniform(0, 100, rows)),
            "town": np.array(["Oslo", "Bergen", "Bodø", "Oslo"], dtype=object)[place % 4],
            "shop": np.array(["north", "south", "south"], dtype=object)[place % 3],
            "review": texts[place * 7 % 4],
            "seen": times,
            "day": pd.Series(times).dt.normalize(),
        }
    )
    frame.loc[5, ["town", "review"]] = np.nan
    return frame


def test_a_forged_expression_in_a_stored_transformer_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    forged = column_transformers.Derive("y", "__import__('os').system('touch canary')", {"x": "number"})
    forged.fit(column("number", [1.0]))
    (tmp_path / "m").write_bytes(skops_io.dumps(forged))
    loaded = artifacts.load(tmp_path / "m", sha256=digests.of_file(tmp_path / "m"))
    with pytest.raises(ValueError, match="no function"):
        loaded.transform(column("number", [1.0]))
    assert not (tmp_path / "canary").exists()


def test_a_vectorizer_that_would_read_files_is_no_type_of_an_artifact(tmp_path: Path) -> None:
    forged = text.TfidfVectorizer(input="filename", vocabulary=["root"])
    (tmp_path / "m").write_bytes(skops_io.dumps(forged))
    with pytest.raises(errors.UnsafeArtifactError, match="TfidfVectorizer"):
        artifacts.load(tmp_path / "m", sha256=digests.of_file(tmp_path / "m"))
