"""Every route's happy path, in a home where every kind of job has been done."""

import io
from typing import Any

import flask.testing
import pyarrow.parquet
import pytest

from shared import kinds, roles
from tests.integration import sample_data
from tests.integration.steps import problem_of

Client = flask.testing.FlaskClient


def test_every_kind_of_job_is_described_with_its_schemas(client: Client) -> None:
    described = {kind["kind"]: kind for kind in client.get("/v1/kinds").get_json()["kinds"]}
    assert set(described) == set(kinds.public_by_name())
    assert described["training.fit"]["params"]["properties"]["seed"]["type"] == "integer"
    assert "model" in described["training.fit"]["result"]["properties"]


def test_services_tell_depth_and_wait_of_every_role(client: Client) -> None:
    client.post("/v1/jobs", json={"kind": "training.ping", "params": {}})
    services = {service["role"]: service for service in client.get("/v1/services").get_json()["services"]}
    assert set(services) == set(roles.ROLES)
    assert services["training"]["queue_depth"] == 1
    assert services["training"]["status"] == "no_workers"
    assert services["ingestion"]["queue_depth"] == 0


def test_the_process_lives_and_is_ready_and_is_measured(client: Client) -> None:
    client.get("/v1/jobs/training_01JD0000000000000000000000")
    assert client.get("/healthz").get_json() == {"status": "ok"}
    assert client.get("/readyz").get_json() == {"status": "ready", "not_ready": [], "reasons": {}}
    measured = client.get("/metrics").text
    assert "millrace_http_request_seconds_bucket" in measured
    assert 'route="/v1/jobs/<job_id>"' in measured
    assert "training_01JD" not in measured


def test_datasets_of_every_role_are_listed_by_name_and_paged(populated: Client) -> None:
    names = [item["name"] for item in populated.get("/v1/datasets").get_json()["items"]]
    assert names == ["guesses", "shape-data", "shaped", "things"]
    first = populated.get("/v1/datasets?limit=3").get_json()
    second = populated.get(f"/v1/datasets?limit=3&cursor={first['next_cursor']}").get_json()
    assert [item["name"] for item in first["items"] + second["items"]] == names
    assert second["next_cursor"] is None


def test_a_dataset_shows_its_versions_newest_first_and_pages(populated: Client) -> None:
    shown = populated.get("/v1/datasets/things").get_json()
    assert [version["version"] for version in shown["versions"]] == [2, 1]
    first = populated.get("/v1/datasets/things?limit=1").get_json()
    second = populated.get(f"/v1/datasets/things?limit=1&cursor={first['next_cursor']}").get_json()
    assert second["versions"][0]["version"] == 1
    assert second["next_cursor"] is None


def test_a_version_tells_its_schema_profile_and_lineage(populated: Client) -> None:
    version = populated.get("/v1/datasets/things/versions/2").get_json()
    types = {column["name"]: column["type"] for column in version["columns"]}
    assert types == {"a": "number", "b": "number", "word": "string", "great": "string"}
    assert (version["rows"], version["role"], len(version["profile"])) == (120, "ingestion", 4)
    assert version["lineage"]["source"]["type"] == "upload"
    assert len(version["sha256"]) == 64
    assert populated.get("/v1/datasets/guesses/versions/1").get_json()["role"] == "prediction"


def test_the_first_rows_are_those_that_were_sent(populated: Client) -> None:
    rows = populated.get("/v1/datasets/things/versions/1/rows?limit=3").get_json()["rows"]
    sent = [line.split(",") for line in sample_data.table().decode().splitlines()[1:4]]
    assert [[row["a"], row["word"], row["great"]] for row in rows] == [[float(a), w, g] for a, _b, w, g in sent]
    assert len(populated.get("/v1/datasets/things/versions/1/rows").get_json()["rows"]) == 20


