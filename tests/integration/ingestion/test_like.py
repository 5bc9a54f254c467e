"""A load reads the columns that a model names as they were in training, whatever these rows look like."""

import io
from typing import Any

import flask.testing
import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

from tests.integration import sample_data
from tests.integration.steps import problem_of

Client = flask.testing.FlaskClient
CSV = {"content_type": "text/csv"}
TYPES = {"num": "number", "age": "integer", "cat": "string", "flag": "boolean", "ts": "timestamp", "new": "integer"}


def orders(*, rows: int = 300) -> pd.DataFrame:
    """Make rows with a column of every type, whose codes are 1, 2 and A."""
    random = np.random.default_rng(1)
    made = pd.DataFrame({"num": random.normal(size=rows), "age": random.integers(18, 80, rows)})
    made["cat"] = random.choice(["1", "2", "A"], rows)
    made["flag"] = random.choice(["true", "false"], rows)
    times = pd.Timestamp("2024-01-01T00:00Z") + pd.to_timedelta(random.integers(0, 3000, rows), "h")
    made["ts"] = times.strftime("%Y-%m-%dT%H:%M:%SZ")
    made["y"] = np.where(made["num"] + (made["cat"] == "1") > 1, "7", "lo")
    made.loc[0, "cat"] = "1"
    made.loc[0, "age"] = 41
    return made


@pytest.fixture
def trained(client: Client) -> Client:
    """A client with the orders, their predictions, and a model of them that has the alias `best`."""
    sample_data.load(client, "orders", orders().to_csv(index=False).encode())
    order = {
        "dataset": "orders@1",
        "target": "y",
        "problem": "classification",
        "estimator": {"name": "LogisticRegression"},
        "validation": {"method": "hold_out"},
    }
    sample_data.done(client, client.post("/v1/models/m", json=order))
    assert client.put("/v1/models/m/aliases/best", json={"version": 1}).status_code == 200
    return client


def predict(client: Client, dataset: str) -> list[float]:
    """Predict a dataset, and return the probabilities of the first class."""
    job = sample_data.done(client, client.post("/v1/predictions", json={"model": "m@1", "dataset": dataset}))
    made = job["result"]["dataset"]
    path = f"/v1/datasets/{made['name']}/versions/{made['version']}/content?format=parquet"
    return parquet.read_table(io.BytesIO(client.get(path).data))["probability_7"].to_pylist()  # type: ignore[no-any-return]


def describe(client: Client, name: str) -> dict[str, Any]:
    """Return the first version of a dataset."""
    document: dict[str, Any] = client.get(f"/v1/datasets/{name}/versions/1").get_json()
    return document


@pytest.mark.parametrize(
    ("changed", "like"),
    [
        ({}, "m@1"),
        ({"flag": "Yes" if orders()["flag"][0] == "true" else "No"}, "m@best"),
        ({"age": "41.0"}, "m@latest"),
        ({"num": "1"}, "m@1"),
    ],
)
def test_a_single_row_is_read_with_the_types_of_training(trained: Client, changed: dict[str, Any], like: str) -> None:
    one = orders().iloc[[0]].assign(**changed)
    if "num" in changed:
        sample_data.load(trained, "two", pd.concat([one.assign(num=1.0), orders()]).to_csv(index=False).encode())
        expected = predict(trained, "two@1")[0]
    else:
        expected = predict(trained, "orders@1")[0]
    data = one.drop(columns="y").assign(new=5).to_csv(index=False).encode()
    sample_data.done(trained, trained.post(f"/v1/datasets/one?like={like}", data=data, **CSV))
    shown = describe(trained, "one")
    types = TYPES | ({"age": "number"} if "age" in changed else {})
    assert {column["name"]: column["type"] for column in shown["columns"]} == types
    assert shown["lineage"]["like"] == "m@1"
    assert predict(trained, "one@1") == pytest.approx([expected], rel=1e-12)


def test_without_it_digits_are_integers_and_are_predicted_all_the_same(trained: Client) -> None:
    one = orders().iloc[[0]].drop(columns="y")
    sample_data.load(trained, "one", one.to_csv(index=False).encode())
    assert {column["name"]: column["type"] for column in describe(trained, "one")["columns"]}["cat"] == "integer"
    assert predict(trained, "one@1") == pytest.approx([predict(trained, "orders@1")[0]], rel=1e-12)


def test_json_and_parquet_are_read_alike(trained: Client) -> None:
    one = orders().iloc[[0]][["cat", "ts"]].assign(cat=1)
    as_json = one.to_json(orient="records").encode()
    sample_data.done(trained, trained.post("/v1/datasets/j?like=m@1", data=as_json, content_type="application/json"))
    sample_data.done(
        trained,
        trained.post(
            "/v1/datasets/p?like=m@1", data=one.to_parquet(index=False), content_type="application/vnd.apache.parquet"
        ),
    )
    for name in ("j", "p"):
        assert trained.get(f"/v1/datasets/{name}/versions/1/rows").get_json()["rows"] == [
            {"cat": "1", "ts": describe_time()}
        ]


def describe_time() -> str:
    """Return the first row's time as rows show it."""
    return str(orders()["ts"][0])


def test_types_go_before_it_and_the_target_is_read_like_the_rest(trained: Client) -> None:
    path = '/v1/datasets/t?like=m@1&types={"cat":"integer"}'
    sample_data.done(trained, trained.post(path, data=b"cat,y\n1,7\n", **CSV))
    assert {column["name"]: column["type"] for column in describe(trained, "t")["columns"]} == {
        "cat": "integer",
        "y": "string",
    }


def test_a_model_that_there_is_not_is_refused_and_named(trained: Client) -> None:
    problem = problem_of(trained.post("/v1/datasets/t?like=m@9", data=b"cat\n1\n", **CSV), 422)
    assert problem["errors"][0]["pointer"] == "#/like"
    assert "'m@9' doesn't exist" in problem["errors"][0]["detail"]


def test_a_source_takes_it_as_a_field_and_it_is_pinned(trained: Client) -> None:
    source = {"type": "url", "url": "https://example.org/t.csv"}
    answer = trained.post("/v1/datasets/t", json={"source": source, "like": "m@best"})
    assert answer.status_code == 202
    assert answer.get_json()["params"]["like"] == "m@best"
    refused = problem_of(trained.post("/v1/datasets/t", json={"source": source, "like": "m@worst"}), 422)
    assert refused["errors"][0]["pointer"] == "#/like"
