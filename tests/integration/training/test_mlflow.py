"""MLflow loads an export where Millrace is not installed, and predicts what Millrace predicts."""

import io
import json
import os
import pathlib
import subprocess
import tarfile
from typing import Any

import flask.testing
import pytest

from tests.integration import sample_data

pytestmark = pytest.mark.judge

Client = flask.testing.FlaskClient
ROOT = pathlib.Path(__file__).parents[3]
PYTHON = ROOT / ".venv-mlflow" / "bin" / "python"
LOAD = """
import importlib.util, json, sys
import mlflow.pyfunc, pandas as pd

assert importlib.util.find_spec("shared") is None, "Millrace is not here"
found = {}
for folder, rows in json.loads(sys.argv[1]).items():
    model = mlflow.pyfunc.load_model(folder)
    frame = pd.DataFrame(rows)
    predicted = model.predict(frame)
    whole = model.predict(frame, params={"output": "all"})
    # What an example says must be something that the model takes.
    with open(f"{folder}/input_example.json") as file:
        assert len(model.predict(pd.DataFrame(**json.load(file)))) == 1
    found[folder] = {"prediction": predicted.tolist(), "all": whole.to_dict("records")}
    print(json.dumps(model.metadata.signature.to_dict()), file=sys.stderr)
print(json.dumps(found, default=str))
"""
REFUSE = """
import json, sys
import mlflow.pyfunc, numpy as np, pandas as pd
from mlflow.pyfunc.scoring_server import infer_and_parse_data

model = mlflow.pyfunc.load_model(sys.argv[1])
rows = pd.DataFrame(json.loads(sys.argv[2]))
rows["when"] = pd.to_datetime(rows["when"])
schema = model.metadata.get_input_schema()


def serve(body):
    \"\"\"Predict the body of a request, as MLflow's server reads it.\"\"\"
    parsed = infer_and_parse_data(body, schema=schema)
    return model.predict(parsed[0] if isinstance(parsed, tuple) else parsed)


def split(frame, **options):
    return {"dataframe_split": json.loads(frame.to_json(orient="split", index=False, **options))}


wanted = model.predict(rows)
found = {}
cases = {
    "times as to_json writes them": lambda: serve(split(rows)),
    "times in ISO": lambda: serve(split(rows, date_format="iso")),
    "milliseconds in a frame": lambda: model.predict(rows.assign(when=rows["when"].astype("int64") // 10**6)),
    "codes as numbers": lambda: model.predict(rows.assign(code=1)),
    "codes as numbers in JSON": lambda: serve(split(rows.assign(code=1), date_format="iso")),
    "codes as inputs": lambda: serve(
        {"inputs": {"when": ["2026-01-01"], "code": [1], "size": [1]}}
    ),
    "mixed codes": lambda: model.predict(rows.assign(code=["A", *[2] * (len(rows) - 1)])),
    "an output of another name": lambda: model.predict(rows, params={"output": "al"}),
    "a missing column": lambda: model.predict(rows.drop(columns="code")),
}
for name, case in cases.items():
    try:
        found[name] = bool((np.asarray(case()) == wanted).all())
    except Exception as error:
        found[name] = str(error)
print(json.dumps(found))
"""
DATES = b"when,size,is_big,price\n" + b"".join(
    b"2026-%02d-%02dT%02d:00:00Z,%d,%s,%.2f\n"
    % (i % 12 + 1, i % 28 + 1, i % 24, i % 7, b"true" if i % 3 else b"false", 10 + (i % 12) * 3.25 + i % 7)
    for i in range(90)
)
RECIPE = {
    "steps": [
        {"op": "date_parts", "columns": ["when"], "parts": ["month", "hour"]},
        {"op": "log1p", "columns": ["size"]},
    ]
}


@pytest.fixture
def python() -> pathlib.Path:
    """The Python that has MLflow and not Millrace."""
    if not PYTHON.exists():
        pytest.skip("there is no .venv-mlflow; `make mlflow-env` makes it")
    return PYTHON


def unpacked(client: Client, model: str, folder: pathlib.Path) -> str:
    """Export a model's first version, and unpack it."""
    sample_data.done(client, client.post(f"/v1/models/{model}/versions/1/exports", json={"format": "mlflow"}))
    data = client.get(f"/v1/models/{model}/versions/1/export?format=mlflow").data
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(folder, filter="data")
    return str(folder / f"{model}-1")


