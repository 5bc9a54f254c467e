"""A recipe comes to as few stages as keep its order, needs only what it uses, and finds columns by what made them."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import base, compose, pipeline

from shared import contract, errors
from shared.ml import frames
from shared.ml.recipes import compiling, widths
from shared.recipe import planner
from shared.recipe.language import Recipe
from tests.unit.ml import tables

TYPES = tables.columns(a="number", b="number", c="integer", town="string", shop="string", seen="timestamp")
NAMES = [column.name for column in TYPES]
Steps = list[dict[str, Any]]


def read(*steps: dict[str, Any]) -> Recipe:
    """Read a recipe as the API does."""
    return Recipe.model_validate_json(json.dumps({"steps": steps}))


def table(rows: int = 12) -> pd.DataFrame:
    """Make a table of these columns."""
    place = np.arange(rows)
    return pd.DataFrame(
        {
            "a": place * 1.5,
            "b": np.cos(place),
            "c": place % 4.0,
            "town": np.array(["Oslo", "Bergen", "Bodø"], dtype=object)[place % 3],
            "shop": np.array(["n", "s"], dtype=object)[place % 2],
            "seen": pd.date_range("2026-01-01", periods=rows, freq="D", tz="UTC").astype("datetime64[us, UTC]"),
        }
    )


def apply(*steps: dict[str, Any], types: list[contract.Column] = TYPES, **frame: Any) -> pd.DataFrame:
    """Fit a recipe on the table, or on one given by its columns, and give what it makes of it."""
    given = pd.DataFrame(frame) if frame else table()
    made = compiling.compile_recipe(read(*steps), columns=types).set_output(transform="pandas")
    result: pd.DataFrame = made.fit(given).transform(given)
    assert list(made.get_feature_names_out()) == list(result.columns)
    return result


def stages(*steps: dict[str, Any]) -> int:
    """Count a recipe's stages."""
    made = compiling.compile_recipe(read(*steps), columns=TYPES)
    assert isinstance(made, compose.ColumnTransformer | pipeline.Pipeline)
    return len(made) if isinstance(made, pipeline.Pipeline) else 1


def scale(*columns: str) -> dict[str, Any]:
    """Make a step that scales columns."""
    return {"op": "scale", "columns": list(columns)}


def derive(name: str, expression: str) -> dict[str, Any]:
    """Make a step that computes a column."""
    return {"op": "derive", "name": name, "expression": expression}


def test_steps_on_single_columns_and_on_what_one_part_made_need_one_stage() -> None:
    assert stages(scale("a"), {"op": "log1p", "columns": ["c"]}, {"op": "one_hot", "columns": ["town"]}) == 1
    assert stages({"op": "pca", "columns": ["a", "b"], "components": 2, "prefix": "p"}, scale("p")) == 1
    assert stages({"op": "tfidf", "columns": ["town"]}, {"op": "svd", "columns": ["town"], "components": 1}) == 1
    assert stages(derive("d", "a + b"), scale("d"), derive("e", "a * c")) == 1


def test_steps_that_see_what_several_parts_made_open_a_stage() -> None:
    assert stages(scale("a"), {"op": "pca", "columns": ["a", "b"], "components": 2}) == 2
    assert stages(derive("d", "a + b"), derive("e", "d * 2"), derive("f", "e * 2")) == 3
    assert stages({"op": "date_parts", "columns": ["seen"]}, scale("seen_year")) == 2


def test_an_expression_reads_columns_as_they_are_by_then() -> None:
    before = apply(derive("d", "a + 1"), {"op": "log1p", "columns": ["a"]})
    after = apply({"op": "log1p", "columns": ["a"]}, derive("d", "a + 1"))
    np.testing.assert_allclose(before["d"], table()["a"] + 1)
    np.testing.assert_allclose(after["d"], np.log1p(table()["a"]) + 1)


def test_a_derived_column_takes_the_place_of_one_of_its_name_and_keeps_its_type() -> None:
    made = apply(derive("a", "coalesce(a, 0) * 2"), derive("a", "a + 1"), derive("town", "upper(town)"))
    assert made["a"].tolist() == (table()["a"] * 2 + 1).tolist()
    assert made["town"].tolist() == table()["town"].str.upper().tolist()
    assert apply(derive("one", "1"), {"op": "select", "columns": ["one"]})["one"].tolist() == [1.0] * 12


def test_names_can_be_swapped() -> None:
    made = apply({"op": "rename", "names": {"a": "b", "b": "a"}}, scale("a"))
    assert made["b"].tolist() == table()["a"].tolist()
    assert abs(made["a"].mean()) < 1e-12


