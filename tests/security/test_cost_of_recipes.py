"""What a check behind the schema costs grows as the recipe, the columns and the names do, and not faster."""

import contextlib
import difflib
import json
from collections.abc import Callable
from typing import Any

import flask
import flask.testing
import numpy as np
import pytest

from api.intake import submit
from shared import budget, column_names, contract, errors, suggestions
from shared.recipe import compatibility, expressions, planner
from shared.recipe.language import Recipe
from shared.training import columns
from tests.integration.steps import client_of, problem_of
from tests.security.measuring import MAX_RATIO, growth_of, no_pauses

__all__ = ["no_pauses"]
SMALL, LARGE = 1_000, 4_000
Build = Callable[[int], list[dict[str, Any]]]


def names(count: int) -> list[str]:
    """Name columns."""
    return [f"a{number}" for number in range(count)]


def table(count: int, type_: contract.ColumnType = "number") -> list[contract.Column]:
    """Make the columns of a table."""
    return [contract.Column(name=name, type=type_) for name in names(count)]


def read(steps: list[dict[str, Any]]) -> Recipe:
    """Read a recipe as the API does."""
    return Recipe.model_validate_json(json.dumps({"steps": steps}))


RECIPES: dict[str, Build] = {
    "rename": lambda count: [
        {"op": "rename", "names": dict(zip(names(count), (f"b{n}" for n in range(count)), strict=True))}
    ],
    "lag": lambda count: [{"op": "lag", "columns": names(count), "order": "a0"}],
    "rolling": lambda count: [{"op": "rolling", "columns": names(count), "order": "a0", "window": 3}],
    "drop": lambda count: [{"op": "drop", "columns": names(count)[1:]}],
    "select": lambda count: [{"op": "select", "columns": names(count)}],
    "indicators": lambda count: [{"op": "impute", "columns": "all", "indicator": True}],
    "components": lambda count: [{"op": "pca", "columns": "all", "components": 500}] * 3,
    "origins": lambda count: [
        {"op": "pca", "columns": "all", "components": 500},
        {"op": "scale", "columns": names(count)},
    ],
    "dropped": lambda count: [
        {"op": "pca", "columns": "all", "components": 500},
        {"op": "drop", "columns": [f"pca{number}" for number in range(499)]},
    ],
    "twice": lambda count: [
        {"op": "derive", "name": "x", "expression": "a0"},
        {"op": "rename", "names": {"x": f"a{count - 1}"}},
    ],
    "absent": lambda count: [{"op": "scale", "columns": [*names(count), "b"]}],
}


@pytest.mark.parametrize("name", RECIPES)
def test_following_a_recipe_costs_in_proportion_to_its_columns(name: str) -> None:
    def follow(count: int) -> Callable[[], object]:
        recipe, present = read(RECIPES[name](count)), table(count)

        def call() -> None:
            try:
                planner.make_plan(recipe, columns=present)
            except errors.BadRecipeError:
                assert name in ("twice", "absent")

        return call

    assert growth_of(follow(SMALL), follow(LARGE)) <= MAX_RATIO


@pytest.mark.parametrize(
    "steps",
    [
        [{"op": "lag", "columns": names(2_000), "order": "a0", "lags": list(range(1, 101))}],
        [
            {"op": "pca", "columns": "all", "components": 1000},
            {"op": "cast", "columns": "all", "to": "timestamp"},
            {"op": "date_parts", "columns": "all"},
        ],
        [{"op": "pca", "columns": "all", "components": 1000}] * 200,
        [{"op": "cast", "columns": "all", "to": "timestamp"}, {"op": "date_parts", "columns": "all"}] * 20,
    ],
)
def test_what_a_step_would_make_too_much_of_is_not_made(steps: list[dict[str, Any]]) -> None:
    recipe = read(steps)
    with pytest.raises(planner.TooLongError):
        planner.make_plan(recipe, columns=table(2_000), max_columns=compatibility.API_MAX_COLUMNS)
    # The API leaves it to the worker.
    compatibility.check_for_table(recipe, columns=table(2_000))