def test_the_content_comes_as_csv_and_as_parquet(populated: Client) -> None:
    csv = populated.get("/v1/datasets/things/versions/1/content?format=csv")
    assert csv.content_type == "text/csv; charset=utf-8"
    assert 'filename="things-1.csv"' in csv.headers["Content-Disposition"]
    assert csv.text.replace('"', "") == sample_data.table().decode()
    parquet = populated.get("/v1/datasets/things/versions/1/content")
    assert parquet.content_type == "application/vnd.apache.parquet"
    assert parquet.content_length == len(parquet.data)
    assert pyarrow.parquet.read_table(io.BytesIO(parquet.data)).num_rows == 120


def test_a_deleted_version_is_gone_and_cannot_be_pinned_but_others_stay(populated: Client) -> None:
    assert populated.delete("/v1/datasets/things/versions/2").status_code == 204
    for path in ("", "/rows", "/content"):
        problem_of(populated.get(f"/v1/datasets/things/versions/2{path}"), 404)
    problem_of(populated.delete("/v1/datasets/things/versions/2"), 404)
    assert [one["version"] for one in populated.get("/v1/datasets/things").get_json()["versions"]] == [1]
    order = {**sample_data.TRAINING, "dataset": "things@2"}
    assert problem_of(populated.post("/v1/models/other", json=order), 422)["errors"][0]["pointer"] == "#/dataset"
    accepted = populated.post("/v1/models/other", json={**sample_data.TRAINING, "dataset": "things@latest"})
    assert accepted.status_code == 202


def test_a_job_that_pinned_a_version_before_it_was_deleted_can_still_be_done(populated: Client) -> None:
    accepted = populated.post("/v1/models/late", json=sample_data.TRAINING)
    populated.delete("/v1/datasets/things/versions/1")
    assert sample_data.done(populated, accepted)["result"]["model"]["version"] == 1


def test_a_version_number_is_never_given_twice(populated: Client) -> None:
    populated.delete("/v1/datasets/things/versions/2")
    assert sample_data.load(populated, "things")["result"]["dataset"]["version"] == 3


def test_a_feature_set_shows_its_recipe_and_columns(populated: Client) -> None:
    assert [item["name"] for item in populated.get("/v1/features").get_json()["items"]] == ["shape"]
    [version] = populated.get("/v1/features/shape").get_json()["versions"]
    assert version["columns"] == ["a", "b", "word_blue", "word_green", "word_red"]
    detail = populated.get("/v1/features/shape/versions/1").get_json()
    assert [step["op"] for step in detail["recipe"]["steps"]] == ["scale", "one_hot"]
    assert detail["lineage"]["dataset"] == "things@1"


def test_a_feature_set_can_be_applied_by_its_version(populated: Client) -> None:
    order = {"dataset": "things@2", "version": 1, "name": "again"}
    ended = sample_data.done(populated, populated.post("/v1/features/shape/apply", json=order))
    assert ended["params"]["features"] == "shape@1"
    assert ended["result"]["dataset"]["name"] == "again"


def test_a_model_can_be_trained_on_a_feature_set(populated: Client) -> None:
    order = {**sample_data.TRAINING, "features": "shape@latest"}
    del order["dataset"]
    ended = sample_data.done(populated, populated.post("/v1/models/shapely", json=order))
    assert ended["result"]["model"]["name"] == "shapely"


def test_a_model_shows_metrics_signature_and_lineage(populated: Client) -> None:
    assert [item["name"] for item in populated.get("/v1/models").get_json()["items"]] == ["greatness"]
    [version] = populated.get("/v1/models/greatness").get_json()["versions"]
    assert version["metrics"]["roc_auc"]["mean"] > 0.8
    assert version["aliases"] == []
    detail = populated.get("/v1/models/greatness/versions/1").get_json()
    assert detail["lineage"]["dataset"] == "things@1"
    assert "scikit-learn" in detail["libraries"]
    assert detail["signature"]


