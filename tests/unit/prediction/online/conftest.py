"""A home with two versions of a model, the manifest of a deployment of them, and a plane that serves it."""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

import flask.testing
import pytest

from api.intake import keys
from migrations import command_line
from shared import database, settings
from shared.objects import hostcache, opening, store
from sweeper.manifests import Manifests
from tests.integration import sample_data
from tests.integration.steps import at_home, client_of, opened
from workers.prediction.online.serving import Serving, Watch


class Stage:
    """The API of a small home, and a copy that serves what is deployed there."""

    def __init__(self, client: flask.testing.FlaskClient, key: str) -> None:
        """Serve nothing yet."""
        self.client = client
        self.key = key
        self.objects: store.Store = opening.open_store(settings.load())
        self.chore = Manifests(database.of_process(), self.objects)
        self.cache = hostcache.open_cache(settings.load())

    def copy(self, *, by_library: bool = False) -> tuple[Serving, Watch]:
        """Make a copy that serves what was published last, if wanted without ONNX, which rounds otherwise."""
        serving = Serving(self.objects, self.cache)
        watch = Watch(serving, self.objects)
        watch.look()
        for version in serving._loaded.values() if by_library else ():
            version._onnx = None
        return serving, watch

    def deploy(self, *routes: tuple[str, float], name: str = "great", **fields: Any) -> None:
        """Change a deployment of some versions, or a graph of others, and publish it."""
        named = {"routes": [{"model": model, "weight": weight} for model, weight in routes]} if routes else {}
        document = {**named, **fields}
        response = self.client.put(f"/v1/deployments/{name}", json=document)
        assert response.status_code == 200, response.get_data(as_text=True)
        self.chore.do()


@pytest.fixture(scope="package")
def whole_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Yield a home with the model `greatness` in two different versions."""
    home: pathlib.Path = tmp_path_factory.mktemp("serving")
    with contextlib.ExitStack() as stack:
        stack.enter_context(at_home(home))
        assert command_line.main(["upgrade", "all"]) == 0
        key = keys.Keys(database.of_process()).create("tests", scopes=["admin"])
        client = client_of(stack.enter_context(opened()), key)
        sample_data.load(client, "things")
        for strength in (1.0, 0.01):
            estimator = {"name": "LogisticRegression", "params": {"max_iter": 200, "C": strength}}
            training = {**sample_data.TRAINING, "estimator": estimator}
            sample_data.done(client, client.post("/v1/models/greatness", json=training))
        yield Stage(client, key)


@pytest.fixture
def stage(whole_stage: Stage) -> Stage:
    """Return the home, with nothing deployed."""
    deployments = whole_stage.client.get("/v1/deployments").get_json()["deployments"]
    # Graphs before those that they name.
    for deployment in sorted(deployments, key=lambda each: bool(each["routes"])):
        assert whole_stage.client.delete(f"/v1/deployments/{deployment['name']}").status_code == 204
    whole_stage.chore.do()
    return whole_stage


@pytest.fixture(scope="package")
def woods(whole_stage: Stage) -> Stage:
    """Train the model `woods`, a forest, which has no export here: the library answers."""
    estimator = {"name": "RandomForestClassifier", "params": {"n_estimators": 5}}
    order = {**sample_data.TRAINING, "estimator": estimator}
    sample_data.done(whole_stage.client, whole_stage.client.post("/v1/models/woods", json=order))
    return whole_stage


@pytest.fixture
def forest(stage: Stage, woods: Stage) -> Stage:
    """Return the home with the model `woods`, and with nothing deployed."""
    return stage