def test_what_data_made_is_meant_by_the_name_of_what_it_was_made_of_in_later_stages_too() -> None:
    made = apply(
        {"op": "one_hot", "columns": ["town", "shop"]},
        {"op": "drop", "columns": ["seen"]},
        {"op": "pca", "columns": ["town", "shop"], "components": 2, "prefix": "place"},
        {"op": "scale", "columns": ["place"], "method": "min_max"},
    )
    assert list(made.columns) == ["a", "b", "c", "place0", "place1"]
    assert made[["place0", "place1"]].max().tolist() == pytest.approx([1.0, 1.0])


def test_a_name_that_begins_like_data_made_ones_is_told_apart() -> None:
    types = tables.columns(town="string", town_size="number", b="number")
    made = apply(
        {"op": "one_hot", "columns": ["town"]},
        {"op": "pca", "columns": ["town", "b"], "components": 1},
        types=types,
        town=["x", "y", "x", "z"],
        town_size=[1.0, 2.0, 3.0, 4.0],
        b=[0.0, 1.0, 0.5, 0.25],
    )
    assert sorted(made.columns) == ["pca0", "town_size"]


def test_two_families_of_data_made_names_that_can_not_be_told_apart_are_refused() -> None:
    types = tables.columns(town="string", town_size="string", b="number")
    together = {"op": "pca", "columns": "all", "components": 1}
    with pytest.raises(errors.BadRecipeError, match=r"made of 'town' can't be told from those made of 'town_size'"):
        compiling.compile_recipe(read({"op": "one_hot", "columns": ["town", "town_size"]}, together), columns=types)
    renamed = {"op": "rename", "names": {"town_size": "size"}}
    compiling.compile_recipe(read(renamed, {"op": "one_hot", "columns": ["town", "size"]}, together), columns=types)


def test_only_what_is_read_or_passed_on_is_needed() -> None:
    wanted = read(derive("d", "a + b"), {"op": "select", "columns": ["d", "town"]})
    assert [c.name for c in compiling.list_used_columns(wanted, columns=TYPES)] == ["a", "b", "town"]
    wanted = read(scale("a"), derive("d", "a + c"), {"op": "drop", "columns": ["d", "a", "b"]})
    assert [c.name for c in compiling.list_used_columns(wanted, columns=TYPES)] == ["c", "town", "shop", "seen"]
    wanted = read({"op": "lag", "columns": ["a"], "order": "seen"}, {"op": "select", "columns": ["a_lag1"]})
    assert [c.name for c in compiling.list_used_columns(wanted, columns=TYPES)] == ["a", "seen"]


def test_renamed_columns_still_pass_through() -> None:
    wanted = read({"op": "rename", "names": {"a": "z"}}, scale("b"))
    assert [slot.raw for slot in planner.make_plan(wanted, columns=TYPES).outputs if slot.raw] == [
        "a",
        "c",
        "town",
        "shop",
        "seen",
    ]


def test_an_indicator_after_a_step_that_makes_gaps_looks_at_that_steps_result() -> None:
    made = apply(
        {"op": "cast", "columns": ["town"], "to": "number", "on_error": "null"},
        {"op": "impute", "columns": ["town"], "strategy": "constant", "value": 0, "indicator": True},
    )
    assert made["town_missing"].tolist() == [1.0] * 12
    assert made["town"].tolist() == [0.0] * 12


def test_indicators_are_columns_that_later_steps_can_name_but_no_selector_selects() -> None:
    impute = {"op": "impute", "columns": ["a"], "indicator": True}
    made = apply(impute, {"op": "scale", "columns": "numeric", "method": "min_max"}, derive("f", "a_missing + 1"))
    assert made["f"].tolist() == [1.0] * 12
    assert "a_missing" not in apply(impute, {"op": "drop", "columns": ["a_missing"]})


def test_a_column_that_selection_may_leave_out_can_be_scaled_but_not_read() -> None:
    select = {"op": "select_features", "columns": ["a", "b"], "method": "variance", "threshold": 1}
    made = apply(select, scale("a"), scale("b"))
    assert "b" not in made
    assert abs(made["a"].mean()) < 1e-12
    with pytest.raises(errors.BadRecipeError, match="'a' is not a single column that is certain to exist"):
        apply(select, derive("d", "a + 1"))


