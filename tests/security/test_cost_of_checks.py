"""What a check at the door costs grows about as the request does, never as its square: all requests wait for it.

Times are compared by their ratio at two sizes, one four times the other: `measuring`.
"""

import functools
import json
from collections.abc import Callable, Iterator
from typing import Any

import flask.testing

from tests.security.growing import Grower
from tests.security.measuring import MAX_RATIO, growth_of, no_pauses

__all__ = ["no_pauses"]

Client = flask.testing.FlaskClient
SIZES = (750, 3_000)
GROWTH = 4
MAX_BYTES = 2**21
TRAINING = {
    "dataset": "things@1",
    "target": "great",
    "problem": "classification",
    "estimator": {"name": "LogisticRegression", "params": {}},
}
LOAD = {"source": {"type": "upload", "upload": "01JD0000000000000000000000"}}
BASES: dict[str, dict[str, Any]] = {
    "ingestion.load": LOAD,
    "training.fit": TRAINING,
    "training.search": {**TRAINING, "search": {"method": "random", "space": {"C": {"low": 0.1, "high": 1.0}}}},
    "/v1/models/{name}": TRAINING,
    "processing.fit": {"dataset": "things@1"},
    "processing.apply": {"dataset": "things@1", "features": "shape@1"},
    "processing.split": {"dataset": "things@1", "parts": {"a": 0.5, "b": 0.5}},
    "/v1/datasets/{name}/split": {"parts": {"a": 0.5, "b": 0.5}},
    "/v1/features/{name}": {"dataset": "things@1"},
    "/v1/features/{name}/apply": {"dataset": "things@1"},
    "evaluation.score": {"dataset": "things@1", "model": "greatness@1"},
    "/v1/evaluations": {"dataset": "things@1", "model": "greatness@1"},
    "/v1/jobs": {"kind": "training.ping"},
}
"""Fields that make a document valid, so that the checks behind its schema are reached."""


def documents(client: Client) -> Iterator[tuple[str, str, str, Callable[[int], Any]]]:
    """Yield a method, a path, a place and a growing document: for each schema that a route or a kind takes."""
    openapi = client.get("/openapi.json").get_json()
    grower = Grower(openapi["components"]["schemas"])
    names = {"{name}": "greatness", "{version}": "1", "{alias}": "best", "{job_id}": "training_01JD"}
    for path, operations in openapi["paths"].items():
        for method in {"post", "put", "patch"} & operations.keys():
            content = operations[method].get("requestBody", {}).get("content", {})
            if schema := content.get("application/json", {}).get("schema"):
                url = path
                for part, name in names.items():
                    url = url.replace(part, name)
                for place, make in grower.grow(schema):
                    yield method, url, place, based(make, place, BASES.get(path, {}))
    for kind in client.get("/v1/kinds").get_json()["kinds"]:
        grower.definitions = kind["params"].get("$defs", {})
        for place, make in grower.grow(kind["params"]):
            params = based(make, place, BASES.get(kind["kind"], {}))
            yield "post", "/v1/jobs", f"{kind['kind']}{place}", functools.partial(make_job, kind["kind"], params)


def make_job(kind: str, params: Callable[[int], Any], count: int) -> dict[str, Any]:
    """Make an order for a job whose parameters grow."""
    return {"kind": kind, "params": params(count)}


def based(make: Callable[[int], Any], place: str, base: dict[str, Any]) -> Callable[[int], Any]:
    """Add the fields of a base to what is made, except the one that grows."""

    def make_whole(count: int) -> Any:
        document = make(count)
        grown = place.partition(".")[2]
        others = {name: value for name, value in base.items() if not grown.startswith(name)}
        return {**document, **others} if isinstance(document, dict) else document

    return make_whole


def test_no_route_takes_longer_than_in_proportion_for_a_document_of_any_schema(populated: Client) -> None:
    compared = set()
    for method, path, place, make in documents(populated):
        small, large = (json.dumps(make(size)).encode() for size in SIZES)
        if GROWTH / 2 * len(small) > len(large) or len(large) > MAX_BYTES:
            continue

        def send(body: bytes, method: str = method, path: str = path) -> object:
            return populated.open(path, method=method, data=body, content_type="application/json")

        ratio = growth_of(functools.partial(send, small), functools.partial(send, large))
        assert ratio <= MAX_RATIO, f"{method} {path} {place}: {ratio:.1f} times for {len(large)} bytes"
        compared.add((path, place))
    # Otherwise the walk through the schemas has found nothing to enlarge.
    assert len(compared) > 150
    assert len({path for path, _ in compared}) >= 10