def test_an_alias_stands_for_a_version_and_can_be_pinned_and_moved(populated: Client) -> None:
    sample_data.done(populated, populated.post("/v1/models/greatness", json=sample_data.TRAINING))
    for version in (1, 2):
        put = populated.put("/v1/models/greatness/aliases/champion", json={"version": version})
        assert put.get_json()["version"] == version
        order = {"model": "greatness@champion", "dataset": "things@1"}
        ended = sample_data.done(populated, populated.post("/v1/evaluations", json=order))
        [newest, *_] = populated.get("/v1/evaluations").get_json()["evaluations"]
        assert (newest["job_id"], newest["model"]) == (ended["id"], f"greatness@{version}")
    aliases = {one["version"]: one["aliases"] for one in populated.get("/v1/models/greatness").get_json()["versions"]}
    assert aliases == {1: [], 2: ["champion"]}
    problem_of(populated.put("/v1/models/greatness/aliases/champion", json={"version": 9}), 404)


@pytest.mark.parametrize("alias", ["latest", "3", "007"])
def test_an_alias_that_means_something_else_is_refused(populated: Client, alias: str) -> None:
    detail = problem_of(populated.put(f"/v1/models/greatness/aliases/{alias}", json={"version": 1}), 422)["detail"]
    assert alias in detail


def test_a_model_is_exported_as_it_was_stored(populated: Client) -> None:
    detail = populated.get("/v1/models/greatness/versions/1").get_json()
    with populated.get("/v1/models/greatness/versions/1/export?format=skops") as response:
        assert response.status_code == 200
        assert len(response.data) == detail["bytes"]
        assert 'filename="greatness-1.skops"' in response.headers["Content-Disposition"]
    problem_of(populated.get("/v1/models/greatness/versions/1/export?format=pickle"), 422)


def test_an_evaluation_is_listed_and_shown(populated: Client) -> None:
    [evaluation] = populated.get("/v1/evaluations").get_json()["evaluations"]
    assert evaluation["model"] == "greatness@1"
    assert evaluation["metrics"]["roc_auc"] > 0.8
    shown = populated.get(f"/v1/evaluations/{evaluation['id']}").get_json()
    assert shown["details"]["roc"]
    assert shown == {**evaluation, "details": shown["details"], "baseline_details": None}
    problem_of(populated.get(f"/v1/evaluations/evaluation_{'0' * 26}"), 404)


def test_predictions_hold_the_rows_and_what_was_predicted(populated: Client) -> None:
    [row] = populated.get("/v1/datasets/guesses/versions/1/rows?limit=1").get_json()["rows"]
    assert set(row) == {"a", "b", "word", "great", "prediction", "probability_no", "probability_yes"}


@pytest.mark.parametrize(
    ("content_type", "data", "options"),
    [
        ("application/x-ndjson", b'{"a": 1}\n{"a": 2}\n', {}),
        ("application/json", b'[{"a": 1}, {"a": 2}]', {}),
        ("text/csv; charset=utf-8", b"a\n1\n2\n", {}),
        ("text/csv", b"a;b\n1;2\n3;4\n", {"query_string": {"delimiter": ";", "encoding": "utf-8"}}),
        ("text/csv", b"a\n1\n2\n", {"query_string": {"types": '{"a": "string"}'}}),
    ],
)
def test_every_format_of_upload_is_loaded(
    client: Client, content_type: str, data: bytes, options: dict[str, Any]
) -> None:
    sample_data.load(client, "small", data, content_type=content_type, **options)
    version = client.get("/v1/datasets/small/versions/1").get_json()
    assert version["rows"] == 2
    assert version["columns"][0]["type"] == ("string" if "types" in options.get("query_string", {}) else "integer")


def test_parquet_that_was_downloaded_can_be_uploaded_again(populated: Client) -> None:
    parquet = populated.get("/v1/datasets/things/versions/1/content").data
    sample_data.load(populated, "copy", parquet, content_type="application/vnd.apache.parquet")
    rows = populated.get("/v1/datasets/copy/versions/1/rows?limit=50").get_json()
    assert rows == populated.get("/v1/datasets/things/versions/1/rows?limit=50").get_json()


def test_an_upload_can_be_loaded_once_more_by_its_id(client: Client) -> None:
    first = sample_data.load(client, "small", b"a\n1\n", content_type="text/csv")
    source = first["params"]["source"]
    again = client.post("/v1/datasets/other", json={"source": source})
    assert sample_data.done(client, again)["result"]["dataset"]["name"] == "other"
