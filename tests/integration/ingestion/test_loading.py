"""Datasets are loaded in every mode through REST, and their versions say what became of the rows."""

import threading
import time
import urllib.parse
from pathlib import Path
from typing import Any

import flask.testing
import pytest
import sqlalchemy as sa

from api.intake.keys import Keys
from migrations import command_line
from shared import database, ids
from shared.catalog import datasets
from shared.ingestion.contract import LoadDataset
from shared.jobs import states, tables
from tests import servers_postgres
from tests.integration import sample_data, worker
from tests.integration.steps import at_home, client_of, opened, problem_of
from workers.ingestion import tasks
from workers.job import Finish, Job

Client = flask.testing.FlaskClient


def load(client: Client, data: str, query: str = "", *, name: str = "d") -> dict[str, Any]:
    """Upload CSV, and give the job's result."""
    answer = client.post(f"/v1/datasets/{name}{query}", data=data.encode(), content_type="text/csv")
    result: dict[str, Any] = sample_data.done(client, answer)["result"]
    return result


def submit(client: Client, **params: Any) -> Any:
    """Upload CSV by a route, and submit a job of its own for the same bytes."""
    upload = client.post("/v1/datasets/uploaded", data=params.pop("data").encode(), content_type="text/csv").get_json()
    source = upload["params"]["source"]
    asked = {"kind": "ingestion.load", "params": {"name": "d", "source": source, **params}}
    return client.post("/v1/jobs", json=asked)


def rows(client: Client, name: str = "d", version: int = 1) -> list[dict[str, Any]]:
    """Read a version's rows."""
    answer = client.get(f"/v1/datasets/{name}/versions/{version}/rows?limit=1000")
    found: list[dict[str, Any]] = answer.get_json()["rows"]
    return found


def fail(client: Client, answer: Any) -> dict[str, Any]:
    """Do a job that is to fail; gives its error."""
    assert answer.status_code == 202, answer.text
    assert worker.perform(answer.get_json()) is not None
    error: dict[str, Any] = client.get(answer.headers["Location"]).get_json()["error"]
    return error


def test_an_upload_is_appended_with_its_key_and_the_new_rows_win(client: Client) -> None:
    load(client, "id,day,v\n1,a,x\n2,a,y\n")
    result = load(client, "id,day,v\n2,a,z\n3,a,w\n", "?mode=append&key=id,day")
    assert [row["v"] for row in rows(client, version=2)] == ["x", "z", "w"]
    assert result["counts"] == {"read": 2, "not_new": 0, "duplicates": 1, "quarantined": 0}
    assert result["schema_changes"] == {"against": 1, "added": [], "gone": [], "retyped": []}
    version = client.get("/v1/datasets/d/versions/2").get_json()
    assert version["lineage"]["base"] == "d@1"
    assert version["lineage"]["counts"]["duplicates"] == 1
    assert rows(client, version=1)[1]["v"] == "y"


def test_a_load_goes_on_from_the_watermark(client: Client) -> None:
    assert load(client, "t,v\n1,a\n2,b\n", "?mode=append&watermark=t")["watermark"] == {
        "column": "t",
        "value": 2,
        "quarantined_from": None,
    }
    result = load(client, "t,v\n2,b\n3,c\n", "?mode=append&watermark=t&keep=first")
    assert result["watermark"] == {"column": "t", "value": 3, "quarantined_from": None}
    assert [row["v"] for row in rows(client, version=2)] == ["a", "b", "c"]
    again = load(client, "t,v\n2,b\n3,c\n", "?mode=append&watermark=t")
    assert (again["created"], again["dataset"]["version"]) == (False, 2)
    assert again["watermark"] == {"column": "t", "value": 3, "quarantined_from": None}
    assert again["counts"] == {"read": 2, "not_new": 2, "duplicates": 0, "quarantined": 0}
    assert problem_of(client.get("/v1/datasets/d/versions/3"), 404)


def test_nothing_new_is_answered_with_the_rows_that_nothing_tells_of(client: Client) -> None:
    load(client, "t,v\n1,a\n", "?watermark=t")
    result = load(client, "t,v\n,b\n,c\n", "?mode=append&watermark=t")
    assert (result["created"], result["dataset"]["version"]) == (False, 1)
    assert "2 rows have no value in 't'" in result["notes"][0]
    assert result["notes"][-1] == "No row is new, so no version was created."
    assert result["counts"]["not_new"] == 2
    nothing = load(client, "t,v\n", "?mode=append&watermark=t")
    assert (nothing["created"], nothing["watermark"]) == (False, {"column": "t", "value": 1, "quarantined_from": None})


