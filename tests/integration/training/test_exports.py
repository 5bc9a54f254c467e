"""Models leave in forms that other programs load, and answer there as they do here."""

import hashlib
import io
import pathlib
import tarfile
from typing import Any

import flask
import flask.testing
import numpy as np
import onnxruntime
import pytest
import sqlalchemy as sa
from skops import io as skops_io

from shared.training import tables
from tests.integration import sample_data, steps, worker
from tests.integration.steps import parts_of, problem_of

Client = flask.testing.FlaskClient
EXPORTS = "/v1/models/greatness/versions/1/exports"
EXPORT = "/v1/models/greatness/versions/1/export"
AT_ONCE = {"Prefer": "wait=0"}


def exported(client: Client, form: str) -> bytes:
    """Make an export by the job, and fetch it."""
    sample_data.done(client, client.post(EXPORTS, json={"format": form}))
    response = client.get(f"{EXPORT}?format={form}")
    assert response.status_code == 200, response.text
    data: bytes = response.data
    return data


def rows_of(client: Client, dataset: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = client.get(f"/v1/datasets/{dataset}/versions/1/rows?limit=500").get_json()["rows"]
    return rows


def test_an_onnx_export_gives_the_labels_and_probabilities_of_a_batch_prediction(populated: Client) -> None:
    session = onnxruntime.InferenceSession(exported(populated, "onnx"), providers=["CPUExecutionProvider"])
    rows = rows_of(populated, "guesses")
    types = {"tensor(string)": object, "tensor(float)": np.float32}
    fed = {
        given.name: np.array([[row[given.name]] for row in rows], dtype=types[given.type])
        for given in session.get_inputs()
    }
    label, probabilities = session.run(["label", "probabilities"], fed)
    assert label.tolist() == [row["prediction"] for row in rows]
    wanted = [[row["probability_no"], row["probability_yes"]] for row in rows]
    np.testing.assert_allclose(probabilities, wanted, atol=1e-6)


def test_an_export_tells_its_parity_with_scikit_learn(populated: Client) -> None:
    exported(populated, "onnx")
    [listed] = populated.get(EXPORTS).get_json()["exports"]
    parity = listed["details"]["parity"]
    assert parity["label_mismatches"] == 0
    assert 0 < parity["greatest_difference"] < 1e-5
    assert parity["rows"] > 120, "missing values and unseen words are compared too"
    assert {given["name"]: given["datatype"] for given in listed["details"]["inputs"]} == {
        "a": "float32",
        "b": "float32",
        "word": "string",
    }


def test_a_skops_export_is_the_artifact_and_needs_no_job(populated: Client) -> None:
    response = populated.get(EXPORT)
    version = populated.get("/v1/models/greatness/versions/1").get_json()
    assert response.status_code == 200
    assert response.headers["ETag"] == f'"{version["sha256"]}"'
    assert exported(populated, "skops") == response.data


def test_fetching_an_export_that_is_not_there_makes_it(populated: Client) -> None:
    first = populated.get(f"{EXPORT}?format=mlflow", headers=AT_ONCE)
    assert first.status_code == 202
    again = populated.get(f"{EXPORT}?format=mlflow", headers=AT_ONCE)
    assert again.status_code == 202
    assert again.get_json()["id"] == first.get_json()["id"], "there is one job for each version and form"
    assert worker.perform(first.get_json()) is None
    fetched = populated.get(f"{EXPORT}?format=mlflow")
    assert fetched.status_code == 200
    assert fetched.headers["Content-Disposition"] == 'attachment; filename="greatness-1.tar.gz"'


def test_a_key_that_may_only_read_fetches_exports_but_has_none_made(
    populated_app: flask.Flask, populated: Client, keyring: dict[str, str]
) -> None:
    reader, writer = (steps.client_of(populated_app, keyring[holder]) for holder in ("reader", "writer"))
    assert reader.get(EXPORT).status_code == 200, "the artifact itself needs no job"
    problem = problem_of(reader.get(f"{EXPORT}?format=mlflow", headers=AT_ONCE), 403)
    assert "needs a key with the scope 'write'" in problem["detail"]
    assert populated.get("/v1/jobs?kind=training.export").get_json()["jobs"] == []
    under_way = writer.get(f"{EXPORT}?format=mlflow", headers=AT_ONCE)
    assert under_way.status_code == 202
    assert reader.get(f"{EXPORT}?format=mlflow", headers=AT_ONCE).get_json()["id"] == under_way.get_json()["id"]
    assert worker.perform(under_way.get_json()) is None
    assert reader.get(f"{EXPORT}?format=mlflow").status_code == 200


def test_an_export_is_made_once(populated: Client) -> None:
    first = sample_data.done(populated, populated.post(EXPORTS, json={"format": "mlflow"}))
    second = sample_data.done(populated, populated.post(EXPORTS, json={"format": "mlflow"}))
    assert first["id"] != second["id"]
    assert first["result"] == second["result"]
    [listed] = populated.get(EXPORTS).get_json()["exports"]
    assert listed["job_id"] == first["id"]


def test_an_export_that_has_failed_says_why_and_is_tried_again_when_asked_to(populated: Client) -> None:
    failed = populated.post(EXPORTS, json={"format": "onnx"}).get_json()
    assert worker.perform(failed, body=worker.fail) == "ValueError"
    problem = problem_of(populated.get(f"{EXPORT}?format=onnx", headers=AT_ONCE), 409)
    assert "the data is bad" in problem["detail"]
    assert failed["id"] in problem["detail"]
    problem = problem_of(populated.get(f"{EXPORT}?format=onnx", headers={"Prefer": "wait=0; fail=true"}), 424)
    assert problem["job"]["id"] == failed["id"]
    exported(populated, "onnx")


def test_a_model_that_onnx_can_not_say_is_refused_by_name(populated: Client) -> None:
    order = {**sample_data.TRAINING, "estimator": {"name": "DummyClassifier", "params": {}}}
    sample_data.done(populated, populated.post("/v1/models/odd", json=order))
    job = populated.post("/v1/models/odd/versions/1/exports", json={"format": "onnx"}).get_json()
    assert worker.perform(job) == "BadModelError"
    problem = problem_of(populated.get("/v1/models/odd/versions/1/export?format=onnx"), 409)
    assert "DummyClassifier can't be exported to ONNX" in problem["detail"]
    assert populated.get("/v1/models/odd/versions/1/exports").get_json()["exports"] == []


@pytest.mark.parametrize("form", ["onnx", "mlflow"])
def test_an_artifact_that_is_not_ours_is_neither_loaded_nor_handed_out(
    populated_app: flask.Flask, populated: Client, tmp_path: pathlib.Path, form: str
) -> None:
    canary = tmp_path / "canary"
    foreign = skops_io.dumps({"m": canary.touch})
    parts = parts_of(populated_app)
    with parts.objects.write("default/training/forged/1/model.skops") as file:
        file.write(foreign)
    forged = {"key": "default/training/forged/1/model.skops", "sha256": hashlib.sha256(foreign).hexdigest()}
    with parts.databases["training"].transactions.begin() as connection:
        connection.execute(sa.update(tables.model_versions).values(**forged))
    assert worker.perform(populated.post(EXPORTS, json={"format": form}).get_json()) == "UnsafeArtifactError"
    assert populated.get(EXPORTS).get_json()["exports"] == []
    assert not canary.exists()


def test_an_onnx_model_without_its_training_data_is_refused(populated_app: flask.Flask, populated: Client) -> None:
    with parts_of(populated_app).databases["training"].transactions.begin() as connection:
        connection.execute(sa.update(tables.model_versions).values(job_id="training_imported"))
    job = populated.post(EXPORTS, json={"format": "onnx"}).get_json()
    assert worker.perform(job) == "PermanentError"
    assert "trained on is not known" in populated.get(f"/v1/jobs/{job['id']}").get_json()["error"]["message"]


def test_an_mlflow_export_holds_no_path_of_this_machine(populated: Client) -> None:
    with tarfile.open(fileobj=io.BytesIO(exported(populated, "mlflow"))) as archive:
        files = {entry.name: archive.extractfile(entry).read() for entry in archive}  # type: ignore[union-attr]
    assert {"greatness-1/MLmodel", "greatness-1/requirements.txt", "greatness-1/data/model.skops"} <= set(files)
    for name, content in files.items():
        for secret in (b"/tmp/", b"/home/", b"/work", b"MILLRACE_HOME"):
            assert secret not in content, name


@pytest.mark.parametrize("form", ["pickle", "", "ONNX"])
def test_a_form_that_is_none_is_refused(populated: Client, form: str) -> None:
    problem_of(populated.get(f"{EXPORT}?format={form}"), 422)
    problem_of(populated.post(EXPORTS, json={"format": form}), 422)


def test_a_version_that_is_not_there_has_no_export(populated: Client) -> None:
    problem_of(populated.get("/v1/models/greatness/versions/9/export?format=onnx"), 404)
    problem_of(populated.post("/v1/models/greatness/versions/9/exports", json={"format": "onnx"}), 404)
