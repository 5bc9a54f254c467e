"""A model's latest version answers by the model's name, once it is asked for, and within a budget of memory."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from shared import database, errors
from shared.objects import store
from shared.prediction import manifests
from sweeper.manifests import Manifests
from tests.integration import sample_data
from tests.unit.prediction.online.conftest import Stage
from tests.unit.prediction.online.test_forms import ask
from workers.prediction.online.on_demand import LoadingError, OnDemand

ROWS = orjson.dumps({"instances": [{"a": 0.5, "b": 0.25, "word": "red"}]})
NAMES = ("small-1", "small-2", "small-3")


@pytest.fixture(scope="module")
def models(whole_stage: Stage) -> Stage:
    """Train three models that nobody deploys."""
    for name in NAMES:
        sample_data.done(whole_stage.client, whole_stage.client.post(f"/v1/models/{name}", json=sample_data.TRAINING))
    whole_stage.chore.do()
    return whole_stage


def latest(stage: Stage) -> dict[str, dict[str, Any]]:
    return manifests.read(stage.objects, manifests.find_latest(stage.objects)).models


def copy(stage: Stage, *, max_bytes: int = 1 << 30) -> OnDemand:
    found = OnDemand(stage.objects, stage.cache, max_bytes=max_bytes)
    found.take(latest(stage))
    return found


def load(models: OnDemand, *names: str) -> list[str]:
    async def within() -> list[str]:
        found = [await models.load("default", name) for name in names]
        return [each.versions[0].pin.label for each in found if each is not None]

    return asyncio.run(within())


def loaded(models: OnDemand) -> set[str]:
    return {name for name in NAMES if models.is_loaded("default", name)}


def label_of(stage: Stage, name: str) -> list[str]:
    answer = ask(stage, f"/v1/deployments/{name}/predictions", ROWS)
    labels: list[str] = orjson.loads(answer.body)["versions"]
    return labels


def test_a_model_s_name_stands_for_its_latest_version_after_deployments(models: Stage, stage: Stage) -> None:
    assert label_of(stage, "small-2") == ["small-2@1"]
    stage.deploy(("greatness@1", 100), name="small-2")
    assert label_of(stage, "small-2") == ["greatness@1"]


def test_it_answers_in_each_protocol(models: Stage, stage: Stage) -> None:
    scored = orjson.loads(ask(stage, "/mlflow/small-2/invocations", ROWS).body)
    inputs = [
        {"name": "a", "datatype": "FP64", "shape": [1], "data": [0.5]},
        {"name": "b", "datatype": "FP64", "shape": [1], "data": [0.25]},
        {"name": "word", "datatype": "BYTES", "shape": [1], "data": ["red"]},
    ]
    answer = orjson.loads(ask(stage, "/v2/models/small-2/infer", orjson.dumps({"inputs": inputs})).body)
    assert (answer["model_name"], answer["model_version"]) == ("small-2", "1")
    assert answer["outputs"][0]["data"] == scored["predictions"]


def test_what_nobody_has_is_not_there(stage: Stage) -> None:
    with pytest.raises(errors.NotFoundError, match="no deployment and no model 'nothing'"):
        label_of(stage, "nothing")
    assert asyncio.run(copy(stage).load("acme", "greatness")) is None


def test_those_that_were_asked_for_longest_ago_make_room(models: Stage) -> None:
    sizes = [
        models.objects.size(manifests.read_pin(models.objects, latest(models)[f"default/{name}"]["pin"]).key)
        for name in NAMES
    ]
    room_for_one = copy(models, max_bytes=max(size for size in sizes if size))
    assert load(room_for_one, *NAMES, "small-1") == ["small-1@1", "small-2@1", "small-3@1", "small-1@1"]
    assert loaded(room_for_one) == {"small-1"}
    assert load(copy(models), *NAMES) == ["small-1@1", "small-2@1", "small-3@1"]


def test_one_that_was_asked_for_again_stays(models: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    held = copy(models, max_bytes=2)
    monkeypatch.setattr(held, "_read", _reading(held, size=1))
    load(held, "small-1", "small-2", "small-1", "small-3")
    assert loaded(held) == {"small-1", "small-3"}
    held.drop("default", "small-1")
    assert loaded(held) == {"small-3"}


def _reading(models: OnDemand, *, size: int) -> Callable[..., Any]:
    large = OnDemand(models._objects, models._cache, max_bytes=1 << 30)
    return lambda key, entry: (large._read(key, entry)[0], size)


def test_a_model_that_does_not_fit_is_refused_with_the_setting(models: Stage) -> None:
    with pytest.raises(LoadingError, match="MILLRACE_INFERENCE_MEMORY_BYTES") as refused:
        load(copy(models, max_bytes=10), "small-1")
    assert refused.value.retry_after_seconds


def test_many_who_ask_at_once_wait_for_one_load(models: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    held = copy(models)
    read, reads = held._read, []

    def note(*given: Any) -> Any:
        reads.append(given[0])
        return read(*given)

    monkeypatch.setattr(held, "_read", note)

    async def within() -> set[Any]:
        return set(await asyncio.gather(*(held.load("default", "small-1") for _ in range(30))))

    assert len(asyncio.run(within())) == 1
    assert reads == [("default", "small-1")]


def test_a_failed_load_is_told_and_tried_again_later(models: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    held = copy(models)

    def away(*_: object, **__: object) -> None:
        raise store.StoreDownError("away")

    with monkeypatch.context() as patched:
        patched.setattr(models.objects, "fetch", away)
        with pytest.raises(LoadingError, match="small-1@1 could not be loaded: away"):
            load(held, "small-1")
    with pytest.raises(LoadingError, match="away"):
        load(held, "small-1")
    monkeypatch.setattr("workers.prediction.online.on_demand._RETRY_SECONDS", 0.0)
    assert load(held, "small-1") == ["small-1@1"]


def test_a_version_that_is_not_the_latest_any_more_is_let_go(models: Stage) -> None:
    held = copy(models)
    load(held, "small-1", "small-2")
    sample_data.done(models.client, models.client.post("/v1/models/small-1", json=sample_data.TRAINING))
    models.chore.do()
    held.take(latest(models))
    assert load(held, "small-1") == ["small-1@2"]
    before = latest(models)["default/small-1"]["pin"]
    assert models.client.delete("/v1/models/small-1/versions/2").status_code in (200, 204)
    # One that begins makes a manifest anew, as this one does each half minute.
    Manifests(database.of_process(), models.objects).do()
    held.take(latest(models))
    assert loaded(held) == {"small-2"}
    assert load(held, "small-1") == ["small-1@1"]
    with contextlib.suppress(FileNotFoundError):
        models.objects.open_read(before).close()
        pytest.fail("a pin that no manifest names is left")
