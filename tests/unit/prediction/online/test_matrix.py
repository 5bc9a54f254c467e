"""Every kind of column, with and without missing values, predicts the same to the last bit in every form."""

import asyncio
import csv
import io
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import orjson
import pytest

from shared import errors
from tests.integration import sample_data
from tests.unit.prediction.online.conftest import Stage
from workers.prediction.online.faces.mlflow import Mlflow
from workers.prediction.online.faces.native import Native
from workers.prediction.online.faces.open_inference import OpenInference
from workers.prediction.online.messages import Request, Response
from workers.prediction.online.plane import Plane

Columns = dict[str, list[Any]]
ROWS = 12
KINDS = {
    "count": "INT64",
    "size": "FP64",
    "flag": "BOOL",
    "review": "BYTES",
    "word": "BYTES",
    "day": "BYTES",
    "moment": "BYTES",
}
MISSING: dict[str, Callable[[int], bool]] = {
    "none": lambda row: False,
    "mixed": lambda row: row % 3 == 1,
    "all": lambda row: True,
}
STEPS = [
    {"op": "date_parts", "columns": ["day", "moment"]},
    {"op": "impute", "columns": "numeric", "strategy": "median"},
    {"op": "one_hot", "columns": ["word"]},
    {"op": "text_hash", "columns": ["review"], "features": 16},
]


def make_columns(*, rows: int, seed: int) -> Columns:
    """Make rows, whose reviews are more than a signature lists, and so a text and no category."""
    dice = random.Random(seed)
    return {
        "count": [dice.randrange(-5, 50) for _ in range(rows)],
        "size": [dice.uniform(-1e3, 1e3) for _ in range(rows)],
        "flag": [dice.random() < 0.5 for _ in range(rows)],
        "review": [f"good {dice.randrange(10**6)} and ä☃ {dice.choice('xyz')}" for _ in range(rows)],
        "word": [dice.choice(["red", "green", "bluish", "007", "ä☃"]) for _ in range(rows)],
        "day": [f"2025-{dice.randrange(1, 13):02}-{dice.randrange(1, 29):02}" for _ in range(rows)],
        "moment": [f"2025-03-{dice.randrange(1, 29):02}T{dice.randrange(24):02}:15:30.250000Z" for _ in range(rows)],
    }


def to_rows(columns: Columns) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def to_csv(columns: Columns) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(columns)
    for row in zip(*columns.values(), strict=True):
        writer.writerow([f"{value}".lower() if isinstance(value, bool) else value for value in row])
    return file.getvalue().encode()


@pytest.fixture(scope="module")
def faces(whole_stage: Stage) -> Iterator[dict[str, Any]]:
    """Yield the faces of a copy that serves a model of all kinds of columns."""
    client = whole_stage.client
    columns, dice = make_columns(rows=150, seed=3), random.Random(4)
    # Each is missing somewhere, so that the model may meet that.
    columns = {name: [None if dice.random() < 0.1 else value for value in values] for name, values in columns.items()}
    columns["target"] = [dice.uniform(0, 1) + (count or 0) for count in columns["count"]]
    sample_data.load(client, "matrix", to_csv(columns))
    order = {
        "dataset": "matrix@1",
        "target": "target",
        "problem": "regression",
        "recipe": {"steps": STEPS},
        "estimator": {"name": "HistGradientBoostingRegressor", "params": {"min_samples_leaf": 2}},
        "validation": {"method": "hold_out", "test_fraction": 0.3, "seed": 1},
    }
    sample_data.done(client, client.post("/v1/models/matrix", json=order))
    whole_stage.deploy(("matrix@1", 1), name="matrix")
    # ONNX can't have this recipe, and other tests do what waits to be exported.
    queued = client.get("/v1/jobs?kind=training.export&state=queued").get_json()["jobs"]
    [export] = [job for job in queued if job["params"]["model"] == "matrix@1"]
    client.post(f"/v1/jobs/{export['id']}/cancel")
    serving, _ = whole_stage.copy(by_library=True)
    plane = Plane()
    yield {"v1": Native(serving, plane), "v2": OpenInference(serving, plane), "mlflow": Mlflow(serving, plane)}
    plane.close()


def ask(faces: dict[str, Any], path: str, body: bytes, **headers: str) -> Response:
    parts = tuple(path.split("/"))
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer: Response = asyncio.run(faces[parts[0]].answer(Request("POST", parts, named, body, "default")))
    return answer


