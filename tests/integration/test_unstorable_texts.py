"""Text that PostgreSQL can't hold, on PostgreSQL: data with it goes all the way, and nobody sees an error of it."""

import io
import json
import random
from collections.abc import Iterator
from typing import Any

import flask.testing
import pyarrow as pa
import pytest
from pyarrow import parquet

from api.intake.keys import Keys
from migrations import command_line
from shared import database, ids
from tests import servers_postgres
from tests.integration import sample_data, worker
from tests.integration.steps import at_home, client_of, opened

pytestmark = pytest.mark.servers

Client = flask.testing.FlaskClient
PARQUET = "application/vnd.apache.parquet"
LINES = "application/x-ndjson"


@pytest.fixture(scope="module")
def on_postgresql(postgres: servers_postgres.Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Yield an administrator's client of the API on PostgreSQL."""
    prefix = f"unstorable_{ids.new_ulid().lower()}"
    try:
        with at_home(tmp_path_factory.mktemp("home"), DATABASE_URL=postgres.url(prefix + "_{role}")):
            assert command_line.main(["upgrade", "all"]) == 0
            key = Keys(database.of_process()).create("tests", scopes=["admin"])
            with opened() as app:
                yield client_of(app, key)
    finally:
        postgres.drop_databases(prefix)


def table(*, rows: int = 120) -> bytes:
    """Make Parquet whose texts, labels and names of columns all hold U+0000."""
    dice = random.Random(0)
    sizes = [dice.gauss(0, 1) for _ in range(rows)]
    columns: dict[str, Any] = {
        "size\0": sizes,
        "colour": [dice.choice(["re\0d", "green", "\0"]) for _ in sizes],
        "label": ["y\0es" if size > 0 else "no" for size in sizes],
    }
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file)
    return file.getvalue()


def test_data_with_it_is_loaded_learned_from_and_predicted(on_postgresql: Client) -> None:
    client = on_postgresql
    loaded = sample_data.load(client, "odd", table(), content_type=PARQUET)
    assert any("U+0000 was replaced by ␀ in" in note for note in loaded["result"]["notes"])
    recipe = {"steps": [{"op": "one_hot", "columns": ["colour"]}]}
    orders = [
        ("/v1/features/odd", {"dataset": "odd@1", "recipe": recipe, "target": "label"}),
        ("/v1/features/odd/apply", {"dataset": "odd@1", "name": "shaped"}),
        (
            "/v1/models/odd",
            {
                "dataset": "odd@1",
                "target": "label",
                "problem": "classification",
                "estimator": {"name": "LogisticRegression", "params": {}},
                "recipe": recipe,
            },
        ),
        ("/v1/evaluations", {"model": "odd@1", "dataset": "odd@1", "slices": ["colour"]}),
        ("/v1/predictions", {"model": "odd@1", "dataset": "odd@1", "name": "said"}),
    ]
    for path, order in orders:
        sample_data.done(client, client.post(path, json=order))
    [first, *_] = client.get("/v1/datasets/said/versions/1/rows?limit=500").get_json()["rows"]
    assert {"size␀", "probability_y␀es"} <= set(first)
    assert client.get("/v1/datasets/shaped/versions/1/rows").status_code == 200
    version = client.get("/v1/models/odd/versions/1").get_json()
    assert version["signature"]["classes"] == ["no", "y␀es"]


def test_lines_of_json_with_it_are_loaded(on_postgresql: Client) -> None:
    data = b'{"a": "x\\u0000y", "b\\u0000": 1}\n{"a": "z", "b\\u0000": 2}\n'
    sample_data.load(on_postgresql, "lines", data, content_type=LINES)
    profile = on_postgresql.get("/v1/datasets/lines/versions/1").get_json()
    assert "x␀y" in json.dumps(profile, ensure_ascii=False)


WRONG: dict[str, tuple[bytes, str]] = {
    "half of a surrogate pair": (b'{"a": "\\ud800"}\n{"a": 1}\n', LINES),
    "half of a surrogate pair in a name": (b'{"a\\udfff": 1}\n', LINES),
    "a text file with it": (b"a,b\n1,x\0y\n", "text/csv"),
    "no Parquet": (b"PAR1\0\0\0", PARQUET),
}