def test_the_name_of_a_column_is_short_for_a_watermark(client: Client) -> None:
    load(client, "t,v\n5,a\n", "?watermark=t")
    lagging = urllib.parse.quote('{"column": "t", "lag": 2}')
    result = load(client, "t,v\n5,a\n2,b\n3,c\n5,d\n", f"?mode=append&watermark={lagging}")
    assert result["counts"] == {"read": 4, "not_new": 2, "duplicates": 0, "quarantined": 0}
    answer = submit(client, data="t,v\n5,e\n", mode="append", watermark="t")
    assert sample_data.done(client, answer)["result"]["watermark"]["value"] == 5
    assert [row["v"] for row in rows(client, version=3)] == ["a", "c", "d", "e"]
    answer = client.post("/v1/datasets/d?watermark=%7B%22column%22", data=b"t\n5\n", content_type="text/csv")
    assert "watermark" in problem_of(answer, 422)["detail"]


def test_a_watermark_that_the_data_has_no_more_fails_the_job(client: Client) -> None:
    load(client, "t,v\n1,a\n", "?watermark=t")
    answer = client.post("/v1/datasets/d?mode=append&watermark=t", data=b"id,v\n5,5\n", content_type="text/csv")
    assert "`watermark` names columns that the table does not have" in fail(client, answer)["message"]


def test_a_schema_change_is_reported_and_can_fail_the_job(client: Client) -> None:
    load(client, "a,b\n1,2\n")
    result = load(client, "a,c\nx,2\n")
    assert result["schema_changes"] == {
        "against": 1,
        "added": ["c"],
        "gone": ["b"],
        "retyped": [{"name": "a", "before": "integer", "now": "string"}],
    }
    assert client.get("/v1/datasets/d/versions/2").get_json()["lineage"]["schema_changes"] == result["schema_changes"]
    error = fail(
        client, client.post("/v1/datasets/d?on_schema_change=fail", data=b"a,b\nx,2\n", content_type="text/csv")
    )
    assert error["type"] == "BadDataError"
    assert "d@2 (added: b; gone: c)" in error["message"]


def test_rows_that_are_not_as_expected_go_into_quarantine_in_the_same_transaction(client: Client) -> None:
    expectations = [
        {"type": "between", "column": "age", "min": 0, "max": 150, "on_failure": "quarantine"},
        {"type": "matches", "column": "code", "pattern": "[A-Z]+", "on_failure": "warn"},
        {"type": "row_count_between", "min": 1},
    ]
    answer = submit(client, data="age,code\n30,A\n200,B\n40,c\n", expectations=expectations)
    result = sample_data.done(client, answer)["result"]
    assert [row["age"] for row in rows(client)] == [30, 40]
    assert rows(client, "d.quarantine") == [{"age": 200, "code": "B", "failed_expectation": "between of 'age'"}]
    assert [(one["failed_rows"], one["met"]) for one in result["expectations"]] == [(1, False), (1, False), (0, True)]
    assert result["expectations"][0]["examples"] == [{"row": 2, "values": [200]}]
    assert (result["quarantine"]["name"], result["quarantine"]["rows"]) == ("d.quarantine", 1)
    kept_out = client.get("/v1/datasets/d.quarantine/versions/1").get_json()
    assert kept_out["lineage"]["kept_out_of"] == "d@1"
    assert kept_out["profile"][0]["count"] == 1


