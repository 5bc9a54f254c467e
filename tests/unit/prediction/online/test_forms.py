"""A row gives the same prediction, to the last bit, in each form in which it can be sent, and as a row of a batch."""

import asyncio
import csv
import io
import random
import struct
from collections.abc import Callable
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

COLUMNS = {
    "count": "INT64", "size": "FP64", "flag": "BOOL", "word": "BYTES", "day": "BYTES", "moment": "BYTES",
}  # fmt: skip
ROWS = 60
Row = dict[str, Any]


def make_rows(*, missing: float) -> list[Row]:
    dice = random.Random(5)
    rows = []
    for _ in range(ROWS):
        row = {
            "count": dice.randrange(-5, 50),
            "size": dice.uniform(-1e3, 1e3),
            "flag": dice.random() < 0.5,
            "word": dice.choice(["red", "green", "bluish", "007", "ä☃"]),
            "day": f"2025-{dice.randrange(1, 13):02}-{dice.randrange(1, 29):02}",
            "moment": f"2025-03-{dice.randrange(1, 29):02}T{dice.randrange(24):02}:15:30.250000Z",
        }
        rows.append({name: None if dice.random() < missing else value for name, value in row.items()})
    return rows


def to_csv(rows: list[Row]) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(rows[0])
    for row in rows:
        writer.writerow([f"{value}".lower() if isinstance(value, bool) else value for value in row.values()])
    return file.getvalue().encode()


@pytest.fixture(scope="module")
def mixed(whole_stage: Stage) -> Stage:
    """Train a model on columns of every type."""
    client, dice = whole_stage.client, random.Random(6)
    rows = [{**row, "target": dice.uniform(0, 1) + (row["count"] or 0)} for row in make_rows(missing=0.1)]
    sample_data.load(client, "kinds", to_csv(rows))
    steps = [
        {"op": "date_parts", "columns": ["day", "moment"]},
        {"op": "impute", "columns": "numeric", "strategy": "median"},
        {"op": "one_hot", "columns": ["word"]},
    ]
    order = {
        "dataset": "kinds@1",
        "target": "target",
        "problem": "regression",
        "recipe": {"steps": steps},
        "estimator": {"name": "HistGradientBoostingRegressor", "params": {"min_samples_leaf": 2}},
        "validation": {"method": "hold_out", "test_fraction": 0.3, "seed": 1},
    }
    sample_data.done(client, client.post("/v1/models/mixed", json=order))
    return whole_stage


def columns_of(rows: list[Row]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in COLUMNS}


def tensors(rows: list[Row], *, shape: list[int], nested: bool) -> bytes:
    inputs = []
    for name, datatype in COLUMNS.items():
        data = [[row[name]] if nested else row[name] for row in rows]
        inputs.append({"name": name, "datatype": datatype, "shape": shape, "data": data})
    return orjson.dumps({"inputs": inputs})


def binary(rows: list[Row]) -> tuple[bytes, int]:
    inputs, blobs = [], []
    for name, datatype in COLUMNS.items():
        values = [row[name] for row in rows]
        if datatype == "BYTES":
            texts = [value.encode() for value in values]
            blobs.append(b"".join(struct.pack("<I", len(text)) + text for text in texts))
        else:
            dtype = {"INT64": "<i8", "FP64": "<f8", "BOOL": "?"}[datatype]
            blobs.append(np.array([np.nan if value is None else value for value in values], dtype=dtype).tobytes())
        parameters = {"binary_data_size": len(blobs[-1])}
        inputs.append({"name": name, "datatype": datatype, "shape": [len(rows)], "parameters": parameters})
    head = orjson.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}})
    return b"".join([head, *blobs]), len(head)


def ask(stage: Stage, path: str, body: bytes, **headers: str) -> Response:
    serving, _ = stage.copy(by_library=True)

    async def within() -> Response:
        plane = Plane()
        faces = {"v1": Native, "v2": OpenInference, "mlflow": Mlflow}
        parts = tuple(path.strip("/").split("/"))
        request = Request("POST", parts, {k.replace("_", "-"): v for k, v in headers.items()}, body, "default")
        face: Any = faces[parts[0]](serving, plane)
        try:
            answer: Response = await face.answer(request)
            return answer
        finally:
            plane.close()

    return asyncio.run(within())