@pytest.mark.parametrize("name", WRONG)
def test_data_that_is_wrong_fails_in_our_own_words(on_postgresql: Client, name: str) -> None:
    data, content_type = WRONG[name]
    job = on_postgresql.post("/v1/datasets/wrong", data=data, content_type=content_type)
    assert worker.perform(job.get_json()) in {"BadDataError", "LimitExceededError"}
    shown = on_postgresql.get(job.headers["Location"]).get_json()
    assert shown["state"] == "failed"
    require_no_sql(shown)


def test_a_body_that_fails_with_any_text_ends_its_job(on_postgresql: Client) -> None:
    for text in ("a\0b", "\ud800", "\0" * 5000, "INSERT", "😀" * 3000):

        def body(_job: Any, _command: Any, text: str = text) -> Any:
            raise ValueError(text)

        job = on_postgresql.post("/v1/jobs", json={"kind": "training.ping", "params": {}})
        assert worker.perform(job.get_json(), body=body) == "ValueError"
        assert on_postgresql.get(job.headers["Location"]).get_json()["state"] == "failed"


def test_a_body_that_fails_in_the_database_shows_nothing_of_it(on_postgresql: Client) -> None:
    def body(_job: Any, _command: Any) -> Any:
        with database.of_process()["training"].statements.connect() as connection:
            connection.exec_driver_sql("INSERT INTO jobs (id, params) VALUES (%s, %s)", ("s3cret", "{}"))

    job = on_postgresql.post("/v1/jobs", json={"kind": "training.ping", "params": {}})
    worker.perform(job.get_json(), body=body)
    shown = on_postgresql.get(job.headers["Location"]).get_json()
    assert shown["error"]["type"] == "DatabaseError"
    require_no_sql(shown)


REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/v1/jobs?tag=%00", {}),
    ("GET", "/v1/jobs?tag=%ED%A0%80", {}),
    ("GET", "/v1/datasets/a%00b", {}),
    ("GET", "/v1/jobs/training_%00", {}),
    ("POST", "/v1/jobs", {"data": b'{"kind": "training.ping", "params": {}, "tags": ["\\u0000"]}'}),
    ("POST", "/v1/jobs", {"data": b'{"kind": "training.ping", "params": {"\\ud800": 1}}'}),
    *(
        ("GET", f"{path}?{query}", {})
        for path in ("/v1/evaluations", "/v1/model-versions", "/v1/models/odd")
        for query in ("sort=%00", "metric=%00%3E1", "tag=%00", "since=%00", "dataset=%00", "cursor=MTpbbnVsbCxmYWxzZV0")
    ),
    ("GET", "/v1/jobs?model=%00", {}),
    ("PATCH", "/v1/evaluations/%00", {"data": b'{"note": "x"}'}),
    ("PATCH", "/v1/evaluations/x", {"data": b'{"note": "a\\u0000", "tags": ["\\ud800"]}'}),
    ("PUT", "/v1/models/odd/aliases/%00", {"data": b'{"version": 1}'}),
    ("POST", "/v1/datasets/odd?types=%7B%22a%5Cu0000%22%3A%22string%22%7D", {"data": b"a\n1\n"}),
    ("POST", "/v1/datasets/odd?null_values=%00", {"data": b"a\n1\n"}),
]


@pytest.mark.parametrize(("method", "path", "options"), REQUESTS)
def test_a_request_with_it_is_refused_or_taken_and_never_an_error_of_ours(
    on_postgresql: Client, method: str, path: str, options: dict[str, Any]
) -> None:
    content_type = "text/csv" if "datasets" in path else "application/json"
    response = on_postgresql.open(path, method=method, content_type=content_type, **options)
    assert response.status_code < 500, response.text
    require_no_sql(response.get_json())


@pytest.mark.parametrize("name", ["Idempotency-Key", "traceparent", "Prefer", "If-None-Match", "User-Agent"])
def test_a_header_of_any_text_is_no_error_of_ours(on_postgresql: Client, name: str) -> None:
    for value in ('"\x7f\x80\xff"', '"\xed\xa0\x80"', "é" * 300, '"' + "a" * 5000 + '"'):
        response = on_postgresql.post("/v1/jobs", json={"kind": "training.ping", "params": {}}, headers={name: value})
        assert response.status_code < 500, response.text
        require_no_sql(response.get_json())


def require_no_sql(document: Any) -> None:
    """Require that a document shows nothing of our statements."""
    shown = json.dumps(document)
    for word in ("INSERT", "SELECT", "psycopg", "sqlalchemy", "s3cret", "[SQL"):
        assert word not in shown, shown
