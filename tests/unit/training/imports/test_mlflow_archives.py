"""Of an MLflow folder the standard model is taken, whatever it is packed as, and no code of it is ever run."""

import io
import json
import pathlib
import tarfile
import zipfile
from typing import Any

import onnx
import pandas as pd
import pytest
import yaml

from shared import errors
from tests.unit.training.imports import models

COLUMNS = [{"name": "a", "type": "double", "required": True}, {"name": "b", "type": "double", "required": True}]


def describe(flavor: str, *, loader: str | None = None, **own: Any) -> bytes:
    """Write the file MLmodel as MLflow does."""
    document = {
        "artifact_path": "model",
        "flavors": {
            flavor: {"code": None, "data": "model.onnx", **own},
            "python_function": {"data": "model.onnx", "loader_module": loader or f"mlflow.{flavor}"},
        },
        "mlflow_version": "2.19.0",
        "run_id": "0f3a",
        "signature": {"inputs": json.dumps(COLUMNS), "outputs": None},
    }
    return yaml.safe_dump(document).encode()


def zipped(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target.getvalue()


def tarred(files: dict[str, bytes], *, mode: Any) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode=mode) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return target.getvalue()


@pytest.mark.parametrize("packing", ["zip", "tar", "tar.gz"])
def test_the_model_its_columns_and_its_run_are_taken(tmp_path: pathlib.Path, packing: str) -> None:
    made, data = models.logistic()
    files = {"model/MLmodel": describe("onnx"), "model/model.onnx": data, "model/conda.yaml": b"name: x"}
    packed = zipped(files) if packing == "zip" else tarred(files, mode="w" if packing == "tar" else "w:gz")
    taken = models.take(tmp_path, packed)
    assert (taken.reading.format, taken.reading.facts["run"]) == ("onnx", "0f3a")
    described: Any = taken.reading.signature["columns"]
    assert [column["name"] for column in described] == ["a", "b"]
    values, _ = models.table()
    frame = pd.DataFrame(values.astype(float), columns=["a", "b"])
    assert taken.predict(frame).prediction.tolist() == made.predict(values).tolist()


def test_tensors_in_files_beside_the_model_are_brought_in(tmp_path: pathlib.Path) -> None:
    plain = models.linear()
    folder = tmp_path / "saved"
    folder.mkdir()
    onnx.save_model(plain, folder / "model.onnx", save_as_external_data=True, size_threshold=0, location="weights")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(files) == {"model.onnx", "weights"}
    taken = models.take(tmp_path, zipped({"MLmodel": describe("onnx"), **files}), problem="regression")
    assert taken.predict(pd.DataFrame({"a": [1.0], "b": [2.0]})).prediction.tolist() == [5.0]
    lacking = zipped({"MLmodel": describe("onnx"), "model.onnx": files["model.onnx"]})
    (tmp_path / "folder").rename(tmp_path / "earlier")
    with pytest.raises(errors.BadModelError, match="stands in 'weights', which isn't there"):
        models.take(tmp_path, lacking, problem="regression")


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (
            {"MLmodel": b"flavors: {sklearn: {pickled_model: model.pkl}, python_function: {}}", "model.pkl": b"x"},
            "flavors python_function, sklearn, which MLflow loads by running code",
        ),
        ({"MLmodel": describe("onnx", loader="mlflow.pyfunc.model")}, "by 'mlflow.pyfunc.model', which is code around"),
        ({"MLmodel": describe("lightgbm", data="model.pkl"), "model.pkl": b"x"}, "as a pickle, 'model.pkl'"),
        ({"MLmodel": describe("onnx")}, "doesn't hold: the onnx model 'model.onnx'"),
        ({"MLmodel": describe("onnx", data="../../etc/passwd")}, "doesn't hold"),
        ({"MLmodel": b"- 1"}, "MLmodel names no flavors"),
        ({"MLmodel": b"flavors: !!python/object/apply:os.system ['true']"}, "MLmodel can't be read"),
        ({"MLmodel": b"#" * (2 << 20)}, "'MLmodel' has 2,097,152 bytes"),
        ({"MLmodel": describe("onnx"), "model.onnx": b"\x80\x04K\x01."}, "this is a pickle"),
    ],
)
def test_a_folder_that_would_run_code_or_is_damaged(
    tmp_path: pathlib.Path, files: dict[str, bytes], reason: str
) -> None:
    with pytest.raises(errors.BadModelError, match=reason):
        models.take(tmp_path, zipped(files), problem="regression")
