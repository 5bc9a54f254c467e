"""A stored model is loaded by skops and scikit-learn alone, where there is no Millrace."""

import importlib.util
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from shared.ml import artifact_types, artifacts, predictions, source_code
from shared.recipe.language import Recipe
from shared.training.refinements import Conformal
from tests.unit.training import tables

pytestmark = pytest.mark.slow

LOAD = """
import importlib.util, json, os, sys, traceback

assert importlib.util.find_spec("shared") is None, "Millrace is here"
import numpy as np, pandas as pd, sklearn.ensemble, sklearn.pipeline
from skops import io

def predict(path, rows):
    sys.path.append(path)
    model = io.load(path, trusted=io.get_untrusted_types(file=path))
    frame = pd.DataFrame(json.loads(rows))
    if "seen" in frame:
        frame["seen"] = pd.to_datetime(frame["seen"], utc=True)
    if "size" in frame:
        frame["size"] = frame["size"].astype("float64")
    with open(path + ".said", "w") as file:
        json.dump(np.asarray(model.predict(frame)).tolist(), file)

for path, rows in json.load(sys.stdin):
    child = os.fork()
    if child == 0:
        try:
            predict(path, rows)
        except BaseException:
            traceback.print_exc()
        os._exit(0)
    os.waitpid(child, 0)
"""
"""Predicts by each model in a fork of its own, so that none finds the code that another has brought."""
STEPS: dict[str, list[dict[str, Any]]] = {
    "expressions": [
        {"op": "impute", "columns": ["size"]},
        {"op": "derive", "name": "twice", "expression": "size * 2 + 1"},
        {"op": "clip", "columns": ["twice"], "method": "fixed", "least": -1.0, "most": 3.0},
        {"op": "one_hot", "columns": ["colour"]},
        {"op": "drop", "columns": ["seen", "note"]},
    ],
    "texts": [
        {"op": "tfidf", "columns": ["note"]},
        {"op": "impute", "columns": ["size"]},
        {"op": "target_encode", "columns": ["colour"]},
        {"op": "drop", "columns": ["seen"]},
    ],
    "dates": [
        {"op": "date_parts", "columns": ["seen"], "parts": ["hour", "weekday"]},
        {"op": "impute", "columns": ["size"], "indicator": True},
        {"op": "frequency_encode", "columns": ["colour"]},
        {"op": "drop", "columns": ["note"]},
    ],
}
ESTIMATORS: dict[str, tuple[predictions.Problem, str, dict[str, Any]]] = {
    "LogisticRegression": ("classification", "sold", {}),
    "Ridge": ("regression", "amount", {"conformal": Conformal(method="split")}),
    "GradientBoostingRegressor": ("quantile", "amount", {"params": {"n_estimators": 10}}),
    "LGBMClassifier": ("classification", "sold", {}),
}
OTHERS = ("sold", "big", "stars", "amount")


def table() -> pd.DataFrame:
    """Make a table with a number, a category, a date and a text."""
    frame = tables.small(rows=150)
    frame["seen"] = pd.to_datetime("2026-01-01", utc=True) + pd.to_timedelta(np.arange(150) * 5, unit="h")
    frame["note"] = ["a red door" if colour == "red" else "a wall" for colour in frame["colour"]]
    return frame


def predict_elsewhere(*models: tuple[Path, pd.DataFrame]) -> list[list[Any]]:
    """Predict in processes that find the installed libraries and no file of this repository."""
    asked = [(str(path), frame.to_json(date_format="iso", double_precision=15)) for path, frame in models]
    done = subprocess.run(
        [sys.executable, "-I", "-c", LOAD],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=120,
        cwd=models[0][0].parent,
    )
    said = [path.with_name(f"{path.name}.said") for path, _ in models]
    assert all(path.exists() for path in said), done.stderr[-3000:]
    return [json.loads(path.read_text()) for path in said]


