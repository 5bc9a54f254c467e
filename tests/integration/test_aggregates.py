"""Aggregations through REST: the version that they make, its lineage, what is refused, and features without leaks."""

import io
from typing import Any

import flask.testing
import pytest
from pyarrow import parquet

from tests.integration import sample_data, worker
from tests.integration.steps import problem_of

Client = flask.testing.FlaskClient
VISITS = (
    b"customer,at,spent,shop\n1,2026-01-01T10:00:00Z,10,north\n2,2026-01-01T23:30:00Z,5,south\n"
    b"1,2026-01-02T09:00:00Z,7,south\n1,2026-01-05T09:00:00Z,1,north\n"
)


@pytest.fixture
def shop(client: Client) -> Client:
    """Load a table, and return the client."""
    sample_data.load(client, "visits", VISITS)
    return client


def read(client: Client, name: str) -> list[dict[str, Any]]:
    """Download a dataset's latest version."""
    response = client.get(f"/v1/datasets/{name}/versions/latest/content?format=parquet")
    return list(parquet.read_table(io.BytesIO(response.data)).to_pylist())


def test_groups_and_windows_make_a_version_with_its_lineage(shop: Client) -> None:
    order = {
        "name": "daily",
        "by": ["customer"],
        "window": {"time": "at", "every": "1d", "timezone": "Europe/Berlin"},
        "measures": [
            {"function": "sum", "column": "spent"},
            {"function": "quantile", "column": "spent", "quantile": 0.5},
            {"function": "count", "where": "shop == 'north'", "name": "in north"},
        ],
    }
    result = sample_data.done(shop, shop.post("/v1/datasets/visits/aggregate", json=order))["result"]
    assert (result["dataset"]["rows"], result["source_rows"], result["without_time"]) == (4, 4, 0)
    assert [
        (row["customer"], f"{row['window_start']:%dT%H}", row["spent_sum"], row["spent_q50"], row["in north"])
        for row in read(shop, "daily")
    ] == [(1, "31T23", 10, 10.0, 1), (1, "01T23", 7, 7.0, 0), (1, "04T23", 1, 1.0, 1), (2, "01T23", 5, 5.0, 0)]
    shown = shop.get("/v1/datasets/daily/versions/1").get_json()
    assert (shown["role"], shown["lineage"]["dataset"], len(shown["profile"])) == ("processing", "visits@1", 6)
    assert shown["lineage"]["aggregate"]["window"]["timezone"] == "Europe/Berlin"


def test_each_row_gets_measures_of_its_past_and_windows_are_joined_as_of_their_end(shop: Client) -> None:
    measures = [{"function": "sum", "column": "spent", "name": "before"}]
    params = {
        "dataset": "visits@1",
        "name": "past",
        "by": ["customer"],
        "window": {"time": "at", "length": "30d"},
        "measures": measures,
    }
    accepted = shop.post("/v1/jobs", json={"kind": "processing.aggregate", "params": params})
    sample_data.done(shop, accepted)
    assert [(row["spent"], row["before"]) for row in read(shop, "past")] == [(10, None), (5, None), (7, 10), (1, 17)]

    windows = {**params, "name": "weekly", "window": {"time": "at", "every": "1d"}}
    sample_data.done(shop, shop.post("/v1/jobs", json={"kind": "processing.aggregate", "params": windows}))
    order = {
        "right": "weekly@1",
        "name": "known",
        "on": ["customer"],
        "columns": ["before", "window_end"],
        "as_of": {"left": "at", "right": "window_end"},
    }
    sample_data.done(shop, shop.post("/v1/datasets/visits/join", json=order))
    assert [row["before"] for row in read(shop, "known")] == [None, None, 10, 7]


@pytest.mark.parametrize(
    ("order", "pointer", "said"),
    [
        ({"by": ["custmer"]}, "#/by/0", "visits@1 has no column 'custmer' (did you mean 'customer'?)"),
        ({"measures": [{"function": "sum"}]}, "#/measures/0", "sum needs a `column`"),
        ({"measures": [{"function": "mean", "column": "shop"}]}, "#/measures/0/column", "needs numbers, and 'shop' is"),
        ({"measures": [{"function": "quantile", "column": "spent"}]}, "#/measures/0", "`quantile` is needed"),
        ({"measures": [{"function": "count", "where": "spent +"}]}, "#/measures/0/where", "can't be read"),
        ({"measures": [{"function": "count", "where": "spent + 1"}]}, "#/measures/0/where", "makes a number"),
        ({"measures": [{"function": "count", "where": "cost > 1"}]}, "#/measures/0/where", "needs column 'cost'"),
        ({"measures": [{"function": "count"}, {"function": "count"}]}, "#", "several measures would be called 'count'"),
        ({"by": ["shop"], "measures": [{"function": "count", "name": "shop"}]}, "#", "two columns called 'shop'"),
        ({"window": {"time": "spent", "every": "1d"}}, "#/window/time", "must be a timestamp or a date"),
        ({"window": {"time": "at", "every": "1x"}}, "#/window/every", "no length of time"),
        (
            {"window": {"time": "at", "length": "1d"}, "measures": [{"function": "mode", "column": "shop"}]},
            "#",
            "before each row mode can't be computed",
        ),
        ({"measures": []}, "#/measures", "at least 1"),
    ],
)
def test_what_can_not_be_is_refused_at_once(shop: Client, order: dict[str, Any], pointer: str, said: str) -> None:
    body = {"name": "groups", "measures": [{"function": "count"}]} | order
    answer = shop.post("/v1/datasets/visits/aggregate", json=body)
    problems = [(each["pointer"], each["detail"]) for each in problem_of(answer, 422)["errors"]]
    assert any(where == pointer and said in detail for where, detail in problems), problems


def test_a_sum_beyond_64_bits_fails_the_job_and_keeps_nothing(shop: Client) -> None:
    sample_data.load(shop, "large", b"n\n9223372036854775807\n1\n")
    order = {"name": "total", "measures": [{"function": "sum", "column": "n"}]}
    answer = shop.post("/v1/datasets/large/aggregate", json=order)
    assert worker.perform(answer.get_json()) == "BadDataError"
    assert "'n_sum' can't hold a value" in shop.get(answer.headers["Location"]).get_json()["error"]["message"]
    assert shop.get("/v1/datasets/total").status_code == 404