@pytest.mark.parametrize(
    "make",
    [
        lambda count: "a or " * (count // 5) + "a",
        lambda count: "a\n<" * (count // 3) + "a",
        lambda count: "a or\r" * (count // 5) + "a",
        lambda count: "coalesce(" + "é," * (min(count, 1_990) // 10) + "é)",
        lambda count: "-" * count + "a",
        lambda count: "(" * count,
        lambda count: "not " * (count // 4) + "a",
    ],
)
def test_reading_an_expression_costs_in_proportion_to_its_length(make: Callable[[int], str]) -> None:
    def parse(count: int) -> Callable[[], object]:
        text = make(count)

        def call() -> None:
            for _ in range(20):
                with contextlib.suppress(ValueError):
                    expressions.parse(text)

        return call

    assert growth_of(parse(480), parse(1_920)) <= MAX_RATIO


def similar_names(count: int, length: int) -> list[str]:
    """Make names of which the exact comparison takes the cube of their length."""
    places = np.arange(count * length, dtype=np.uint32).reshape(count, length)
    letters = np.where(places % length % 4, np.uint32(ord("a")), 0x4E00 + places % 20_000).astype(np.uint32)
    return list(letters.view(f"U{length}").ravel().tolist())


@pytest.mark.parametrize("length", [15, 60, 200, 1000])
def test_looking_for_similar_names_costs_little_however_many_and_long_they_are(length: int) -> None:
    def look(count: int) -> Callable[[], object]:
        word, *others = similar_names(count, length)
        return lambda: column_names.describe_absent(word, present=others)

    assert growth_of(look(1_250), look(5_000)) <= MAX_RATIO
    # Beyond so many names it doesn't grow at all.
    assert growth_of(look(5_000), look(20_000)) <= 2.5


def test_similar_words_are_those_that_the_exact_comparison_finds() -> None:
    words = ["mean radius", "mean texture", "worst radius", "radius error", "mean area", "target", "id", "Radius mean"]
    for word in ("mean radios", "wrst radius", "traget", "radius", "area", "zzz", "mean_radius", ""):
        assert suggestions.find_similar(word, words) == difflib.get_close_matches(word, words)


def test_finding_named_columns_costs_in_proportion_to_the_columns() -> None:
    def find(count: int) -> Callable[[], object]:
        present = table(count)
        return lambda: [
            columns.find_column(name, field="targets", columns=columns.by_name(present), pointer="#")
            for name in names(200)
        ]

    assert growth_of(find(SMALL), find(LARGE)) <= MAX_RATIO


# What the size can't bound is bounded by time.


def test_checks_beyond_their_time_are_left_to_the_worker(
    populated: flask.testing.FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {"dataset": "things@1", "recipe": {"steps": [{"op": "scale", "columns": ["nowhere"]}]}}
    assert problem_of(populated.post("/v1/features/f", json=wrong), 422)["errors"][0]["pointer"] == "#/recipe/steps/0"
    monkeypatch.setattr(submit, "_CHECK_SECONDS", 0.0)
    assert populated.post("/v1/features/f", json=wrong).status_code == 202


@pytest.mark.parametrize("module", ["api.intake.submit._PIN_SECONDS", "api.jobs._VALIDATION_SECONDS"])
def test_a_batch_that_takes_too_long_is_413_and_leaves_nothing(
    app: flask.Flask, keyring: dict[str, str], monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    client = client_of(app, keyring["admin"])
    monkeypatch.setattr(module, -1.0)
    batch = {"jobs": [{"kind": "training.ping", "params": {}}] * 3}
    assert "fewer" in problem_of(client.post("/v1/jobs/batch", json=batch), 413)["detail"]
    assert client.get("/v1/jobs").get_json()["jobs"] == []


def test_a_budget_is_spent_by_all_checks_together_and_never_where_there_is_none() -> None:
    assert not budget.is_used_up()
    checks = budget.Budget(0.02)
    with checks.spend():
        assert not budget.is_used_up()
        while not budget.is_used_up():
            pass
    assert not budget.is_used_up()
    with checks.spend():
        assert budget.is_used_up()
