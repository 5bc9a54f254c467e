"""The example package is installed, and adds its estimator and its kind of job; a broken one adds nothing."""

import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.integration import sample_data

ROOT = pathlib.Path(__file__).parents[2]
INSTALL = "import setuptools; setuptools.setup()"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Install the example into a folder by its own build backend, without the network; gives the folder."""
    copy, target = tmp_path_factory.mktemp("example") / "copy", tmp_path_factory.mktemp("installed")
    shutil.copytree(ROOT / "examples" / "millrace-example", copy)
    # What `pip install --no-build-isolation` does, but for the wheel, which not every setuptools can make alone.
    options = ["--root", str(target), "--single-version-externally-managed", "--install-lib", "/lib"]
    command = [sys.executable, "-c", INSTALL, "-q", "install", *options, "--record", str(target / "files.txt")]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return target / "lib"


def run(*arguments: str, path: pathlib.Path) -> str:
    """Run Python with a folder of installed packages."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MILLRACE_")}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": f"{path}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def seen(installed: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Read what a system with the example installed reports."""
    home = tmp_path_factory.mktemp("plugged") / "home"
    lines = run("-m", "tests.integration.plugged", str(home), path=installed).splitlines()
    document: dict[str, Any] = json.loads(lines[-1])
    return document


def test_the_added_estimator_is_trained_stored_and_predicts_through_rest(seen: dict[str, Any]) -> None:
    given = pd.read_csv(io.BytesIO(sample_data.table()))
    features = given[["a", "b"]].to_numpy()
    means = np.stack([features[given["great"] == label].mean(axis=0) for label in ("no", "yes")])
    distances = np.linalg.norm(features[:, None] - means[None], axis=2)
    weights = np.exp(-2.0 * distances)
    said = seen["trained"]["table"]
    np.testing.assert_allclose(said["probability_yes"], weights[:, 1] / weights.sum(axis=1), rtol=1e-9)
    assert said["prediction"] == np.where(distances[:, 1] < distances[:, 0], "yes", "no").tolist()
    assert seen["trained"]["estimator"] == {"name": "NearestMeanClassifier", "params": {"sharpness": 2.0}}
    assert seen["trained"]["libraries"]["millrace-example"] == "1.0.0"


def test_its_parameters_are_checked_by_the_api(seen: dict[str, Any]) -> None:
    assert seen["refused"]["status"] == 422
    assert "use a number from 0.001 to 1,000.0" in seen["refused"]["errors"][0]["detail"]


def test_the_added_kind_is_described_and_done(seen: dict[str, Any]) -> None:
    assert "evaluation.count_values" in seen["kinds"]
    assert "evaluation.count_values" in seen["registered"]
    assert seen["counted"]["state"] == "succeeded"
    counts = pd.read_csv(io.BytesIO(sample_data.table()))["word"].value_counts()
    assert seen["counted"]["result"] == {"counts": counts.to_dict()}
    assert (seen["failed"]["state"], seen["failed"]["error"]["type"]) == ("failed", "BadDataError")


BROKEN = {
    "raises": "raise RuntimeError('broken')",
    "name": "VALUE = 1",
    "foreign": "from shared import plugins\n"
    "VALUE = plugins.Estimator(path='bad.model', problems=('regression',), types=frozenset({'os.system'}))",
    "elsewhere": "from shared import plugins\n"
    "VALUE = plugins.Estimator(path='subprocess', problems=('regression',), types=frozenset())",
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_package_that_is_broken_or_reaches_beyond_itself_is_left_out(name: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "bad.py").write_text(BROKEN[name])
    info = tmp_path / "bad-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad\nVersion: 1.0\n")
    groups = ["[millrace.estimators]\nBad = bad:VALUE", "[millrace.kinds]\ntraining.fit = bad:VALUE"]
    (info / "entry_points.txt").write_text("\n".join(groups))
    script = (
        "import json\n"
        "from shared import kinds\n"
        "from shared.ml import artifact_types\n"
        "from shared.training import contract\n"
        "from shared.training.estimators import allow_list\n"
        "fit = kinds.by_name()['training.fit']\n"
        "found = ['Bad' in allow_list.specs(), 'os.system' in artifact_types.list_names(), fit.command.__name__]\n"
        "print(json.dumps(found))"
    )
    out = run("-c", script, path=tmp_path)
    assert json.loads(out.splitlines()[-1]) == [False, False, "TrainModel"]
    assert out.count("plugin_skipped") >= 2
