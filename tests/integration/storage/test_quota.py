"""A tenant's quota of stored bytes: uploads and jobs beyond it are refused, and what it has is told."""

import pathlib
from collections.abc import Iterator
from typing import Any

import flask.testing
import pytest

from shared.objects import local
from tests.integration import sample_data, worker
from tests.integration.steps import at_home, client_of, opened, parts_of, problem_of
from tests.integration.storage import stock

Client = flask.testing.FlaskClient


@pytest.fixture
def used(home: pathlib.Path, keyring: dict[str, str]) -> int:
    """Load a dataset, and return how many bytes are stored then."""
    with at_home(home), opened() as app:
        client = client_of(app, keyring["admin"])
        assert usage(client) == (0, None)
        sample_data.load(client, "things")
        return usage(client)[0]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure at each question."""
    monkeypatch.setattr("api.intake.quota._FRESH_SECONDS", 0.0)
    monkeypatch.setattr("api.intake.quota._RECOUNT_SECONDS", 0.0)


def usage(client: Client) -> tuple[int, int | None]:
    """Read what is stored, and the quota."""
    document = client.get("/v1/storage/usage").get_json()
    return document["stored_bytes"], document["quota_bytes"]


@pytest.fixture
def client(home: pathlib.Path, keyring: dict[str, str], used: int) -> Iterator[Client]:
    """Yield a client of a tenant that has 1,000 bytes left."""
    with at_home(home, MAX_BYTES_PER_TENANT=str(used + 1000)), opened() as app:
        yield client_of(app, keyring["admin"])


def post(client: Client, data: bytes, **options: Any) -> Any:
    return client.post("/v1/datasets/more", data=data, content_type="text/csv", **options)


def test_an_upload_beyond_the_quota_is_refused_early_with_quota_and_use(client: Client, used: int) -> None:
    assert usage(client) == (used, used + 1000)
    problem = problem_of(post(client, b"a\n" * 501), 507)
    assert (problem["type"], problem["quota_bytes"], problem["used_bytes"]) == (
        "urn:millrace:problem:quota-exceeded",
        used + 1000,
        used,
    )
    assert usage(client)[0] == used, "nothing was kept"


def test_a_dataset_beyond_the_quota_fails_its_job_and_is_not_published(client: Client, used: int) -> None:
    accepted = post(client, b"a\n" + b"1\n" * 400)
    assert worker.perform(accepted.get_json()) == "LimitExceededError"
    job = client.get(accepted.headers["Location"]).get_json()
    assert job["state"] == "failed"
    assert f"its quota of {used + 1000:,} bytes" in job["error"]["message"]
    assert client.get("/v1/datasets/more/versions/1").status_code == 404
    assert usage(client)[0] == used + 802, "the upload waits for a retry"


def test_once_it_is_used_up_jobs_that_store_are_refused_and_no_others(
    home: pathlib.Path, keyring: dict[str, str], used: int
) -> None:
    with at_home(home, MAX_BYTES_PER_TENANT=str(used)), opened() as app:
        client = client_of(app, keyring["admin"])
        problem = problem_of(client.post("/v1/models/m", json=sample_data.TRAINING), 507)
        assert problem["used_bytes"] == problem["quota_bytes"] == used
        batch = {"jobs": [{"kind": "training.fit", "params": {**sample_data.TRAINING, "name": "m"}}]}
        problem_of(client.post("/v1/jobs/batch", json=batch), 507)
        assert client.post("/v1/jobs", json={"kind": "training.ping", "params": {}}).status_code == 202
        assert client.get("/v1/datasets/things/versions/1/rows").status_code == 200
        # What is deleted counts until it is pruned, and to prune is always allowed.
        assert client.post("/v1/storage/verify").status_code == 202
        assert client.post("/v1/storage/prune", json={}).status_code == 202


@pytest.mark.parametrize("limit", ["1GB", "0"])
def test_a_retry_keeps_the_quota_of_its_own_time(
    home: pathlib.Path, keyring: dict[str, str], client: Client, limit: str
) -> None:
    accepted = post(client, b"a\n" + b"1\n" * 400)
    assert worker.perform(accepted.get_json()) == "LimitExceededError"
    with at_home(home, MAX_BYTES_PER_TENANT=limit), opened() as app:
        roomy = client_of(app, keyring["admin"])
        sample_data.done(roomy, roomy.post(f"{accepted.headers['Location']}/retry"))


def test_deleting_and_pruning_free_the_quota(home: pathlib.Path, keyring: dict[str, str], used: int) -> None:
    with at_home(home, MAX_BYTES_PER_TENANT=str(used)), opened() as app:
        client, store = client_of(app, keyring["admin"]), parts_of(app).objects
        assert isinstance(store, local.LocalStore)
        assert client.delete("/v1/datasets/things/versions/1").status_code == 204
        assert usage(client)[0] == used
        problem_of(post(client, sample_data.table()), 507)
        stock.age(store)
        stock.forget_deleted("ingestion")
        stock.prune(client)
        assert usage(client)[0] == 0
        assert client.get("/v1/storage/usage").get_json()["uses"] == []
        sample_data.load(client, "more")


def test_what_is_deleted_while_a_job_waits_makes_no_room_for_it(client: Client, used: int) -> None:
    accepted = post(client, b"a\n" + b"1\n" * 400)
    assert client.delete("/v1/datasets/things/versions/1").status_code == 204
    assert worker.perform(accepted.get_json()) == "LimitExceededError"
    assert usage(client)[0] == used + 802


@pytest.mark.usefixtures("used")
def test_a_repeated_request_gets_its_job_when_nothing_is_left(home: pathlib.Path, keyring: dict[str, str]) -> None:
    table, order = sample_data.table(rows=10), {"kind": "training.fit", "params": {**sample_data.TRAINING, "name": "m"}}

    def send(client: Client) -> list[Any]:
        headers = {"Idempotency-Key": '"again"'}
        return [
            post(client, table, headers=headers),
            client.post("/v1/storage/import", data=archive, content_type="application/x-tar", headers=headers),
            client.post("/v1/jobs", json=order, headers=headers),
            client.post("/v1/jobs/batch", json={"jobs": [order]}, headers=headers),
            client.post(f"{failed.headers['Location']}/retry", headers={"Idempotency-Key": '"retried"'}),
        ]

    with at_home(home), opened() as app:
        client = client_of(app, keyring["admin"])
        archive = stock.packed(client, what="dataset", name="things")
        failed = post(client, b"a,b\n1\n2,3,4,5\n")
        assert worker.perform(failed.get_json()) is not None
        first = send(client)
    with at_home(home, MAX_BYTES_PER_TENANT="1"), opened() as app:
        client = client_of(app, keyring["admin"])
        before = usage(client)[0]
        again = send(client)
        assert usage(client)[0] == before, "repeated bytes are not kept"
        problem_of(post(client, table, headers={"Idempotency-Key": '"another"'}), 507)
    for one, other in zip(first, again, strict=True):
        assert (one.status_code, other.status_code) in {(202, 202), (200, 200)}, other.text
        assert one.get_json() == other.get_json()


def test_a_refused_upload_leaves_its_room_to_the_corrected_one(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.intake.quota._FRESH_SECONDS", 3600.0)
    monkeypatch.setattr("api.intake.quota._RECOUNT_SECONDS", 3600.0)
    data = b"a\n" + b"1\n" * 400
    for _ in range(3):
        assert post(client, data, query_string={"mode": "append", "like": "none@1"}).status_code == 422
    assert post(client, data).status_code == 202