def test_all_means_the_columns_as_they_are_by_now() -> None:
    made = apply(
        {"op": "drop", "columns": ["seen", "shop"]},
        {"op": "one_hot", "columns": ["town"]},
        {"op": "scale", "columns": "all", "method": "min_max"},
    )
    assert made.shape == (12, 6)
    assert made.max().tolist() == pytest.approx([1.0] * 6)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([derive("d", "towm == 'x'")], r"step 1 \(derive\): there is no column 'towm' \(did you mean 'town'\?\)"),
        ([derive("d", "town + 1")], r"step 1 \(derive\): arithmetic needs a number, but 'town' is a text"),
        ([derive("d", "None")], "None in every row"),
        ([{"op": "rename", "names": {"a": "b"}}], "makes a column 'b', but there is one of that name already"),
        ([{"op": "rename", "names": {"x": "y"}}], "there is no column 'x'"),
        (
            [{"op": "one_hot", "columns": ["town"]}, scale("town_Oslo")],
            "may be made of 'town', which depends on the data",
        ),
        ([{"op": "one_hot", "columns": ["town"]}, derive("d", "town")], "'town' is not a single column"),
        (
            [{"op": "one_hot", "columns": ["town"]}, {"op": "polynomial", "columns": ["town"]}],
            "column 'town' is of unknown width",
        ),
        ([{"op": "tfidf", "columns": ["a"]}], "column 'a' is numeric; tfidf needs text"),
        ([{"op": "cyclic_time", "columns": ["town"]}], "column 'town' is categorical; cyclic_time needs a timestamp"),
        ([{"op": "pca", "columns": ["a", "town"], "components": 1}], "column 'town' is categorical; pca needs numbers"),
        ([{"op": "clip", "columns": ["seen"]}], "column 'seen' is temporal; do date_parts first"),
        ([{"op": "impute", "columns": ["town"], "strategy": "knn"}], "column 'town' is categorical; use the strategy"),
        (
            [{"op": "pca", "columns": [name], "components": 1} for name in ("a", "b")],
            "makes a column 'pca0', but there is one of that name already; give a `prefix`",
        ),
        ([{"op": "lag", "columns": ["a"], "order": "town"}], "`order` needs times or numbers"),
        ([{"op": "rolling", "columns": ["a"], "order": "c", "window": 2, "unit": "days"}], "need an `order` of time"),
        ([{"op": "rolling", "columns": ["town"], "order": "c", "window": 2}], "'town' is categorical; rolling needs"),
        ([{"op": "filter", "where": "a"}], "a condition is true or false, but this is a number"),
        ([{"op": "select", "columns": ["a"]}, scale("b")], "column 'b' was dropped by step 1"),
    ],
)
def test_a_step_that_does_not_fit_is_refused_with_the_reason(steps: Steps, message: str) -> None:
    with pytest.raises(errors.BadRecipeError, match=message):
        compiling.compile_rest(read(*steps), columns=TYPES)


def test_polynomials_without_end_are_refused_before_they_are_made() -> None:
    types = [contract.Column(name=f"x{n}", type="number") for n in range(500)]
    with pytest.raises(errors.LimitExceededError, match=r"step 1 \(polynomial\): it would make"):
        compiling.compile_recipe(read({"op": "polynomial", "columns": "numeric", "degree": 5}), columns=types)


def test_many_columns_are_planned_in_time() -> None:
    types = [contract.Column(name=f"x{n}", type="number") for n in range(10_000)]
    wanted = read(*[{"op": "scale", "columns": [column.name for column in types]}] * 3)
    assert len(compiling.list_used_columns(wanted, columns=types)) == 10_000


def test_tables_that_would_become_too_wide_are_refused_before_anything_is_fitted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = read(
        {"op": "impute", "columns": ["town"], "strategy": "most_frequent"}, {"op": "one_hot", "columns": ["town"]}
    )
    widths.require_affordable(wanted, table(), columns=TYPES)
    monkeypatch.setattr(widths, "MAX_COLUMNS", 7)
    with pytest.raises(
        errors.LimitExceededError,
        match=r"step 2 \(one_hot\) would make up to 4 columns, of 9 in all",
    ):
        widths.require_affordable(wanted, table(), columns=TYPES)
    monkeypatch.setattr(widths, "MAX_COLUMNS", 9)
    monkeypatch.setattr(widths, "MAX_CELLS", 100)
    with pytest.raises(errors.LimitExceededError, match="at most 9 columns and 100 values"):
        widths.require_affordable(wanted, table(), columns=TYPES)


def test_an_unfitted_transformer_can_be_cloned_as_each_fold_does() -> None:
    wanted = read(
        {"op": "rename", "names": {"a": "z"}},
        derive("d", "z * 2"),
        {"op": "cast", "columns": ["c"], "to": "string"},
        {"op": "one_hot", "columns": ["town"]},
        {"op": "pca", "columns": ["town", "b"], "components": 2},
        {"op": "date_parts", "columns": ["seen"], "zone": "Asia/Tokyo"},
    )
    made = compiling.compile_recipe(wanted, columns=TYPES).set_output(transform="pandas")
    first, second = (one.fit_transform(table()) for one in (made, base.clone(made)))
    pd.testing.assert_frame_equal(first, second)


def test_dtypes_of_a_prepared_frame_are_those_of_frames() -> None:
    wanted = read(
        derive("up", "upper(town)"), {"op": "filter", "where": "a > 3"}, {"op": "cast", "columns": ["c"], "to": "date"}
    )
    made = compiling.prepare(table(), wanted, columns=TYPES)
    assert made.index.tolist() == list(range(3, 12))
    assert made["up"].dtype == frames.dtype_of("string")
    assert made["seen"].dtype == frames.dtype_of("timestamp")