def by_native(stage: Stage, rows: list[Row]) -> list[Any]:
    answer = ask(stage, "/v1/deployments/mixed/predictions", orjson.dumps({"instances": rows}))
    return [each["prediction"] for each in orjson.loads(answer.body)["predictions"]]


def by_v2(body: bytes) -> Callable[[Stage], list[Any]]:
    def asked(stage: Stage) -> list[Any]:
        [output] = orjson.loads(ask(stage, "/v2/models/mixed/infer", body).body)["outputs"]
        assert (output["name"], output["datatype"]) == ("prediction", "FP64")
        return list(output["data"])

    return asked


def by_binary(stage: Stage, rows: list[Row]) -> list[Any]:
    body, length = binary(rows)
    answer = ask(stage, "/v2/models/mixed/infer", body, inference_header_content_length=str(length))
    head = dict(answer.headers)["Inference-Header-Content-Length"]
    values: list[Any] = np.frombuffer(answer.body[int(head) :], dtype="<f8").tolist()
    return values


def by_mlflow(stage: Stage, body: bytes, content_type: str = "application/json") -> list[Any]:
    answer = ask(stage, "/mlflow/mixed/invocations", body, content_type=content_type)
    return list(orjson.loads(answer.body)["predictions"])


@pytest.mark.parametrize("missing", [0.0, 0.3, 1.0])
def test_every_form_gives_the_predictions_of_a_batch(mixed: Stage, stage: Stage, missing: float) -> None:
    stage.deploy(("mixed@1", 1), name="mixed")
    rows = make_rows(missing=missing)
    split = {"columns": list(COLUMNS), "data": [list(row.values()) for row in rows], "index": list(range(ROWS))}
    answers = {
        "instances": by_native(stage, rows),
        "flat": by_v2(tensors(rows, shape=[ROWS], nested=False))(stage),
        "nested": by_v2(tensors(rows, shape=[ROWS, 1], nested=True))(stage),
        "split": by_mlflow(stage, orjson.dumps({"dataframe_split": split})),
        "records": by_mlflow(stage, orjson.dumps({"dataframe_records": rows})),
        "mlflow instances": by_mlflow(stage, orjson.dumps({"instances": rows})),
        "inputs": by_mlflow(stage, orjson.dumps({"inputs": columns_of(rows)})),
        "csv": by_mlflow(stage, to_csv(rows), "text/csv"),
    }
    if not missing:
        answers["binary"] = by_binary(stage, rows)
    expected = answers["instances"]
    if missing < 1:
        # A column without any value has no type in a CSV, so there is no such batch.
        name = f"kinds-{int(missing * 100)}"
        sample_data.load(mixed.client, name, to_csv(rows))
        order = {"model": "mixed@1", "dataset": f"{name}@1", "name": f"{name}-predicted"}
        sample_data.done(mixed.client, mixed.client.post("/v1/predictions", json=order))
        page = mixed.client.get(f"/v1/datasets/{name}-predicted/versions/1/rows?limit={ROWS}").get_json()
        expected = [row["prediction"] for row in page["rows"]]
    assert len(expected) == ROWS
    assert {form: values == expected for form, values in answers.items()} == dict.fromkeys(answers, True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": [1]}, "its shape says 2"),
        ({"shape": [3]}, "its shape says 3"),
        ({"shape": [2**62]}, "usable shape"),
        ({"shape": [1] * 9}, "usable shape"),
        ({"datatype": []}, "datatype"),
        ({"data": [[[[[[1]]]]], {}]}, "an object"),
        ({"shape": [-1]}, "shape"),
        ({"shape": []}, "shape"),
        ({"shape": [1 << 40]}, "usable shape"),
        ({"shape": [40_000_000, 2]}, "at most"),
        ({"datatype": "FP128"}, "datatype"),
        ({"datatype": "INT8", "data": [1, 300]}, "'300'"),
        ({"data": [1, "x"]}, "'x'"),
        ({"data": [1, [2, [3]]]}, "3 values"),
        ({"data": None}, "no list"),
        ({"name": ""}, "no `name`"),
        ({"shape": [2, 1, 1]}, "one input of the shape"),
        ({"parameters": {"binary_data_size": 5}}, "bytes that follow"),
        ({"parameters": {"binary_data_size": -1}}, "binary_data_size"),
    ],
)
def test_a_false_tensor_is_refused_with_its_reason(stage: Stage, change: dict[str, Any], words: str) -> None:
    stage.deploy(("greatness@1", 1), name="mixed")
    tensor = {"name": "a", "datatype": "FP64", "shape": [2], "data": [1, 2], **change}
    others = [
        {"name": "b", "datatype": "FP64", "shape": [2], "data": [1, 2]},
        {"name": "word", "datatype": "BYTES", "shape": [2], "data": ["red", "red"]},
    ]
    with pytest.raises(errors.BadDataError) as refused:
        ask(stage, "/v2/models/mixed/infer", orjson.dumps({"inputs": [tensor, *others]}))
    assert words in refused.value.message


