"""A split through REST, on both databases: its parts, their lineage, what is refused, and a worker that dies."""

import io
import os
import pathlib
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import flask.testing
import pyarrow as pa
import pytest
from pyarrow import compute, parquet

from api.intake import keys
from migrations import command_line
from shared import database
from shared.jobs import ledger
from tests import servers_postgres
from tests.integration import sample_data, worker
from tests.integration.steps import at_home, client_of, opened, problem_of

Client = flask.testing.FlaskClient
ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = pathlib.Path(os.environ.get("MILLRACE_TEST_DATA") or ROOT.parent / "shared" / "data")
CSV = b"id,day,class\n" + b"".join(
    f"{2**53 + number},2024-01-{number % 25 + 1:02},{'rare' if number % 10 == 0 else 'common'}\n".encode()
    for number in range(100)
)
DYING = """
import os, signal, sys
from tests.integration import worker
from workers import dataset_writing
write, written = dataset_writing.write, []

def write_and_die(*args, **options):
    written.append(write(*args, **options))
    if len(written) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return written[-1]

dataset_writing.write = write_and_die
worker.perform({"id": sys.argv[1], "kind": "processing.split"})
"""


@pytest.fixture(scope="module")
def on_postgresql(
    postgres: servers_postgres.Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[pathlib.Path, str, str]]:
    """Make databases on PostgreSQL, and return a home, their URL and a key."""
    prefix, home = f"split{secrets.token_hex(4)}", tmp_path_factory.mktemp("home")
    url = postgres.url(f"{prefix}_{{role}}")
    with at_home(home, DATABASE_URL=url):
        assert command_line.main(["upgrade", "all"]) == 0
        key = keys.Keys(database.of_process()).create("admin", scopes=["admin"])
    yield home, url, key
    postgres.drop_databases(prefix)


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest) -> Iterator[Client]:
    """Yield the client of an API on each database in turn, with a table that is loaded."""
    if request.param == "sqlite":
        client = request.getfixturevalue("client")
        sample_data.load(client, "visits", CSV)
        yield client
        return
    home, url, key = request.getfixturevalue("on_postgresql")
    with at_home(home, DATABASE_URL=url), opened() as app:
        client = client_of(app, key)
        sample_data.load(client, "visits", CSV)
        yield client


def read(client: Client, part: dict[str, Any]) -> pa.Table:
    """Download a part."""
    path = f"/v1/datasets/{part['dataset']['name']}/versions/{part['dataset']['version']}/content?format=parquet"
    return parquet.read_table(io.BytesIO(client.get(path).data))


def split(client: Client, dataset: str, **order: Any) -> dict[str, Any]:
    """Split a dataset, and return the job's result."""
    order = {"parts": {"train": 0.8, "test": 0.2}} | order
    result: dict[str, Any] = sample_data.done(client, client.post(f"/v1/datasets/{dataset}/split", json=order))[
        "result"
    ]
    return result


def test_parts_are_in_the_order_of_the_request_and_name_where_they_come_from(either: Client) -> None:
    # PostgreSQL stores the shorter name first.
    result = split(either, "visits", parts={"earlier": 0.5, "mid": 0.3, "last": 0.2}, by={"time": "day"})
    tables = {name: read(either, part) for name, part in result["parts"].items()}
    spans = [compute.min_max(tables[name].column("day")).as_py() for name in ("earlier", "mid", "last")]
    assert spans[0]["max"] < spans[1]["min"]
    assert spans[1]["max"] < spans[2]["min"]
    ids = pa.chunked_array([chunk for table in tables.values() for chunk in table.column("id").chunks])
    assert sorted(ids.to_pylist()) == [2**53 + number for number in range(100)]
    shares = {name: (part["dataset"]["rows"], part["share"], part["asked"]) for name, part in result["parts"].items()}
    assert shares == {"earlier": (48, 0.48, 0.5), "mid": (32, 0.32, 0.3), "last": (20, 0.2, 0.2)}
    assert result["seed"] is None
    assert result["notes"][0].startswith("By 'day': earlier from 2024-01-01 to 2024-01-12; mid from 2024-01-13 to ")

    shown = either.get("/v1/datasets/visits-mid/versions/latest").get_json()
    assert (shown["role"], shown["rows"], [column["nulls"] for column in shown["profile"]]) == (
        "processing",
        32,
        [0] * 3,
    )
    assert shown["notes"] == result["notes"]
    source = either.get("/v1/datasets/visits").get_json()["versions"][0]
    assert shown["lineage"] == {
        "dataset": f"visits@{source['version']}",
        "dataset_sha256": source["sha256"],
        "split": {
            "part": "mid",
            "parts": [{"name": "earlier", "share": 0.5}, {"name": "mid", "share": 0.3}, {"name": "last", "share": 0.2}],
            "rule": "time",
            "column": "day",
            "seed": None,
        },
    }


