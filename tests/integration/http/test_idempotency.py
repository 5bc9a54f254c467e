"""Idempotency-Key: the same request with the same key is the same job, whatever happens between."""

import concurrent.futures
from typing import Any

import flask
import flask.testing
import pytest
import sqlalchemy as sa

from shared import database
from shared.jobs import tables
from tests.integration import sample_data, worker
from tests.integration.steps import client_of, parts_of, problem_of

Client = flask.testing.FlaskClient
PING = {"kind": "training.ping", "params": {}}
OTHER = {"kind": "training.ping", "params": {}, "tags": ["other"]}


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": f'"{key}"'}


def count(*, role: str = "training") -> int:
    with database.of_process()[role].statements.connect() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(tables.jobs)).scalar_one())


def test_the_same_request_gives_the_same_job_as_it_is_now(client: Client) -> None:
    first = client.post("/v1/jobs", json=PING, headers=keyed("k"))
    worker.perform(first.get_json())
    again = client.post("/v1/jobs", json=PING, headers=keyed("k"))
    assert (again.status_code, again.headers["Location"]) == (202, first.headers["Location"])
    assert again.get_json()["state"] == "succeeded"
    assert count() == 1


@pytest.mark.parametrize("other", [OTHER, {**PING, "priority": 1}, {**PING, "deadline_seconds": 9}])
def test_another_request_with_the_same_key_is_422(client: Client, other: dict[str, Any]) -> None:
    client.post("/v1/jobs", json=PING, headers=keyed("k"))
    document = problem_of(client.post("/v1/jobs", json=other, headers=keyed("k")), 422)
    assert document["type"] == "urn:millrace:problem:idempotency-mismatch"
    assert count() == 1


def test_a_request_means_the_same_however_it_is_written(client: Client) -> None:
    first = client.post(
        "/v1/jobs", data=b'{"kind":"training.ping","params":{}}', content_type="application/json", headers=keyed("k")
    )
    body = b' { "params" : {}, "priority": 0,\n "kind" : "training.\\u0070ing" } '
    again = client.post("/v1/jobs", data=body, content_type="application/json", headers=keyed("k"))
    assert again.get_json()["id"] == first.get_json()["id"]


def test_a_key_belongs_to_its_tenant_and_its_kind(app: flask.Flask, client: Client, keyring: dict[str, str]) -> None:
    made = {client.post("/v1/jobs", json=PING, headers=keyed("k")).get_json()["id"]}
    made.add(client_of(app, keyring["stranger"]).post("/v1/jobs", json=OTHER, headers=keyed("k")).get_json()["id"])
    made.add(client.post("/v1/jobs", json={**PING, "kind": "ingestion.ping"}, headers=keyed("k")).get_json()["id"])
    assert len(made) == 3


@pytest.mark.parametrize(
    "key", ['"k"', "k", '"with space"', r'"a\"b\\c"', '"' + "x" * 255 + '"', "x" * 255, '"#0"', "a,b", "0"]
)
def test_what_is_a_key_is_taken(client: Client, key: str) -> None:
    made = {client.post("/v1/jobs", json=PING, headers={"Idempotency-Key": key}).get_json()["id"] for _ in range(2)}
    assert len(made) == 1


@pytest.mark.parametrize(
    "key", ["", '""', '"', '"a', "with space", '"' + "x" * 256 + '"', '"é"', '"a"b"', '"\\x"', '"\x7f"']
)
def test_what_is_no_key_is_400_and_makes_no_job(client: Client, key: str) -> None:
    assert (
        "Idempotency-Key"
        in problem_of(client.post("/v1/jobs", json=PING, headers={"Idempotency-Key": key}), 400)["detail"]
    )
    assert count() == 0


def test_a_quoted_key_is_the_plain_one(client: Client) -> None:
    first = client.post("/v1/jobs", json=PING, headers={"Idempotency-Key": "k"}).get_json()["id"]
    assert client.post("/v1/jobs", json=PING, headers={"Idempotency-Key": '"k"'}).get_json()["id"] == first


def test_requests_at_once_with_one_key_make_one_job(app: flask.Flask, keyring: dict[str, str]) -> None:
    def ask(number: int) -> Any:
        # Half of them want the same, half of them another thing: whoever is first decides.
        body = PING if number % 2 else OTHER
        return number % 2, client_of(app, keyring["admin"]).post("/v1/jobs", json=body, headers=keyed("k"))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(16)))
    statuses = {(half, response.status_code) for half, response in answers}
    assert statuses in ({(0, 202), (1, 422)}, {(0, 422), (1, 202)})
    assert len({response.get_json()["id"] for _, response in answers if response.status_code == 202}) == 1
    assert count() == 1


