"""Models made elsewhere become versions that are shown, predict, are scored, gated, exported and deployed like ours."""

import pickle
from typing import Any

import flask.testing
import numpy as np
import onnxruntime
import pandas as pd
import pytest

from tests.integration import sample_data, worker
from tests.unit.training.imports import models

Client = flask.testing.FlaskClient
BINARY = {"content_type": "application/octet-stream"}


def imported(client: Client, data: bytes, **query: Any) -> dict[str, Any]:
    """Import a file, and return the job at its end."""
    return sample_data.done(client, client.post("/v1/models/bought/import", data=data, query_string=query, **BINARY))


def refused(client: Client, data: bytes, **query: Any) -> str:
    """Import a file that is refused by its job, and return why."""
    accepted = client.post("/v1/models/bought/import", data=data, query_string=query, **BINARY)
    assert accepted.status_code == 202, accepted.text
    assert worker.perform(accepted.get_json()) is not None
    ended = client.get(accepted.headers["Location"]).get_json()
    assert ended["state"] == "failed"
    message: str = ended["error"]["message"]
    return message


@pytest.fixture
def numbers(client: Client) -> pd.DataFrame:
    values, labels = models.table()
    frame = pd.DataFrame(values.astype(np.float64), columns=["a", "b"]).assign(great=labels)
    sample_data.load(client, "rows", frame.to_csv(index=False).encode())
    return frame


def test_an_onnx_model_is_shown_scored_exported_and_deployed_as_one_of_ours(
    client: Client, numbers: pd.DataFrame
) -> None:
    made, data = models.logistic()
    ended = imported(
        client,
        data,
        columns="a,b",
        target="great",
        metrics='{"roc_auc": 0.9, "cost": 12}',
        parameters='{"C": 1.0}',
        note="from the other team",
        run="https://runs.example/7",
        tags="baseline",
    )
    assert ended["result"]["model"]["version"] == 1
    version = client.get("/v1/models/bought/versions/1").get_json()
    assert version["metrics"]["roc_auc"]["mean"] == 0.9
    assert (version["estimator"], version["note"]) == ({"name": "ONNX", "params": {"C": 1.0}}, "from the other team")
    assert version["signature"]["classes"] == ["no", "yes"]
    assert "LinearClassifier" in version["details"]["imported"]["operators"]
    assert version["details"]["imported"]["run"] == "https://runs.example/7"
    assert version["tags"] == ["baseline"]
    assert client.get("/v1/model-versions?sort=-cost").get_json()["versions"][0]["name"] == "bought"

    order: dict[str, Any] = {"model": "bought@1", "dataset": "rows@1", "name": "guesses"}
    sample_data.done(client, client.post("/v1/predictions", json=order))
    rows = client.get("/v1/datasets/guesses/versions/1/rows?limit=100").get_json()["rows"]
    values = numbers[["a", "b"]].to_numpy(np.float32)
    assert [row["prediction"] for row in rows] == made.predict(values).tolist()
    np.testing.assert_allclose([row["probability_yes"] for row in rows], made.predict_proba(values)[:, 1], atol=1e-5)

    gate = {"metric": "accuracy", "at_least": 0.5}
    order = {"model": "bought@1", "dataset": "rows@1", "gate": gate}
    scored = sample_data.done(client, client.post("/v1/evaluations", json=order))["result"]
    assert scored["metrics"]["accuracy"] == pytest.approx(made.score(values, numbers["great"]))
    assert scored["gate"]["passed"]

    export = client.post("/v1/models/bought/versions/1/exports", json={"format": "onnx"})
    sample_data.done(client, export)
    written = client.get("/v1/models/bought/versions/1/export?format=onnx").data
    session = onnxruntime.InferenceSession(written, providers=["CPUExecutionProvider"])
    feed = {name: numbers[[name]].to_numpy(np.float64) for name in ("a", "b")}
    assert session.run(["label"], feed)[0].tolist() == made.predict(numbers[["a", "b"]].to_numpy(np.float32)).tolist()

    route = {"routes": [{"model": "bought@1", "weight": 100}]}
    assert client.put("/v1/deployments/shop", json=route).status_code == 200
    rows = numbers[["a", "b"]].head(3).to_dict("records")
    ended = sample_data.done(client, client.post("/v1/deployments/shop/predictions", json={"instances": rows}))
    labels = [each["prediction"] for each in ended["result"]["predictions"]]
    assert labels == made.predict(numbers[["a", "b"]].head(3).to_numpy(np.float32)).tolist()


def test_what_is_no_model_is_refused_at_the_door_or_by_the_job(client: Client) -> None:
    assert "this is a pickle" in refused(client, pickle.dumps({"a": 1}))
    answer = client.post("/v1/models/bought/import", data=b"x", content_type="application/x-python-pickle")
    assert answer.status_code == 415
    query = {"metrics": '{"roc_auc": "good"}'}
    answer = client.post("/v1/models/bought/import", data=b"x", query_string=query, **BINARY)
    assert (answer.status_code, answer.get_json()["errors"][0]["pointer"]) == (422, "#/metrics/roc_auc")
    answer = client.post("/v1/models/bought/import", data=b"x", query_string={"columns": "[1"}, **BINARY)
    assert answer.status_code == 422
    assert client.get("/v1/models/bought").status_code == 404