def test_a_worker_that_dies_while_it_writes_the_parts_leaves_none_and_the_next_attempt_all(either: Client) -> None:
    name = f"once-{secrets.token_hex(4)}"
    order = {"parts": {"a": 0.6, "b": 0.4}, "by": {"stratify": "class"}, "name": name}
    accepted = either.post("/v1/datasets/visits/split", json=order)
    job_id = accepted.get_json()["id"]
    died = subprocess.run([sys.executable, "-c", DYING, job_id], cwd=ROOT, capture_output=True, text=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert [either.get(f"/v1/datasets/{name}-{part}").status_code for part in "ab"] == [404, 404]
    with database.of_process()["processing"].transactions.begin() as connection:
        assert ledger.hand_back(connection, job_id, attempt=1)
    result = sample_data.done(either, accepted)["result"]
    assert {part: found["dataset"]["rows"] for part, found in result["parts"].items()} == {"a": 60, "b": 40}
    for part in "ab":
        shown = either.get(f"/v1/datasets/{name}-{part}").get_json()["versions"]
        assert [version["version"] for version in shown] == [1]
    classes = read(either, result["parts"]["b"]).column("class").to_pylist()
    assert (classes.count("rare"), classes.count("common")) == (4, 36)


def test_the_same_seed_makes_the_same_parts_by_job_and_by_route_and_a_model_learns_from_one(client: Client) -> None:
    sample_data.load(client, "things")
    first = split(client, "things", version=1, seed=3)
    order = {"dataset": "things@1", "parts": {"train": 0.8, "test": 0.2}, "seed": 3, "name": "again"}
    accepted = client.post("/v1/jobs", json={"kind": "processing.split", "params": order})
    again = sample_data.done(client, accepted)["result"]
    assert [part["dataset"]["sha256"] for part in again["parts"].values()] == [
        part["dataset"]["sha256"] for part in first["parts"].values()
    ]
    assert (again["seed"], first["parts"]["train"]["dataset"]["name"]) == (3, "things-train")
    sample_data.done(client, client.post("/v1/models/m", json={**sample_data.TRAINING, "dataset": "things-train@1"}))
    graph = client.get("/v1/models/m/versions/1/lineage").get_json()
    edges = {(edge["from"], edge["to"]) for edge in graph["edges"]}
    assert ("dataset:things@1", "dataset:things-train@1") in edges


@pytest.mark.parametrize(
    ("order", "pointer", "said"),
    [
        ({"parts": {"train": 0.8, "test": 0.3}}, "#", "sum to 1.1; they must sum to 1"),
        ({"parts": {"train": 0.999}}, "#/parts", "at least 2"),
        ({"parts": {"train": 1.0, "test": 0.0}}, "#/parts/train", "less than 1"),
        ({"parts": {"Train": 0.5, "test": 0.5}}, "#/parts/Train", "pattern"),
        ({"by": {"stratify": "class", "group": "id"}}, "#/by", "exactly one"),
        ({"by": {}}, "#/by", "exactly one"),
        ({"by": {"group": "Class"}}, "#/by/group", "did you mean 'class'?"),
        ({"by": {"time": "class"}}, "#/by/time", "is text, which has no order in time"),
        ({"by": {"time": "day"}, "seed": 1}, "#", "leave `seed` out"),
        ({"name": "x" * 60}, "#", "at most 63 characters"),
        ({"rows": 3}, "#/rows", ""),
    ],
)
def test_what_can_not_be_is_refused_at_once(client: Client, order: dict[str, Any], pointer: str, said: str) -> None:
    sample_data.load(client, "visits", CSV)
    answer = client.post("/v1/datasets/visits/split", json={"parts": {"train": 0.8, "test": 0.2}} | order)
    problems = [(each["pointer"], each["detail"]) for each in problem_of(answer, 422)["errors"]]
    assert any(where == pointer and said in detail for where, detail in problems), problems


def test_what_only_the_rows_tell_fails_the_job_and_says_where(client: Client) -> None:
    sample_data.load(client, "gaps", b"t,g\n1,a\n,a\n3,a\n")
    answer = client.post("/v1/datasets/gaps/split?tags=x", json={"parts": {"a": 0.5, "b": 0.5}, "by": {"time": "t"}})
    assert worker.perform(answer.get_json()) == "BadDataError"
    job = client.get(answer.headers["Location"]).get_json()
    assert (job["tags"], job["error"]["type"]) == (["x"], "BadDataError")
    assert "the time 't' is missing in 1 of 3 rows (first in row 2)" in job["error"]["message"]
    assert client.get("/v1/datasets/gaps-a").status_code == 404


@pytest.mark.slow
def test_real_data_is_split_by_class_and_by_customer(client: Client) -> None:
    source = DATA / "telco_churn.csv"
    if not source.exists():
        pytest.skip(f"{source} is absent; set MILLRACE_TEST_DATA to the folder of the real data sets")
    sample_data.load(client, "telco", source.read_bytes())
    parts = split(client, "telco", parts={"train": 0.7, "valid": 0.15, "test": 0.15}, by={"stratify": "Churn"})["parts"]
    tables = {name: read(client, part) for name, part in parts.items()}
    assert sum(table.num_rows for table in tables.values()) == 7043
    churned = {name: table.column("Churn").to_pylist().count("Yes") for name, table in tables.items()}
    assert churned == {"train": 1308, "valid": 281, "test": 280} or churned == {
        "train": 1308,
        "valid": 280,
        "test": 281,
    }
    by_payment = split(client, "telco", by={"group": "PaymentMethod"}, name="paid")["parts"]
    methods = [set(read(client, part).column("PaymentMethod").to_pylist()) for part in by_payment.values()]
    assert methods[0].isdisjoint(methods[1])