def predicted(client: Client, model: str, dataset: str) -> list[dict[str, Any]]:
    """Predict a dataset here, and give its rows."""
    order = {"model": f"{model}@1", "dataset": dataset, "name": f"{model}-said"}
    sample_data.done(client, client.post("/v1/predictions", json=order))
    rows: list[dict[str, Any]] = client.get(f"/v1/datasets/{model}-said/versions/1/rows?limit=500").get_json()["rows"]
    return rows


def test_mlflow_loads_an_export_and_predicts_the_same(
    populated: Client, tmp_path: pathlib.Path, python: pathlib.Path
) -> None:
    sample_data.load(populated, "sales", DATES)
    order = {
        "dataset": "sales@1",
        "target": "price",
        "problem": "regression",
        "estimator": {"name": "Ridge", "params": {}},
        "recipe": RECIPE,
    }
    sample_data.done(populated, populated.post("/v1/models/prices", json=order))
    wanted = {
        unpacked(populated, "greatness", tmp_path): predicted(populated, "greatness", "things@1"),
        unpacked(populated, "prices", tmp_path): predicted(populated, "prices", "sales@1"),
    }
    made = ("prediction", "probability_no", "probability_yes")
    given = {
        folder: [{name: value for name, value in row.items() if name not in made} for row in rows]
        for folder, rows in wanted.items()
    }
    found = run(python, given, home=tmp_path)
    for folder, rows in wanted.items():
        # To the last bit but one or two: BLAS sums in another order where rows lie elsewhere in memory.
        assert found[folder]["prediction"] == [near(row["prediction"]) for row in rows]
        assert found[folder]["all"] == [{name: near(row[name]) for name in made if name in row} for row in rows]


def test_mlflow_is_told_of_what_millrace_would_not_take_either(
    populated: Client, tmp_path: pathlib.Path, python: pathlib.Path
) -> None:
    codes = ("1", "2", "A")
    coded = [
        f"2026-01-{i % 28 + 1:02d}T{i % 24:02d}:00:00Z,{codes[i % 3]},{i % 7},{'hi' if i % 24 >= 12 else 'lo'}"
        for i in range(120)
    ]
    sample_data.load(populated, "codes", "\n".join(["when,code,size,y", *coded]).encode())
    steps = [
        {"op": "date_parts", "columns": ["when"], "parts": ["hour", "year"]},
        {"op": "one_hot", "columns": ["code"]},
    ]
    order = {
        "dataset": "codes@1",
        "target": "y",
        "problem": "classification",
        "estimator": {"name": "DecisionTreeClassifier", "params": {}},
        "recipe": {"steps": steps},
    }
    sample_data.done(populated, populated.post("/v1/models/coded", json=order))
    parts = [line.split(",") for line in coded[:24]]
    rows = [{"when": when, "code": code, "size": int(size)} for when, code, size, _ in parts]
    folder = unpacked(populated, "coded", tmp_path)
    found = json.loads(execute(python, REFUSE, folder, json.dumps(rows), home=tmp_path))
    assert found.pop("times in ISO") is True
    assert "of type timestamp in training, but holds 17" in found.pop("times as to_json writes them")
    assert "of type timestamp in training, but holds 17" in found.pop("milliseconds in a frame")
    assert "'output' is 'al'" in found.pop("an output of another name")
    assert "missing inputs ['code']" in found.pop("a missing column")
    for case, message in found.items():
        assert "'code' was of type string in training, but holds" in message, case


def near(value: Any) -> Any:
    """Return what compares equal to a value; for a number, up to its last digits."""
    return pytest.approx(value, rel=1e-14) if isinstance(value, float) else value


def run(python: pathlib.Path, given: dict[str, Any], *, home: pathlib.Path) -> dict[str, Any]:
    """Load and predict in a process that knows nothing of this one."""
    found: dict[str, Any] = json.loads(execute(python, LOAD, json.dumps(given), home=home).splitlines()[-1])
    return found


def execute(python: pathlib.Path, script: str, *arguments: str, home: pathlib.Path) -> str:
    """Run a script in a process that knows nothing of this one, and return its output."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [python, "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=home,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