def test_a_load_that_is_rejected_leaves_nothing(client: Client, home: Path) -> None:
    error = fail(client, submit(client, data="a,b\n,1\n", expectations=[{"type": "not_null", "column": "a"}]))
    assert error == {
        "type": "BadDataError",
        "message": "The data does not meet its expectations. not_null of 'a': 1 row fails (row 1: None).",
    }
    problem_of(client.get("/v1/datasets/d"), 404)
    assert [file for file in (home / "objects").rglob("*.parquet*") if file.is_file()] == []


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"mode": "merge"}, "#/params/mode"),
        ({"key": "id"}, "#/params/key"),
        ({"watermark": 5}, "#/params/watermark"),
        ({"watermark": {"column": "t", "lag": "2 months"}}, "#/params/watermark"),
        ({"watermark": {"column": "t", "lag": -1}}, "#/params/watermark"),
        ({"expectations": [{"type": "guess", "column": "a"}]}, "#/params/expectations/0"),
        ({"expectations": [{"type": "between", "column": "a"}]}, "#/params/expectations/0"),
        ({"expectations": [{"type": "row_count_between", "min": 1, "on_failure": "quarantine"}]}, "#/params/expect"),
        ({"expectations": [{"type": "matches", "column": "a", "pattern": "a" * 1001}]}, "#/params/expectations/0"),
        ({"expectations": [{"type": "between", "column": "a", "min": 2, "max": 1.5}]}, "#/params/expectations/0"),
        ({"expectations": [{"type": "row_count_between", "min": 2, "max": 1}]}, "#/params/expectations/0"),
        ({"csv": {"encoding": "klingon"}}, "#/params/csv/encoding"),
        ({"name": "d" * 60, "expectations": [{"type": "not_null", "column": "a", "on_failure": "quarantine"}]}, "#/"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_the_api(client: Client, params: dict[str, Any], pointer: str) -> None:
    problem = problem_of(submit(client, data="a,b\n1,2\n", **params), 422)
    assert problem["errors"][0]["pointer"].startswith(pointer)


def test_a_pattern_is_checked_before_the_source_is_touched(client: Client) -> None:
    expectations = [{"type": "matches", "column": "a", "pattern": "(?=a)"}]
    source = {"type": "url", "url": "http://127.0.0.1:1/never"}
    answer = client.post("/v1/datasets/d", json={"source": source, "expectations": expectations})
    assert "is not a regular expression of RE2" in fail(client, answer)["message"]


def test_a_command_in_json_takes_what_the_query_says_too(client: Client) -> None:
    source = {"type": "url", "url": "https://example.org/t.csv"}
    answer = client.post("/v1/datasets/d?mode=append&key=id", json={"source": source, "keep": "first"})
    params = answer.get_json()["params"]
    assert (params["mode"], params["key"], params["keep"], params["format"]) == ("append", ["id"], "first", None)


def test_a_load_rests_while_another_loads_the_same_dataset(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    load(client, "a,b\n1,x\n")
    monkeypatch.setattr("random.uniform", lambda low, high: low)
    first, second, elsewhere = (
        client.post(f"/v1/datasets/{name}?mode=append", data=f"a,b\n{a},{b}\n".encode(), content_type="text/csv")
        for name, a, b in (("d", 2, "first"), ("d", 3, "second"), ("e", 4, "elsewhere"))
    )

    def load_while_others_do(job: Job, command: LoadDataset) -> Finish:
        finish = tasks.load(job, command)
        sample_data.done(client, elsewhere)
        assert worker.perform(second.get_json()) is None
        return finish

    assert worker.perform(first.get_json(), body=load_while_others_do) is None
    waiting = client.get(second.headers["Location"]).get_json()
    assert (waiting["state"], waiting["attempt"], waiting["error"]) == ("running", 1, None)
    assert waiting["progress"]["message"] == "waiting for another job that loads d"
    until_done(client, second)
    assert tries_left() == {3}
    assert [row["b"] for row in rows(client, version=3)] == ["x", "first", "second"]


def test_a_version_that_no_load_made_meanwhile_makes_an_append_begin_anew(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(client, "a,b\n1,x\n")

    def load_while_one_is_taken_in(job: Job, command: LoadDataset) -> Finish:
        finish = tasks.load(job, command)
        with database.of_process()["ingestion"].transactions.begin() as connection:
            row = connection.execute(sa.select(datasets.VERSIONS)).one()
            connection.execute(sa.insert(datasets.VERSIONS).values({**row._asdict(), "version": 2}))
            connection.execute(sa.update(datasets.HEADS).values(last_version=2))
        return finish

    answer = client.post("/v1/datasets/d?mode=append", data=b"a,b\n3,mine\n", content_type="text/csv")
    monkeypatch.setattr("random.uniform", lambda low, high: low)
    assert worker.perform(answer.get_json(), body=load_while_one_is_taken_in) == "RetryableError"
    assert client.get(answer.headers["Location"]).get_json()["state"] == "queued"
    sample_data.done(client, answer)
    assert [row["b"] for row in rows(client, version=3)] == ["x", "mine"]


def tries_left() -> set[int]:
    """Read how many tries the jobs have left."""
    with database.of_process()["ingestion"].statements.connect() as connection:
        return set(connection.execute(sa.select(tables.jobs.c.tries_left)).scalars())


def until_done(client: Client, accepted: Any) -> None:
    """Do a job again and again, as workers do with one that rests, until it has ended."""
    for _ in range(600):
        worker.perform(accepted.get_json())
        if client.get(accepted.headers["Location"]).get_json()["state"] in states.TERMINAL:
            return
        time.sleep(0.05)
    raise AssertionError("the job does not end")


def load_at_once(client: Client, *, count: int) -> None:
    """Append to one dataset from many threads, each of which does a job of its own."""
    accepted = [
        client.post("/v1/datasets/d?mode=append", data=f"a\n{number}\n".encode(), content_type="text/csv")
        for number in range(count)
    ]
    threads = [threading.Thread(target=until_done, args=(client, one)) for one in accepted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [client.get(one.headers["Location"]).get_json()["state"] for one in accepted] == ["succeeded"] * count
    versions = client.get("/v1/datasets/d").get_json()["versions"]
    assert [one["version"] for one in versions] == list(range(count, 0, -1))
    assert sorted(row["a"] for row in rows(client, version=count)) == list(range(count))


def test_many_appends_at_once_all_succeed_one_after_another(client: Client) -> None:
    load_at_once(client, count=8)


@pytest.mark.servers
def test_many_appends_at_once_all_succeed_on_postgresql(postgres: servers_postgres.Postgres, home: Path) -> None:
    prefix = f"loading_{ids.new_ulid().lower()}"
    try:
        with at_home(home, DATABASE_URL=postgres.url(prefix + "_{role}")):
            assert command_line.main(["upgrade", "all"]) == 0
            key = Keys(database.of_process()).create("tests", scopes=["admin"])
            with opened() as app:
                load_at_once(client_of(app, key), count=8)
            assert tries_left() == {3}
    finally:
        postgres.drop_databases(prefix)
