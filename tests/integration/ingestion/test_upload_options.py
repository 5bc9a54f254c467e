"""An upload says in its query and its headers how it is to be read, and what is expected of it."""

import json
from pathlib import Path

import flask.testing
import pytest

from tests.integration import sample_data
from tests.integration.ingestion.test_loading import rows
from tests.integration.steps import problem_of

Client = flask.testing.FlaskClient


def test_an_upload_says_in_its_query_what_is_expected(client: Client) -> None:
    expectations = [{"type": "not_null", "column": "a", "on_failure": "quarantine"}]
    asked = {"query_string": {"expectations": json.dumps(expectations)}, "content_type": "text/csv"}
    answer = client.post("/v1/datasets/d", data=b"a,b\n,1\n2,3\n", **asked)
    result = sample_data.done(client, answer)["result"]
    assert (result["counts"]["quarantined"], rows(client)) == (1, [{"a": 2, "b": 3}])
    assert rows(client, "d.quarantine")[0]["b"] == 1


def test_an_upload_says_in_its_query_what_means_missing(client: Client) -> None:
    query = {"null_values": '["", "-"]', "types": '{"cc": "string"}'}
    answer = client.post("/v1/datasets/d", data=b"cc,pop\nNA,-\nDE,80\n", content_type="text/csv", query_string=query)
    sample_data.done(client, answer)
    assert rows(client) == [{"cc": "NA", "pop": None}, {"cc": "DE", "pop": 80}]


@pytest.mark.parametrize(
    ("given", "pointer"), [("-", "#/null_values"), ('"-"', "#/null_values"), ("[1]", "#/null_values/0")]
)
def test_what_can_not_mean_missing_is_refused_by_the_api(client: Client, given: str, pointer: str) -> None:
    answer = client.post("/v1/datasets/d", data=b"a\n1\n", content_type="text/csv", query_string={"null_values": given})
    assert problem_of(answer, 422)["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    ("kind", "query", "read"),
    [
        ("text/csv; charset=iso-8859-2", "", "\u0141\xf3d\u017a"),
        ('text/csv; header=present; charset="ISO-8859-2"', "", "\u0141\xf3d\u017a"),
        ("text/csv; charset=iso-8859-2", "?encoding=cp1252", "\xa3\xf3d\xbc"),
        ("text/csv", "?encoding=iso-8859-2", "\u0141\xf3d\u017a"),
    ],
)
def test_an_upload_is_read_in_the_charset_that_it_declares(client: Client, kind: str, query: str, read: str) -> None:
    data = "a,b\n\u0141\xf3d\u017a,1\n".encode("iso-8859-2")
    sample_data.done(client, client.post(f"/v1/datasets/d{query}", data=data, content_type=kind))
    assert rows(client) == [{"a": read, "b": 1}]


def test_a_charset_that_is_none_is_refused_by_the_api(client: Client) -> None:
    answer = client.post("/v1/datasets/d", data=b"a\n1\n", content_type="text/csv; charset=klingon")
    assert "no text encoding 'klingon'" in problem_of(answer, 422)["detail"]


def test_the_charset_of_json_changes_nothing(client: Client) -> None:
    answer = client.post("/v1/datasets/d", data=b'[{"a": 1}]', content_type="application/json; charset=us-ascii")
    assert sample_data.done(client, answer)["params"]["csv"]["encoding"] is None


@pytest.mark.parametrize(
    ("given", "pointer", "said"),
    [
        ("[{", "#/expectations", "expectations is not JSON"),
        ("{}", "#/expectations", "list"),
        ('[{"type": "guess", "column": "a"}]', "#/expectations/0", "not_null"),
        ('[{"type": "not_null", "column": "a", "on": 1}]', "#/expectations/0/on", "are: column, on_failure, type"),
    ],
)
def test_what_an_upload_cannot_expect_is_refused_by_the_api(
    client: Client, home: Path, given: str, pointer: str, said: str
) -> None:
    asked = {"query_string": {"expectations": given}, "content_type": "text/csv"}
    problem = problem_of(client.post("/v1/datasets/d", data=b"a\n1\n", **asked), 422)
    assert problem["errors"][0]["pointer"] == pointer
    assert said in problem["detail"]
    assert [file for file in (home / "objects").rglob("*") if file.is_file() and file.suffix != ".lock"] == []


@pytest.mark.parametrize("by", ["query", "source", "csv"])
def test_uploads_and_sources_take_the_same_options(client: Client, by: str) -> None:
    options = {"decimal": ",", "thousands": ".", "date_format": "%d/%m/%Y", "header": 2, "columns": ["n", "d"]}
    data = b"title\nk;n;d\na;1.250;01/02/2024\n"
    if by == "query":
        query = {**options, "columns": "n,d"}
        answer = client.post("/v1/datasets/d", data=data, content_type="text/csv", query_string=query)
        sample_data.done(client, answer)
    else:
        upload = client.post("/v1/datasets/e", data=data, content_type="text/csv", query_string={"header": 2})
        source = sample_data.done(client, upload)["params"]["source"]
        params = {"name": "d", "source": source, **(options if by == "source" else {"csv": options})}
        answer = client.post("/v1/jobs", json={"kind": "ingestion.load", "params": params})
        sample_data.done(client, answer)
    assert rows(client) == [{"n": 1250, "d": "2024-02-01"}]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"header": "0"}, "#/header"),
        ({"header": "first"}, "#/header"),
        ({"skip_rows": "-1"}, "#/skip_rows"),
        ({"short_rows": "ignore"}, "#/short_rows"),
        ({"decimal": ";"}, "#/decimal"),
        ({"date_format": "%Q"}, "#/date_format"),
        ({"columns": "[1]"}, "#/columns/0"),
        ({"columns": "a,a"}, "#"),
        ({"decimal": ",", "thousands": ","}, "#"),
    ],
)
def test_options_that_can_not_be_are_refused_by_the_api(client: Client, query: dict[str, str], pointer: str) -> None:
    answer = client.post("/v1/datasets/d", data=b"a\n1\n", content_type="text/csv", query_string=query)
    assert problem_of(answer, 422)["errors"][0]["pointer"].startswith(pointer)
