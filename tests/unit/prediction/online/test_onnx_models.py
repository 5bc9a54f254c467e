"""ONNX Runtime answers in a model's place where its parity was seen, and leaves to the library what it can't tell."""

import asyncio
import pathlib
from typing import Any

import numpy as np
import pytest

from shared import errors
from shared.ml import signatures
from tests.integration import worker
from tests.unit.prediction.online.conftest import Stage
from workers.prediction.online.deployed import Deployed
from workers.prediction.online.merging import Prediction
from workers.prediction.online.onnx_models import OnnxModel
from workers.prediction.online.plane import Plane
from workers.prediction.online.versions import Version, make_example

GIVEN: dict[str, list[Any]] = {
    "a": [0.5, -0.25, None, 1, 0.1],
    "b": [0.1, None, 0.3, 0.2, -7.5],
    "word": ["red", "unseen", None, "blue", "green"],
}


def export_all(stage: Stage) -> None:
    """Do the exports that deploying has asked for."""
    jobs = stage.client.get("/v1/jobs?kind=training.export&tag=serving&state=queued").get_json()["jobs"]
    for job in jobs:
        assert worker.perform(job) is None
    stage.chore.do()


@pytest.fixture
def deployed(stage: Stage) -> Deployed:
    """Deploy a version and its export."""
    stage.deploy(("greatness@1", 100))
    export_all(stage)
    found = stage.copy()[0].find("default", "great")
    assert found is not None
    return found


def predict(target: Deployed, given: dict[str, list[Any]]) -> Prediction:
    async def within() -> Prediction:
        plane = Plane()
        try:
            count = len(given["a"])
            return await plane.within(target, lambda: plane.predict(target, given, rows_count=count))
        finally:
            plane.close()

    return asyncio.run(within())


def by_library(version: Version, given: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch) -> list[list[Any]]:
    with monkeypatch.context() as patched:
        patched.setattr(version, "_onnx", None)
        return version.predict(given, rows_count=len(given["a"])).values


def test_a_deployed_version_is_exported_and_answers_as_the_library_does(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    [version] = deployed.versions
    assert version.platform == "onnxruntime_onnx"
    answer, expected = predict(deployed, GIVEN).values, by_library(version, GIVEN, monkeypatch)
    assert answer[0] == expected[0]
    assert np.allclose(np.array(answer[1:]), np.array(expected[1:]), rtol=1e-5)
    assert answer != expected, "the library has answered"


def test_rows_alone_and_together_get_the_same_numbers_but_for_last_digits(deployed: Deployed) -> None:
    dice = np.random.default_rng(1)
    count = 200
    given: dict[str, list[Any]] = {
        "a": dice.normal(size=count).tolist(),
        "b": dice.normal(size=count).tolist(),
        "word": dice.choice(["red", "blue", "other"], size=count).tolist(),
    }
    together = predict(deployed, given).values
    for row in range(0, count, 7):
        alone = predict(deployed, {name: [values[row]] for name, values in given.items()}).values
        assert alone[0][0] == together[0][row]
        assert np.allclose([values[0] for values in alone[1:]], [values[row] for values in together[1:]], atol=1e-6)


@pytest.mark.parametrize(
    "change", [{"word": ["", "red", "red", "red", "red"]}, {"a": [2**53 + 1, 0, 0, 0, 0]}, {"a": ["1", 0, 0, 0, 0]}]
)
def test_what_onnx_can_not_tell_is_left_to_the_library(
    deployed: Deployed, change: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    [version] = deployed.versions
    given = {**GIVEN, **change}
    assert predict(deployed, given).values == by_library(version, given, monkeypatch)


@pytest.mark.parametrize("change", [{"a": [float("inf"), 0, 0, 0, 0]}, {"a": [[1], 0, 0, 0, 0]}, {"word": [1.5] * 5}])
def test_what_does_not_fit_is_refused_in_the_librarys_words(deployed: Deployed, change: dict[str, list[Any]]) -> None:
    with pytest.raises(errors.BadDataError, match="row 1"):
        predict(deployed, {**GIVEN, **change})
    with pytest.raises(errors.BadDataError, match="'word'"):
        predict(deployed, {"a": [1], "b": [1]})


def test_an_export_that_can_not_be_loaded_changes_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ValueError

    monkeypatch.setattr(OnnxModel, "__init__", broken)
    stage.deploy(("greatness@2", 100))
    export_all(stage)
    found = stage.copy()[0].find("default", "great")
    assert found is not None
    assert found.versions[0].platform == "millrace_sklearn"
    assert found.is_ready


def test_an_export_that_answers_otherwise_is_not_taken(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    [version] = deployed.versions
    monkeypatch.setattr(version, "_onnx", None)
    library = version._predict_by_library
    monkeypatch.setattr(OnnxModel, "__init__", lambda *_, **__: None)
    monkeypatch.setattr(OnnxModel, "feed", lambda *_: {})

    def otherwise(*_: Any) -> Any:
        predicted = library({"a": [0], "b": [0], "word": ["blue"]}, rows_count=1)
        assert predicted.probability is not None
        return type(predicted)(predicted.prediction, probability=1 - predicted.probability)

    monkeypatch.setattr(OnnxModel, "predict", otherwise)
    assert not version.attach(pathlib.Path("none"))
    assert version.platform == "millrace_sklearn"


def test_an_example_fits_its_signature() -> None:
    signature: signatures.Signature = {
        "columns": [
            {"name": "n", "type": "integer", "nullable": False},
            {"name": "t", "type": "timestamp", "nullable": False},
            {"name": "f", "type": "boolean", "nullable": False},
            {"name": "w", "type": "string", "nullable": False, "categories": ["x"]},
        ]
    }
    assert make_example(signature) == {"n": 0, "t": "2000-01-01T00:00:00Z", "f": False, "w": "x"}
