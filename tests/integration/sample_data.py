"""Sample data, and requests that fill a home with one of everything: dataset, features, model, scores, predictions."""

import random
from typing import Any

import flask.testing

from tests.integration import worker


def table(*, rows: int = 120) -> bytes:
    """Make a small CSV: two numbers, a word, and whether the numbers' sum is great, with some noise."""
    dice = random.Random(7)
    lines = ["a,b,word,great"]
    for _ in range(rows):
        a, b = dice.uniform(-1, 1), dice.uniform(-1, 1)
        great = "yes" if a + b + dice.gauss(0, 0.5) > 0 else "no"
        lines.append(f"{round(a, 4)},{round(b, 4)},{dice.choice(['red', 'green', 'blue'])},{great}")
    return ("\n".join(lines) + "\n").encode()


RECIPE = {"steps": [{"op": "scale", "columns": ["a", "b"]}, {"op": "one_hot", "columns": ["word"]}]}
TRAINING: dict[str, Any] = {
    "dataset": "things@1",
    "target": "great",
    "problem": "classification",
    "estimator": {"name": "LogisticRegression", "params": {"max_iter": 200}},
    "validation": {"method": "hold_out", "test_fraction": 0.3, "seed": 1},
}
ORDERS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/features/shape", {"dataset": "things@1", "recipe": RECIPE, "target": "great"}),
    ("/v1/features/shape/apply", {"dataset": "things@1", "name": "shaped"}),
    ("/v1/models/greatness", TRAINING),
    ("/v1/evaluations", {"model": "greatness@1", "dataset": "things@1"}),
    ("/v1/predictions", {"model": "greatness@1", "dataset": "things@1", "name": "guesses"}),
]


def populate(client: flask.testing.FlaskClient) -> None:
    """Do every kind of job once."""
    load(client, "things")
    load(client, "things")
    for path, order in ORDERS:
        done(client, client.post(path, json=order))


def load(client: flask.testing.FlaskClient, name: str, data: bytes | None = None, **options: Any) -> dict[str, Any]:
    """Upload a table and load it."""
    options.setdefault("content_type", "text/csv")
    return done(client, client.post(f"/v1/datasets/{name}", data=data or table(), **options))


def done(client: flask.testing.FlaskClient, accepted: Any) -> dict[str, Any]:
    """Do the job that was accepted, and give it as it is at its end."""
    assert accepted.status_code == 202, accepted.text
    assert worker.perform(accepted.get_json()) is None, client.get(accepted.headers["Location"]).text
    ended: dict[str, Any] = client.get(accepted.headers["Location"]).get_json()
    assert ended["state"] == "succeeded"
    return ended