@pytest.mark.parametrize("form", ["dataframe_split", "dataframe_records", "instances", "inputs"])
@pytest.mark.parametrize(
    "value", [None, [], {}, 3, "x", [[]], [1, 2], {"a": []}, {"columns": ["a", "a"], "data": [[1, 2]]}]
)
def test_what_is_no_table_is_refused(stage: Stage, form: str, value: Any) -> None:
    stage.deploy(("greatness@1", 1), name="mixed")
    with pytest.raises((errors.InvalidRequestError, errors.BadDataError)):
        ask(stage, "/mlflow/mixed/invocations", orjson.dumps({form: value}))


def test_rows_that_share_no_column_are_refused_before_they_take_memory(stage: Stage) -> None:
    stage.deploy(("greatness@1", 1), name="mixed")
    rows = [{f"k{number}": 1} for number in range(6000)]
    with pytest.raises(errors.BadDataError, match="different columns together"):
        ask(stage, "/v1/deployments/mixed/predictions", orjson.dumps({"instances": rows}))


def test_an_output_is_given_once(stage: Stage) -> None:
    stage.deploy(("greatness@1", 1), name="mixed")
    inputs = [
        {"name": "a", "datatype": "FP64", "shape": [1], "data": [0.1]},
        {"name": "b", "datatype": "FP64", "shape": [1], "data": [1]},
        {"name": "word", "datatype": "BYTES", "shape": [1], "data": ["red"]},
    ]
    body = orjson.dumps({"inputs": inputs, "outputs": [{"name": "predict"}] * 2})
    with pytest.raises(errors.BadDataError, match="twice"):
        ask(stage, "/v2/models/mixed/infer", body)


def test_wanted_outputs_are_given_in_their_order(stage: Stage) -> None:
    stage.deploy(("greatness@1", 1), name="mixed")
    inputs = [
        {"name": "a", "datatype": "FP32", "shape": [2], "data": [0.1, None]},
        {"name": "b", "datatype": "FP64", "shape": [2], "data": [1, 2]},
        {"name": "word", "datatype": "BYTES", "shape": [2], "data": ["red", None]},
    ]
    wanted = [{"name": "predict_proba"}, {"name": "predict"}]
    body = orjson.dumps({"id": "mine", "inputs": inputs, "outputs": wanted})
    document = orjson.loads(ask(stage, "/v2/models/mixed/infer", body).body)
    assert (document["id"], document["model_version"]) == ("mine", "1")
    assert [(each["name"], each["shape"]) for each in document["outputs"]] == [
        ("predict_proba", [2, 2]),
        ("predict", [2]),
    ]
    with pytest.raises(errors.BadDataError, match="no output 'score'; these are: prediction"):
        ask(stage, "/v2/models/mixed/infer", orjson.dumps({"inputs": inputs, "outputs": [{"name": "score"}]}))
