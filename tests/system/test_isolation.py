"""Must-hold 4: with the training pool dead and its database gone, the other roles go on and nothing is lost."""

import time
from typing import Any

import httpx
import pytest

from tests.system import outages
from tests.system import rig as rigs
from tests.system.conftest import BACKENDS, MakeRig
from tests.system.rig import Rig

ROLES = ("ingestion", "training", "prediction")
ROWS = "size,colour,bought\n" + "".join(
    f"{number % 17},{('red', 'blue', 'green')[number % 3]},{'yes' if number % 17 > 8 else 'no'}\n"
    for number in range(200)
)
FIT = {
    "dataset": "shop@latest",
    "target": "bought",
    "problem": "classification",
    "estimator": {"name": "LogisticRegression"},
    "validation": {"method": "hold_out"},
}


@pytest.fixture(scope="module", params=BACKENDS)
def shop(request: pytest.FixtureRequest, make_rig: MakeRig) -> Rig:
    """Return a system with a dataset and a model."""
    rig = make_rig(str(request.param), test_own_jobs="1")
    rig.start(["api", "sweeper", *ROLES])
    load(rig)
    done(rig, rig.client.post("/v1/models/buyer", json=FIT))
    # The API's mirror of names learns of the model from its event.
    rigs.until(lambda: knows_model(rig), seconds=15, what="the mirror of names to have the model")
    return rig


def knows_model(rig: Rig) -> bool:
    """Return whether the API's mirror of names has the model."""
    with rig.databases["api"].statements.connect() as connection:
        found = connection.exec_driver_sql("SELECT count(*) FROM catalog WHERE name = 'buyer'").scalar_one()
    return bool(found)


def done(rig: Rig, answer: httpx.Response) -> dict[str, Any]:
    """Wait until the job that an answer tells of has succeeded."""
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    job = rig.await_state(answer.json()["id"], seconds=60)
    assert job["state"] == "succeeded", job
    return job


def load(rig: Rig) -> dict[str, Any]:
    """Load the dataset's next version."""
    headers = {"Content-Type": "text/csv"}
    return done(rig, rig.client.post("/v1/datasets/shop", content=ROWS.encode(), headers=headers))


def predict(rig: Rig) -> dict[str, Any]:
    """Predict the first version's rows with the first model."""
    return done(rig, rig.client.post("/v1/predictions", json={"model": "buyer@1", "dataset": "shop@1"}))


def test_one_roles_outage_stops_no_other_and_loses_nothing(shop: Rig, request: pytest.FixtureRequest) -> None:
    rig = shop
    rig.kill("training")
    with outages.database_gone(rig, "training", request):
        for _ in range(3):
            began = time.monotonic()
            refused = rig.client.post("/v1/models/buyer", json=FIT)
            assert time.monotonic() - began < 5
            assert refused.status_code == httpx.codes.SERVICE_UNAVAILABLE, refused.text
            assert int(refused.headers["Retry-After"]) > 0
            assert refused.headers["Content-Type"] == "application/problem+json"
        refused = rig.client.post("/v1/jobs", json={"kind": "training.ping", "params": {}})
        assert refused.status_code == httpx.codes.SERVICE_UNAVAILABLE
        load(rig)
        predict(rig)
        ready = rig.client.get("/readyz")
        assert (ready.status_code, ready.json()["not_ready"]) == (httpx.codes.OK, ["database.training"])
        services = {service["role"]: service["status"] for service in rig.client.get("/v1/services").json()["services"]}
        assert {role: services[role] for role in ROLES} == {"ingestion": "up", "training": "down", "prediction": "up"}
        listed = rig.client.get("/v1/jobs").json()
        assert listed["unavailable"] == ["training"]
        assert listed["jobs"]
    rig.start(["training"])
    done(rig, rig.client.post("/v1/models/buyer", json=FIT))
    models = rig.client.get("/v1/models/buyer").json()
    assert [version["version"] for version in models["versions"]] == [2, 1]
    assert rig.client.get("/readyz").json()["not_ready"] == []
