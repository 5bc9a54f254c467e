"""Every step of a recipe through REST: its results are those of scikit-learn and pandas used directly."""

import io
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

import flask.testing
import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

from shared.ml import frames
from shared.recipe.language import STEPS
from tests.integration import recipe_cases, sample_data, worker
from tests.integration.steps import at_home, client_of, opened, problem_of

Client = flask.testing.FlaskClient
Template = tuple[pathlib.Path, dict[str, str]]


@pytest.fixture(scope="module")
def kitchen(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Load the table of the cases into a home, and return its client."""
    home = tmp_path_factory.mktemp("kitchen") / "home"
    shutil.copytree(template[0], home)
    with at_home(home), opened() as app:
        client = client_of(app, template[1]["admin"])
        sample_data.load(client, "food", recipe_cases.table())
        yield client


@pytest.fixture(scope="module")
def food(kitchen: Client) -> pd.DataFrame:
    """Read the table of the cases as it was loaded."""
    return read(kitchen, "food", 1)


def read(client: Client, name: str, version: int) -> pd.DataFrame:
    """Download a dataset."""
    response = client.get(f"/v1/datasets/{name}/versions/{version}/content?format=parquet")
    assert response.status_code == 200
    return frames.to_frame(parquet.read_table(io.BytesIO(response.data)))


def fit(client: Client, steps: recipe_cases.Steps, **options: Any) -> dict[str, Any]:
    """Fit a recipe on the table, and give the job's result."""
    order = {"dataset": "food@1", "recipe": {"steps": steps}, "target": "great"} | options
    result: dict[str, Any] = sample_data.done(client, client.post("/v1/features/dish", json=order))["result"]
    return result


def fault(client: Client, steps: recipe_cases.Steps, **options: Any) -> dict[str, Any]:
    """Fit a recipe that can't be, and give the job's error."""
    order = {"dataset": "food@1", "recipe": {"steps": steps}, "target": "great"} | options
    accepted = client.post("/v1/features/dish", json=order)
    assert accepted.status_code == 202, accepted.text
    assert worker.perform(accepted.get_json()) is not None
    error: dict[str, Any] = client.get(accepted.headers["Location"]).get_json()["error"]
    return error


def assert_holds(made: pd.DataFrame, expected: dict[str, Any]) -> None:
    """Check that a table holds the expected columns, to 1e-9."""
    for name, values in expected.items():
        wanted = pd.Series(np.asarray(values)).reset_index(drop=True)
        if made[name].dtype == np.float64:
            np.testing.assert_allclose(made[name], wanted.astype(float), rtol=1e-9, atol=1e-9, err_msg=name)
        else:
            assert made[name].isna().tolist() == wanted.isna().tolist()
            assert made[name].dropna().tolist() == wanted.dropna().tolist()


@pytest.mark.parametrize("case", recipe_cases.CASES)
def test_a_step_gives_what_the_libraries_give(kitchen: Client, food: pd.DataFrame, case: str) -> None:
    steps, expected = recipe_cases.CASES[case]
    fitted = fit(kitchen, steps)
    made = read(kitchen, "dish-data", fitted["dataset"]["version"])
    wanted = expected(food)
    assert_holds(made, wanted)
    assert list(made.columns) == [*fitted["features"]["columns"], "great"]
    if not case.startswith("rename"):
        kept = set(recipe_cases.COLUMNS) - {"great"}
        assert set(fitted["features"]["columns"]) - kept == set(wanted) - kept
    order = {"dataset": "food@1", "version": fitted["features"]["version"], "name": "again"}
    applied = sample_data.done(kitchen, kitchen.post("/v1/features/dish/apply", json=order))["result"]
    again = read(kitchen, "again", applied["dataset"]["version"])
    if case == "target_encode":
        assert_holds(again, recipe_cases.target_applied(food))
    else:
        pd.testing.assert_frame_equal(again, made)


def test_there_is_a_case_for_every_step() -> None:
    known = {step.model_fields["op"].annotation.__args__[0] for step in STEPS}  # type: ignore[union-attr]
    assert {step["op"] for steps, _ in recipe_cases.CASES.values() for step in steps} == known


def test_steps_see_the_columns_as_earlier_steps_left_them(kitchen: Client, food: pd.DataFrame) -> None:
    steps: recipe_cases.Steps = [
        {"op": "derive", "name": "ratio", "expression": "a / (whole + 1)"},
        {"op": "impute", "columns": ["gaps"], "strategy": "mean"},
        {"op": "derive", "name": "ratio", "expression": "ratio * gaps"},
        {"op": "rename", "names": {"ratio": "final"}},
        {"op": "select", "columns": ["final", "shop"]},
        {"op": "one_hot", "columns": ["shop"]},
        {"op": "polynomial", "columns": ["final"], "degree": 2},
        {"op": "scale", "columns": "all", "method": "min_max"},
    ]
    made = read(kitchen, "dish-data", fit(kitchen, steps)["dataset"]["version"])
    final = food["a"] / (food["whole"] + 1) * food["gaps"].fillna(food["gaps"].mean())
    expected = pd.DataFrame({"final": final, "final^2": final**2})
    assert_holds(made, dict((expected - expected.min()) / (expected.max() - expected.min())))
    assert sorted(made.columns) == ["final", "final^2", "great", "shop_north", "shop_south"]


def test_a_filter_leaves_the_rows_targets_and_exact_integers_together(kitchen: Client, food: pd.DataFrame) -> None:
    result = fit(kitchen, [{"op": "filter", "where": "whole % 2 == 0"}, {"op": "scale", "columns": ["a"]}])
    left = food[food["whole"] % 2 == 0].reset_index(drop=True)
    made = read(kitchen, "dish-data", result["dataset"]["version"])
    assert_holds(made, {"whole": left["whole"], "great": left["great"]})
    assert f"{len(food) - len(left)} of {len(food)} rows were left out by filter." in result["notes"]


def test_training_fits_steps_that_learn_from_the_target_inside_each_fold(kitchen: Client) -> None:
    steps = [
        {"op": "select", "columns": ["a", "b", "whole", "town"]},
        {"op": "target_encode", "columns": ["town"]},
        {"op": "select_features", "columns": "all", "method": "mutual_information", "keep": 2},
        {"op": "scale", "columns": "all"},
    ]
    order = sample_data.TRAINING | {"dataset": "food@1", "recipe": {"steps": steps}}
    trained = sample_data.done(kitchen, kitchen.post("/v1/models/taste", json=order))["result"]
    assert trained["metrics"]["roc_auc"]["mean"] > 0.7
    guessed = kitchen.post("/v1/predictions", json={"model": "taste@latest", "dataset": "food@1", "name": "guess"})
    assert sample_data.done(kitchen, guessed)["result"]["dataset"]["rows"] == recipe_cases.ROWS


def test_training_refuses_steps_on_whole_tables_and_says_what_to_do(kitchen: Client) -> None:
    steps = [{"op": "filter", "where": "a > 1"}, {"op": "select", "columns": ["a", "b"]}]
    order = sample_data.TRAINING | {"dataset": "food@1", "recipe": {"steps": steps}}
    [found] = problem_of(kitchen.post("/v1/models/taste", json=order), 422)["errors"]
    assert "step 1 of the recipe (filter) needs whole tables" in found["detail"]
    assert "make a dataset" in found["detail"]


@pytest.mark.parametrize(
    ("recipe_given", "pointer", "said"),
    [
        ({"steps": []}, "#/recipe/steps", "at least 1 item"),
        ({"steps": [{"op": "explode"}]}, "#/recipe/steps/0", "explode"),
        ({"steps": [{"op": "filter", "where": "__import__('os')"}]}, "#/recipe/steps/0/where", "no function"),
        ({"steps": [{"op": "clip", "columns": ["a"], "method": "fixed"}]}, "#/recipe/steps/0", "needs `least`"),
        (
            {"steps": [{"op": "scale", "columns": ["a"]}, {"op": "filter", "where": "a > 1"}]},
            "#/recipe",
            "can't come after step 1 (scale)",
        ),
        ({"steps": [{"op": "target_encode", "columns": ["town"]}]}, "#", "learns from a target"),
        (
            {"steps": [{"op": "filter", "where": "a + 1"}]},
            "#/recipe/steps/0",
            "step 1 (filter): a condition is true or false, but this is a number",
        ),
        (
            {"steps": [{"op": "derive", "name": "x", "expression": "towm"}]},
            "#/recipe/steps/0",
            "there is no column 'towm' (did you mean 'town'?)",
        ),
    ],
)
def test_the_api_validates_the_whole_recipe(
    kitchen: Client, recipe_given: dict[str, Any], pointer: str, said: str
) -> None:
    document = problem_of(kitchen.post("/v1/features/dish", json={"dataset": "food@1", "recipe": recipe_given}), 422)
    [found] = document["errors"]
    assert found["pointer"] == pointer
    assert said in found["detail"]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([{"op": "filter", "where": "a > 100"}], "the filter leaves no row"),
        (
            [{"op": "bin", "columns": ["gaps"]}],
            "a step of the recipe can't take missing values, but there are some in 'gaps' (first in row",
        ),
        ([{"op": "date_parts", "columns": ["seen"], "zone": "Mars/Base"}], "there is no time zone 'Mars/Base'"),
        (
            [{"op": "cast", "columns": ["town"], "to": "number"}],
            "column 'town' holds 'Oslo' in row 1, which can't be converted to number",
        ),
        ([{"op": "pca", "columns": ["a", "b"], "components": 3}], "n_components=3 must be between"),
    ],
)
def test_what_only_the_data_can_tell_fails_the_job_with_the_reason(
    kitchen: Client, steps: recipe_cases.Steps, message: str
) -> None:
    assert message in fault(kitchen, steps)["message"]


def test_the_kinds_show_each_step_with_an_example(kitchen: Client) -> None:
    kinds = {kind["kind"]: kind for kind in kitchen.get("/v1/kinds").get_json()["kinds"]}
    definitions = kinds["processing.fit"]["params"]["$defs"]
    examples = [one for name in definitions for one in definitions[name].get("examples", [])]
    ops = {one["op"] for one in examples if isinstance(one, dict) and "op" in one}
    assert {"filter", "lag", "tfidf", "target_encode", "scale"} <= ops
