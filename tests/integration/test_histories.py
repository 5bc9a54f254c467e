"""Lags of new rows through REST: the rows that the features were fitted on are their past, unless said otherwise."""

import io
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

import flask.testing
import pyarrow as pa
import pytest
from pyarrow import parquet

from shared.catalog import lineage
from tests.integration import sample_data, worker
from tests.integration.steps import at_home, client_of, opened, problem_of

Client = flask.testing.FlaskClient
Template = tuple[pathlib.Path, dict[str, str]]
OLD = b"shop,day,sales\nA,2026-01-01,1\nA,2026-01-02,2\nB,2026-01-02,30\nA,2026-01-03,4\n"
NEW = b"shop,day,sales\nC,2026-01-05,500\nA,2026-01-05,8\nB,2026-01-04,60\nA,2026-01-04,16\n"
STEPS = [
    {"op": "lag", "columns": ["sales"], "by": ["shop"], "order": "day", "lags": [1, 2]},
    {
        "op": "rolling", "columns": ["sales"], "by": ["shop"], "order": "day", "window": 2, "unit": "days",
        "functions": ["sum"],
    },
]  # fmt: skip
MADE = ["sales_lag1", "sales_lag2", "sales_sum_2d"]
JOINED = [[None, 16, 30, 4], [None, 4, None, 2], [None, 20.0, 30.0, 6.0]]
ALONE = [[None, 16, None, None], [None, None, None, None], [None, 16.0, None, None]]


@pytest.fixture(scope="module")
def shops(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Fit lags on old rows, and load new ones."""
    home = tmp_path_factory.mktemp("shops") / "home"
    shutil.copytree(template[0], home)
    with at_home(home), opened() as app:
        client = client_of(app, template[1]["admin"])
        for name, rows in (
            ("old", OLD),
            ("new", NEW),
            ("older", b"shop,day,sales\nA,2026-01-03,7\n"),
            ("lame", b"shop,sales\nA,1\n"),
        ):
            sample_data.load(client, name, rows)
        order = {"dataset": "old@1", "recipe": {"steps": STEPS}}
        sample_data.done(client, client.post("/v1/features/lags", json=order))
        yield client


def apply(client: Client, **order: Any) -> tuple[dict[str, Any], list[list[Any]]]:
    """Apply the lags to the new rows; return the job's result, and what was made."""
    accepted = client.post("/v1/features/lags/apply", json={"dataset": "new@1", "name": "lagged"} | order)
    result: dict[str, Any] = sample_data.done(client, accepted)["result"]
    path = f"/v1/datasets/lagged/versions/{result['dataset']['version']}"
    table: pa.Table = parquet.read_table(io.BytesIO(client.get(f"{path}/content?format=parquet").data))
    assert table["shop"].to_pylist() == ["C", "A", "B", "A"] or "dataset" in order
    assert client.get(path).get_json()["lineage"].get("history") == result["history"]
    return result, [table[name].to_pylist() for name in MADE]


def test_the_fitted_rows_are_the_past_of_new_ones(shops: Client) -> None:
    result, made = apply(shops)
    assert made == JOINED
    assert result["history"] == "old@1"
    # Shop C is in no old row, so rows of A and B are all that is needed.
    assert result["notes"][-1].startswith("4 of 4 rows of the history old@1 were put before the 4 rows")


def test_another_history_or_none_can_be_named(shops: Client) -> None:
    assert apply(shops, history="old@latest")[1] == JOINED
    result, made = apply(shops, history="older@1")
    assert (made[0], result["history"]) == ([None, 16, None, 7], "older@1")
    result, made = apply(shops, history=False)
    assert (made, result["history"]) == (ALONE, None)


def test_the_fitted_dataset_itself_has_no_history(shops: Client) -> None:
    result, made = apply(shops, dataset="old@1", history_key=["day", "shop"])
    fitted = parquet.read_table(io.BytesIO(shops.get("/v1/datasets/lags-data/versions/1/content?format=parquet").data))
    assert made == [fitted[name].to_pylist() for name in MADE]
    assert result["history"] is None


def test_a_history_is_a_source_of_what_was_made(shops: Client) -> None:
    result, _ = apply(shops, history="older@1")
    version = shops.get(f"/v1/datasets/lagged/versions/{result['dataset']['version']}").get_json()
    sources = lineage.list_sources(version["lineage"])
    assert sorted(sources) == [("dataset", "new@1"), ("dataset", "older@1"), ("features", "lags@1")]


@pytest.mark.parametrize(
    ("order", "pointer", "message"),
    [
        ({"history": "nothing@1"}, "history", "doesn't exist"),
        ({"history": True}, "history", ""),
        ({"history": False, "history_key": ["day"]}, "history_key", "`history` is false"),
        ({"history_key": ["id"]}, "history_key", "'id'"),
        ({"history": "lame@1"}, "history", "'day'"),
    ],
)
def test_a_history_that_has_no_use_is_refused(shops: Client, order: dict[str, Any], pointer: str, message: str) -> None:
    problem = problem_of(shops.post("/v1/features/lags/apply", json={"dataset": "new@1"} | order), 422)
    assert f"/{pointer}" in f"{problem['errors']}"
    assert message in f"{problem['errors']}"


def test_features_without_a_past_take_no_history(shops: Client) -> None:
    recipe = {"steps": [{"op": "scale", "columns": ["sales"]}]}
    sample_data.done(shops, shops.post("/v1/features/scaled", json={"dataset": "old@1", "recipe": recipe}))
    for order in ({"history": "old@1"}, {"history_key": ["day"]}):
        problem = problem_of(shops.post("/v1/features/scaled/apply", json={"dataset": "new@1"} | order), 422)
        assert "no step of the recipe looks at earlier rows" in f"{problem['errors']}"
    done = sample_data.done(shops, shops.post("/v1/features/scaled/apply", json={"dataset": "new@1", "history": False}))
    assert done["result"]["history"] is None


def test_an_order_of_an_earlier_release_gets_its_past_too(shops: Client) -> None:
    params = {"features": "lags@1", "dataset": "new@1", "name": "lagged"}
    accepted = shops.post("/v1/jobs", json={"kind": "processing.apply", "params": params})
    assert worker.perform(accepted.get_json()) is None
    assert shops.get(accepted.headers["Location"]).get_json()["result"]["history"] == "old@1"