def train(name: str, folder: Path) -> tuple[Path, pd.DataFrame, Any]:
    """Train one of the models; return its file, rows, and what it predicts of them here."""
    if name in STEPS:
        given: dict[str, Any] = {"name": "LogisticRegression", "target": "sold"}
        frame, given["wanted"] = table(), Recipe.model_validate({"steps": STEPS[name]})
    else:
        problem, target, more = ESTIMATORS[name]
        frame, given = tables.small(rows=150), {"name": name, "problem": problem, "target": target, **more}
    trained = tables.train(frame, folder, without=tuple(set(OTHERS) - {given["target"]}), **given)
    rows = frame.drop(columns=list(OTHERS))
    pipeline = artifacts.load(folder / "model.skops", sha256=trained.sha256)
    return folder / "model.skops", rows, pipeline.predict(rows)


@pytest.fixture(scope="module")
def said_and_wanted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list[Any], Any]]:
    """Return, by the model's name, what it predicts elsewhere, and here."""
    left_out = () if importlib.util.find_spec("lightgbm") else ("LGBMClassifier",)
    names = [name for name in (*STEPS, *ESTIMATORS) if name not in left_out]
    models = {name: train(name, tmp_path_factory.mktemp(name)) for name in names}
    said = predict_elsewhere(*((path, rows) for path, rows, _ in models.values()))
    return {name: (each, models[name][2]) for name, each in zip(models, said, strict=True)}


@pytest.mark.parametrize("name", [*STEPS, *ESTIMATORS])
def test_a_model_with_types_of_ours_predicts_the_same_without_us(
    name: str, said_and_wanted: dict[str, tuple[list[Any], Any]]
) -> None:
    if name.startswith("LGBM"):
        pytest.importorskip("lightgbm")
    said, wanted = said_and_wanted[name]
    is_number = wanted.dtype.kind == "f"
    assert said == (pytest.approx(wanted, rel=1e-12, abs=1e-12) if is_number else wanted.tolist())


def test_a_model_of_an_earlier_release_is_exported_with_the_code_that_it_lacks(tmp_path: Path) -> None:
    trained = tables.train(
        tables.small(rows=150), tmp_path, name="LogisticRegression", target="sold", without=("big", "stars", "amount")
    )
    old, new = tmp_path / "old.skops", tmp_path / "new.skops"
    with zipfile.ZipFile(tmp_path / "model.skops") as source, zipfile.ZipFile(old, "w") as target:
        for entry in source.infolist():
            if not artifacts.is_code(entry.filename):
                target.writestr(entry, source.read(entry))
    assert artifacts.lacks_code(old)
    artifacts.copy_with_code(old, new)
    assert not artifacts.lacks_code(new)
    rows = tables.small(rows=20, seed=1)[["size", "colour"]]
    pipeline = artifacts.load(tmp_path / "model.skops", sha256=trained.sha256)
    assert predict_elsewhere((new, rows)) == [pipeline.predict(rows).tolist()]


def test_a_model_without_a_type_of_ours_carries_no_code(tmp_path: Path) -> None:
    frame = tables.small(rows=60).dropna()[["size", "sold"]]
    tables.train(frame, tmp_path, name="LogisticRegression", target="sold")
    with zipfile.ZipFile(tmp_path / "model.skops") as file:
        assert not [name for name in file.namelist() if name.endswith(".py")]
    assert not artifacts.lacks_code(tmp_path / "model.skops")


def test_the_code_of_our_types_needs_no_more_than_what_fits_models() -> None:
    types = [*artifact_types.OUR_TRANSFORMERS.split(), *artifact_types.OUR_ESTIMATORS.split()]
    imports = {name: source_code.collect([name.rpartition(".")[0]]).imports for name in types}
    needed = {"numpy", "pandas", "pyarrow", "pydantic", "sklearn"}
    assert all(found <= needed for name, found in imports.items() if ".imported." not in name)
    # These came as ONNX, and are loaded when they predict.
    assert all(found <= needed | {"onnxruntime"} for name, found in imports.items() if ".imported." in name)