def upload(client: Client, data: bytes, **options: Any) -> Any:
    return client.post("/v1/datasets/d", data=data, content_type="text/csv", headers=keyed("k"), **options)


def test_the_same_bytes_uploaded_again_are_the_same_job_and_kept_once(app: flask.Flask, client: Client) -> None:
    first = upload(client, b"a\n1\n")
    again = upload(client, b"a\n1\n")
    assert again.get_json()["id"] == first.get_json()["id"]
    uploads = parts_of(app).config.storage_path() / "default" / "uploads"
    assert [path.read_bytes() for path in uploads.iterdir()] == [b"a\n1\n"]
    assert sample_data.done(client, first)["result"]["dataset"]["version"] == 1


def test_other_bytes_or_options_under_the_same_key_are_422_and_not_kept(app: flask.Flask, client: Client) -> None:
    upload(client, b"a\n1\n")
    problem_of(upload(client, b"a\n2\n"), 422)
    problem_of(upload(client, b"a\n1\n", query_string={"types": '{"a": "string"}'}), 422)
    uploads = parts_of(app).config.storage_path() / "default" / "uploads"
    assert len(list(uploads.iterdir())) == 1
    assert count(role="ingestion") == 1


def batch(client: Client, jobs: list[dict[str, Any]], *, key: str = "k") -> Any:
    return client.post("/v1/jobs/batch", json={"jobs": jobs}, headers=keyed(key))


def test_the_same_batch_gives_the_same_jobs(client: Client) -> None:
    jobs = [PING, OTHER, {**PING, "kind": "ingestion.ping"}, PING]
    first, again = batch(client, jobs), batch(client, jobs)
    assert (first.status_code, again.status_code) == (202, 202)
    assert [job["id"] for job in first.get_json()["jobs"]] == [job["id"] for job in again.get_json()["jobs"]]
    assert (count(), count(role="ingestion")) == (3, 1)


@pytest.mark.parametrize(
    "jobs",
    [
        [PING],
        [PING, PING, PING],
        [PING, OTHER],
        [OTHER, PING],
        [OTHER, OTHER],
        [OTHER, OTHER, PING, PING],
        [PING, {**PING, "kind": "ingestion.ping"}],
        [{**PING, "kind": "ingestion.ping"}, PING],
    ],
)
def test_a_batch_that_differs_anyhow_under_the_same_key_is_422_and_leaves_nothing(
    client: Client, jobs: list[dict[str, Any]]
) -> None:
    batch(client, [PING, PING])
    problem_of(batch(client, jobs), 422)
    assert (count(), count(role="ingestion")) == (2, 0)


def test_no_key_of_a_single_job_is_one_of_a_batch(client: Client) -> None:
    batch(client, [PING, PING])
    for key in ("k#0", "k#1", "k0", "k"):
        assert client.post("/v1/jobs", json=OTHER, headers=keyed(key)).status_code == 202
    assert count() == 6


def test_batches_at_once_with_one_key_are_accepted_once_in_any_order_of_roles(
    app: flask.Flask, keyring: dict[str, str]
) -> None:
    jobs = [PING, {**PING, "kind": "ingestion.ping"}, {**PING, "kind": "prediction.ping"}]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(batch, client_of(app, keyring["admin"]), jobs) for _ in range(8)]
        other = [pool.submit(batch, client_of(app, keyring["admin"]), jobs[::-1], key=f"o{n}") for n in range(4)]
    assert {future.result().status_code for future in (*asked, *other)} == {202}
    assert len({future.result().get_json()["jobs"][0]["id"] for future in asked}) == 1
    assert count() == count(role="prediction") == 5


def test_a_retry_with_a_key_is_made_once(client: Client) -> None:
    job = client.post("/v1/jobs", json=PING).get_json()
    worker.perform(job, body=worker.fail)
    path = f"{job['links']['self']}/retry"
    made = {client.post(path, headers=keyed("again")).get_json()["id"] for _ in range(3)}
    assert len(made) == 1
    assert job["id"] not in made
    problem_of(client.post("/v1/jobs", json=PING, headers=keyed("again")), 422)
