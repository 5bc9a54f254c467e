"""Whether a recipe fits is told by names and types alone, and only where that is certain and soon told."""

import json
import time
from typing import Any

import pytest

from shared import contract, errors
from shared.recipe import compatibility, planner
from shared.recipe.language import Recipe

COLUMNS = [
    contract.Column(name="a", type="number"),
    contract.Column(name="b", type="number"),
    contract.Column(name="town", type="string"),
]
SCALE = {"op": "scale", "columns": ["a"]}
SHARE = {"op": "derive", "name": "b", "expression": "a / 2"}


def read(*steps: dict[str, Any]) -> Recipe:
    """Read a recipe as the API does."""
    return Recipe.model_validate_json(json.dumps({"steps": steps}))


def needed(absent: set[str], *steps: dict[str, Any]) -> list[str]:
    """Return what new data without some columns is certain to lack."""
    return compatibility.find_needed(absent, read(*steps), columns=COLUMNS)


def test_a_table_may_keep_its_text_and_a_model_may_not() -> None:
    compatibility.check_for_table(read(SCALE), columns=COLUMNS)
    with pytest.raises(errors.BadRecipeError, match="an estimator needs numbers") as told:
        compatibility.check_for_model(read(SCALE), columns=COLUMNS)
    assert told.value.pointer == "#/params/recipe"


def test_a_model_has_no_steps_on_whole_tables() -> None:
    lag = {"op": "lag", "columns": ["a"], "order": "b"}
    compatibility.check_for_table(read(lag), columns=COLUMNS)
    with pytest.raises(errors.BadRecipeError, match="looks at whole tables") as told:
        compatibility.check_for_model(read(lag), columns=COLUMNS[:2])
    assert told.value.pointer == "#/params/recipe/steps/0"


def test_a_column_that_a_step_names_is_needed() -> None:
    assert needed({"a", "town"}, SCALE, {"op": "one_hot", "columns": ["town"]}) == ["a", "town"]


def test_a_column_that_no_step_names_may_have_been_the_target() -> None:
    assert needed({"a", "b", "town"}, {"op": "scale", "columns": "numeric"}) == []


def test_a_name_that_a_step_has_made_before_need_not_have_been_a_column() -> None:
    assert needed({"b"}, SHARE, {"op": "scale", "columns": ["b"]}) == []
    assert needed({"b"}, {"op": "scale", "columns": ["b"]}, SHARE) == []
    also_read = {"op": "derive", "name": "c", "expression": "b + 1"}
    assert needed({"b"}, also_read, SHARE) == ["b"]


def test_a_name_that_stands_for_other_columns_too_may_have_been_the_targets() -> None:
    numbers = {"op": "pca", "columns": "numeric", "components": 1, "prefix": "b"}
    assert needed({"b"}, numbers, {"op": "scale", "columns": ["b"]}) == []


def test_only_names_that_steps_give_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compatibility, "API_MAX_COLUMNS", len(COLUMNS))
    assert needed({"a", "b"}, {"op": "scale", "columns": ["b"]}) == ["b"]


def test_a_column_that_is_dropped_is_not_needed() -> None:
    assert needed({"b"}, {"op": "drop", "columns": ["b"]}) == []


def test_nothing_is_certain_of_a_recipe_that_fits_only_without_the_target() -> None:
    assert needed({"a"}, SCALE, {"op": "pca", "columns": "all", "components": 1}) == []


def test_a_recipe_that_takes_long_to_follow_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    misfit = read(SCALE, {"op": "scale", "columns": ["c"]})
    with pytest.raises(errors.BadRecipeError, match="no column 'c'"):
        compatibility.check_for_table(misfit, columns=COLUMNS)
    monkeypatch.setattr(compatibility, "API_MAX_COLUMNS", 5)
    compatibility.check_for_table(misfit, columns=COLUMNS)
    compatibility.check_for_model(misfit, columns=COLUMNS)
    assert needed({"a"}, SCALE, SCALE) == []


def test_columns_are_counted_anew_before_each_step() -> None:
    products = {"op": "polynomial", "columns": ["a", "b"], "degree": 2}
    wanted = read(products, SCALE, SCALE)
    planner.make_plan(wanted, columns=COLUMNS, max_columns=3 + 6 + 6)
    with pytest.raises(planner.TooLongError):
        planner.make_plan(wanted, columns=COLUMNS, max_columns=3 + 6 + 5)


def test_families_of_ten_thousand_columns_are_told_apart_in_time() -> None:
    texts = [contract.Column(name=f"x{number:05}", type="string") for number in range(10_000)]
    wanted = read({"op": "one_hot", "columns": "all"}, {"op": "pca", "columns": "all", "components": 1})
    began = time.process_time()
    compatibility.plan_for_table(wanted, columns=texts)
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "names", [["town", "z", "town_size"], ["town_size", "z", "town"], ["town", "town_a", "town_b"]]
)
def test_the_first_family_that_holds_another_is_named_with_the_first_that_it_holds(names: list[str]) -> None:
    texts = [contract.Column(name=name, type="string") for name in names]
    together = {"op": "pca", "columns": "all", "components": 1}
    held = next(name for name in names if name.startswith("town_"))
    with pytest.raises(errors.BadRecipeError, match=f"made of 'town' can't be told from those made of '{held}'"):
        compatibility.plan_for_table(read({"op": "one_hot", "columns": names}, together), columns=texts)