def by_native(faces: dict[str, Any], columns: Columns) -> list[Any]:
    body = orjson.dumps({"instances": to_rows(columns)})
    rows = orjson.loads(ask(faces, "v1/deployments/matrix/predictions", body).body)["predictions"]
    return [row["prediction"] for row in rows]


def by_tensors(faces: dict[str, Any], columns: Columns, *, nested: bool) -> list[Any]:
    inputs = [
        {
            "name": name,
            "datatype": KINDS[name],
            "shape": [ROWS, 1] if nested else [ROWS],
            "data": [[value] for value in values] if nested else values,
        }
        for name, values in columns.items()
    ]
    answer = orjson.loads(ask(faces, "v2/models/matrix/infer", orjson.dumps({"inputs": inputs})).body)
    return list(answer["outputs"][0]["data"])


def to_bytes(datatype: str, values: list[Any]) -> bytes:
    """Write what is there; only numbers with a fraction have a form for what is missing."""
    if datatype == "BYTES":
        texts = [value.encode() for value in values if value is not None]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    if datatype == "FP64":
        return np.array([np.nan if value is None else value for value in values], dtype="<f8").tobytes()
    dtype = {"INT64": "<i8", "BOOL": "?"}[datatype]
    return np.array([value for value in values if value is not None], dtype=dtype).tobytes()


def by_binary(faces: dict[str, Any], columns: Columns) -> list[Any]:
    inputs, blobs = [], []
    for name, values in columns.items():
        blobs.append(to_bytes(KINDS[name], values))
        parameters = {"binary_data_size": len(blobs[-1])}
        inputs.append({"name": name, "datatype": KINDS[name], "shape": [ROWS], "parameters": parameters})
    head = orjson.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}})
    body = b"".join([head, *blobs])
    answer = ask(faces, "v2/models/matrix/infer", body, inference_header_content_length=f"{len(head)}")
    length = int(dict(answer.headers)["Inference-Header-Content-Length"])
    found: list[Any] = np.frombuffer(answer.body[length:], dtype="<f8").tolist()
    return found


def by_mlflow(faces: dict[str, Any], body: bytes, content_type: str = "application/json") -> list[Any]:
    answer = ask(faces, "mlflow/matrix/invocations", body, content_type=content_type)
    return list(orjson.loads(answer.body)["predictions"])


FORMS: dict[str, Callable[[dict[str, Any], Columns], list[Any]]] = {
    "flat": lambda faces, columns: by_tensors(faces, columns, nested=False),
    "nested": lambda faces, columns: by_tensors(faces, columns, nested=True),
    "binary": by_binary,
    "dataframe_split": lambda faces, columns: by_mlflow(
        faces,
        orjson.dumps(
            {"dataframe_split": {"columns": list(columns), "data": [list(row.values()) for row in to_rows(columns)]}}
        ),
    ),
    "dataframe_records": lambda faces, columns: by_mlflow(faces, orjson.dumps({"dataframe_records": to_rows(columns)})),
    "instances": lambda faces, columns: by_mlflow(faces, orjson.dumps({"instances": to_rows(columns)})),
    "inputs": lambda faces, columns: by_mlflow(faces, orjson.dumps({"inputs": columns})),
    "csv": lambda faces, columns: by_mlflow(faces, to_csv(columns), "text/csv"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("missing", MISSING)
@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_column_predicts_the_same_in_a_form(
    faces: dict[str, Any], kind: str, missing: str, form: str
) -> None:
    columns = make_columns(rows=ROWS, seed=8)
    columns[kind] = [None if MISSING[missing](row) else value for row, value in enumerate(columns[kind])]
    if form == "binary" and missing != "none" and KINDS[kind] != "FP64":
        with pytest.raises(errors.BadDataError, match=rf"the input '{kind}' .*(bytes|texts)"):
            FORMS[form](faces, columns)
        return
    expected = by_native(faces, columns)
    assert len(expected) == ROWS
    assert FORMS[form](faces, columns) == expected


def test_what_is_missing_changes_predictions(faces: dict[str, Any]) -> None:
    """Else the cells above would hold for a server that reads no values at all."""
    whole = make_columns(rows=ROWS, seed=8)
    base = by_native(faces, whole)
    changed = [kind for kind in KINDS if by_native(faces, {**whole, kind: [None] * ROWS}) != base]
    assert "count" in changed
    assert len(changed) >= 3
