"""A stored model is loaded by skops and scikit-learn alone, where there is no Millrace."""

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
import importlib.util, json, sys

assert importlib.util.find_spec("shared") is None, "Millrace is here"
import numpy as np, pandas as pd
from skops import io

path, rows = sys.argv[1:]
sys.path.append(path)
model = io.load(path, trusted=io.get_untrusted_types(file=path))
frame = pd.DataFrame(json.loads(rows))
if "seen" in frame:
    frame["seen"] = pd.to_datetime(frame["seen"], utc=True)
if "size" in frame:
    frame["size"] = frame["size"].astype("float64")
print(json.dumps(np.asarray(model.predict(frame)).tolist()))
"""
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
ESTIMATORS: list[tuple[str, predictions.Problem, str | None, dict[str, Any]]] = [
    ("LogisticRegression", "classification", "sold", {}),
    ("Ridge", "regression", "amount", {"conformal": Conformal(method="split")}),
    ("GradientBoostingRegressor", "quantile", "amount", {}),
    ("LGBMClassifier", "classification", "sold", {}),
]
OTHERS = ("sold", "big", "stars", "amount")


def table() -> pd.DataFrame:
    """Make a table with a number, a category, a date and a text."""
    frame = tables.small(rows=150)
    frame["seen"] = pd.to_datetime("2026-01-01", utc=True) + pd.to_timedelta(np.arange(150) * 5, unit="h")
    frame["note"] = ["a red door" if colour == "red" else "a wall" for colour in frame["colour"]]
    return frame


def predict_elsewhere(path: Path, frame: pd.DataFrame) -> list[Any]:
    """Predict in a process that finds the installed libraries and no file of this repository."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", LOAD, path, frame.to_json(date_format="iso", double_precision=15)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=path.parent,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    predicted: list[Any] = json.loads(done.stdout)
    return predicted


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_a_model_with_steps_of_ours_predicts_the_same_without_us(steps: list[dict[str, Any]], tmp_path: Path) -> None:
    frame = table()
    recipe = Recipe.model_validate({"steps": steps})
    trained = tables.train(
        frame,
        tmp_path,
        name="LogisticRegression",
        target="sold",
        without=("big", "stars", "amount"),
        wanted=recipe,
    )
    pipeline = artifacts.load(tmp_path / "model.skops", sha256=trained.sha256)
    rows = frame.drop(columns=list(OTHERS))
    assert predict_elsewhere(tmp_path / "model.skops", rows) == pipeline.predict(rows).tolist()


@pytest.mark.parametrize(("name", "problem", "target", "more"), ESTIMATORS)
def test_an_estimator_of_ours_predicts_the_same_without_us(
    name: str, problem: predictions.Problem, target: str, more: dict[str, Any], tmp_path: Path
) -> None:
    if name.startswith("LGBM"):
        pytest.importorskip("lightgbm")
    frame = tables.small(rows=150)
    trained = tables.train(
        frame,
        tmp_path,
        name=name,
        problem=problem,
        target=target,
        without=tuple(other for other in OTHERS if other != target),
        **more,
    )
    pipeline = artifacts.load(tmp_path / "model.skops", sha256=trained.sha256)
    rows = frame.drop(columns=list(OTHERS))
    said, wanted = predict_elsewhere(tmp_path / "model.skops", rows), pipeline.predict(rows)
    assert said == (wanted.tolist() if problem == "classification" else pytest.approx(wanted, rel=1e-12, abs=1e-12))


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
    assert predict_elsewhere(new, rows) == pipeline.predict(rows).tolist()


def test_a_model_without_a_type_of_ours_carries_no_code(tmp_path: Path) -> None:
    frame = tables.small(rows=60).dropna()[["size", "sold"]]
    tables.train(frame, tmp_path, name="LogisticRegression", target="sold")
    with zipfile.ZipFile(tmp_path / "model.skops") as file:
        assert not [name for name in file.namelist() if name.endswith(".py")]
    assert not artifacts.lacks_code(tmp_path / "model.skops")


def test_the_code_of_our_types_needs_no_more_than_what_fits_models() -> None:
    types = [*artifact_types.OUR_TRANSFORMERS.split(), *artifact_types.OUR_ESTIMATORS.split()]
    code = source_code.collect(name.rpartition(".")[0] for name in types)
    assert code.imports <= {"numpy", "pandas", "pyarrow", "pydantic", "sklearn"}
