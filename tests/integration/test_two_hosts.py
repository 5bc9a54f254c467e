"""Two hosts that share databases and an S3 bucket, but no disk."""

import contextlib
import pathlib
import shutil
from collections.abc import Iterator

import flask
import pytest

from shared import database, settings
from shared.objects import opening
from tests import servers_s3
from tests.integration import sample_data, worker
from tests.integration.steps import at_home, client_of, opened


class Hosts:
    """The API's host and a worker's, each with a home of its own; this process is at one of them at a time."""

    def __init__(self, template: pathlib.Path, folder: pathlib.Path, s3: servers_s3.S3) -> None:
        """Make the databases in a third place, as servers are."""
        shutil.copytree(template / "databases", folder / "databases")
        self._folder = folder
        url = f"sqlite:///file:{folder}/databases/{{role}}.sqlite3?mode=rw&uri=true"
        self._variables = {**s3.variables(), "DATABASE_URL": url}

    @contextlib.contextmanager
    def at(self, name: str) -> Iterator[pathlib.Path]:
        """Be at a host, and give its home."""
        with at_home(self._folder / name, **self._variables):
            yield self._folder / name


@pytest.fixture
def hosts(template: tuple[pathlib.Path, dict[str, str]], tmp_path: pathlib.Path, s3: servers_s3.S3) -> Hosts:
    """Start two hosts."""
    return Hosts(template[0], tmp_path, s3)


def work(hosts: Hosts, name: str, job: object) -> None:
    """Do a job at a host."""
    with hosts.at(name):
        assert worker.perform(job) is None  # type: ignore[arg-type]


@contextlib.contextmanager
def api_host(hosts: Hosts) -> Iterator[flask.Flask]:
    """Open the API at its host."""
    with hosts.at("api"), opened() as app:
        yield app


def test_what_one_host_makes_another_uses(hosts: Hosts, keyring: dict[str, str], tmp_path: pathlib.Path) -> None:
    with api_host(hosts) as app:
        load = client_of(app, keyring["admin"]).post(
            "/v1/datasets/things", data=sample_data.table(), content_type="text/csv"
        )
    work(hosts, "first", load.get_json())
    with api_host(hosts) as app:
        fit = client_of(app, keyring["admin"]).post("/v1/models/greatness", json=sample_data.TRAINING)
    work(hosts, "second", fit.get_json())
    with api_host(hosts) as app:
        client = client_of(app, keyring["admin"])
        assert len(client.get("/v1/datasets/things/versions/1/rows").get_json()["rows"]) == 20
        content = client.get("/v1/datasets/things/versions/1/content?format=parquet")
        assert content.data[:4] == b"PAR1"
        assert len(content.data) == content.content_length
        assert client.get("/v1/datasets/things/versions/1/content?format=csv").data.count(b"\n") == 121
        predict = client.post("/v1/predictions", json={"model": "greatness@1", "dataset": "things@1"})
    work(hosts, "first", predict.get_json())
    with api_host(hosts) as app:
        client = client_of(app, keyring["admin"])
        assert client.get(predict.headers["Location"]).get_json()["state"] == "succeeded"
        for path in ("verify", "prune"):
            accepted = client.post(f"/v1/storage/{path}", json={} if path == "verify" else {"dry_run": False})
            assert worker.perform(accepted.get_json()) is None
            result = client.get(accepted.headers["Location"]).get_json()["result"]
            assert result.get("sound", result.get("kept_count", 0)) >= 3
        assert client.get("/v1/storage/usage").get_json()["objects"] == 3
        archive = sample_data.done(client, client.post("/v1/storage/export", json={"what": "tenant"}))["result"][
            "archive"
        ]
        sent = client.get(f"/v1/storage/archives/{archive['id']}/content")
        assert len(sent.data) == archive["bytes"]
        taken = client.post("/v1/storage/import", data=sent.data, content_type="application/x-tar")
        assert sample_data.done(client, taken)["result"]["versions"][0]["created"] is False
    for host in ("api", "first", "second"):
        assert not (tmp_path / host / "objects").exists(), "nothing is shared but the bucket"
    left = [path for path in tmp_path.rglob("*") if path.is_file() and "holds" in path.parts]
    assert left == [], "what a job has used is let go at its end"


def test_a_host_fetches_once_what_its_jobs_use_often(hosts: Hosts, keyring: dict[str, str]) -> None:
    with api_host(hosts) as app:
        client = client_of(app, keyring["admin"])
        load = client.post("/v1/datasets/things", data=sample_data.table(), content_type="text/csv").get_json()
        assert worker.perform(load) is None
        jobs = [
            client.post("/v1/features/shape", json={"dataset": "things@1", "recipe": sample_data.RECIPE}).get_json()
            for _ in range(2)
        ]
        sha256 = client.get("/v1/datasets/things/versions/1").get_json()["sha256"]
    with hosts.at("first") as home:
        assert worker.perform(jobs[0]) is None
        cached = home / "cache" / "entries" / f"object-{sha256}"
        inode = cached.stat().st_ino
        with database.of_process()["ingestion"].statements.connect() as connection:
            key = connection.exec_driver_sql("SELECT key FROM dataset_versions").scalar_one()
        opening.open_store(settings.load()).remove(key)
        assert worker.perform(jobs[1]) is None, "the bucket is not asked again"
        assert cached.stat().st_ino == inode
