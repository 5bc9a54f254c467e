"""Trains with the example's estimator and does its kind of job, through REST, where the example is installed.

Run as a program, because a process learns of installed packages when it starts; it prints what it has seen as JSON.
"""

import io
import json
import pathlib
import sys
from typing import Any

import flask.testing
import pandas as pd

from api.intake import keys
from migrations import command_line
from shared import database, kinds, plugins
from tests.integration import sample_data, worker
from tests.integration.steps import at_home, client_of, opened
from workers.app import create_app

TRAINING: dict[str, Any] = {
    "dataset": "things@1",
    "target": "great",
    "problem": "classification",
    "recipe": {"steps": [{"op": "drop", "columns": ["word"]}]},
    "validation": {"method": "hold_out", "test_fraction": 0.3},
}


def train_and_predict(client: flask.testing.FlaskClient, **params: float) -> dict[str, Any]:
    """Train with the example's estimator, and give what its model says."""
    order = TRAINING | {"estimator": {"name": "NearestMeanClassifier", "params": params}}
    sample_data.done(client, client.post("/v1/models/near", json=order))
    sample_data.done(
        client, client.post("/v1/predictions", json={"model": "near@1", "dataset": "things@1", "name": "said"})
    )
    content = client.get("/v1/datasets/said/versions/1/content?format=parquet").data
    version = client.get("/v1/models/near/versions/1").get_json()
    table = pd.read_parquet(io.BytesIO(content))
    return {"table": table.to_dict("list"), "libraries": version["libraries"], "estimator": version["estimator"]}


def count(client: flask.testing.FlaskClient, column: str) -> dict[str, Any]:
    """Do the example's kind of job, as a worker would whose application has registered it."""
    order = {"kind": "evaluation.count_values", "params": {"dataset": "things@1", "column": column}}
    accepted = client.post("/v1/jobs", json=order)
    [added] = kinds.of_plugins("evaluation")
    worker.perform(accepted.get_json(), body=plugins.body_of(added))
    job: dict[str, Any] = client.get(accepted.headers["Location"]).get_json()
    return job


def registered() -> list[str]:
    """List the kinds that a worker of the example's role runs."""
    app = create_app(["evaluation"])
    app.finalize()
    return sorted(name for name in app.tasks if name.startswith("evaluation."))


def refused(client: flask.testing.FlaskClient) -> dict[str, Any]:
    """Set a parameter of the example's estimator beyond its limits."""
    estimator = {"name": "NearestMeanClassifier", "params": {"sharpness": 1e9}}
    problem: dict[str, Any] = client.post("/v1/models/near", json=TRAINING | {"estimator": estimator}).get_json()
    return problem


def main(home: pathlib.Path) -> dict[str, Any]:
    """Do everything in a home of its own."""
    home.mkdir()
    with at_home(home):
        assert command_line.main(["upgrade", "all"]) == 0
        key = keys.Keys(database.of_process()).create("admin", scopes=["admin"])
        with opened() as app:
            client = client_of(app, key)
            sample_data.load(client, "things")
            return {
                "kinds": [kind["kind"] for kind in client.get("/v1/kinds").get_json()["kinds"]],
                "trained": train_and_predict(client, sharpness=2.0),
                "refused": refused(client),
                "registered": registered(),
                "counted": count(client, "word"),
                "failed": count(client, "taste"),
            }


if __name__ == "__main__":
    print("\n" + json.dumps(main(pathlib.Path(sys.argv[1]))))  # noqa: T201 - it speaks to the test that started it.
