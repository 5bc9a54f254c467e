"""Joins through REST: the version that they make and its lineage, what is refused at once, and what fails the job."""

import io
from typing import Any

import flask.testing
import pytest
from pyarrow import parquet

from shared import database
from shared.catalog import lineage
from tests.integration import sample_data, worker
from tests.integration.steps import problem_of

Client = flask.testing.FlaskClient
ORDERS = b"id,customer,at,code\n1,7,2026-01-02T10:00:00Z,007\n2,8,2026-01-05T10:00:00Z,008\n3,,2026-01-06T10:00:00Z,x\n"
PRICES = (
    b"customer,at,price,since\n7,2026-01-01,1.5,2026-01-01T00:00:00Z\n7,2026-01-02,2.5,2026-01-02T10:00:00.000001Z\n"
    b"9,2026-01-01,3.5,2026-01-01T00:00:00Z\n"
)


@pytest.fixture
def shop(client: Client) -> Client:
    """Load two tables, and return the client."""
    sample_data.load(client, "orders", ORDERS)
    sample_data.load(client, "prices", PRICES)
    return client


def read(client: Client, name: str) -> list[dict[str, Any]]:
    """Download a dataset's latest version."""
    response = client.get(f"/v1/datasets/{name}/versions/latest/content?format=parquet")
    return list(parquet.read_table(io.BytesIO(response.data)).to_pylist())


def test_a_join_makes_a_version_with_both_sides_in_its_lineage(shop: Client) -> None:
    order = {"right": "prices@latest", "name": "priced", "on": ["customer"], "how": "full", "suffix": "_price"}
    result = sample_data.done(shop, shop.post("/v1/datasets/orders/join?tags=x", json=order))["result"]
    assert result["dataset"]["rows"] == 5
    assert (result["left"]["matched"], result["right"]["matched"]) == (1, 2)
    rows = read(shop, "priced")
    assert [(row["id"], row["customer"], row["price"]) for row in rows] == [
        (1, 7, 1.5),
        (1, 7, 2.5),
        (2, 8, None),
        (3, None, None),
        (None, 9, 3.5),
    ]
    assert list(rows[0]) == ["id", "customer", "at", "code", "at_price", "price", "since"]
    shown = shop.get("/v1/datasets/priced/versions/1").get_json()
    assert (shown["role"], shown["notes"], len(shown["profile"])) == ("processing", result["notes"], 7)
    assert (shown["lineage"]["dataset"], shown["lineage"]["right"]) == ("orders@1", "prices@1")
    assert shown["lineage"]["join"]["how"] == "full"
    with database.of_process()["processing"].statements.connect() as connection:
        for source in ("orders@1", "prices@1"):
            made = lineage.list_derived(connection, [("dataset", source)], tenant_id="default", limit=9)
            assert made == [("dataset", "priced@1")]


def test_a_join_as_of_a_time_by_job_takes_no_later_row_of_another_version(shop: Client) -> None:
    sample_data.load(shop, "prices", PRICES + b"7,2026-01-03,9.5,2026-01-02T09:59:59Z\n")
    params = {
        "left": "orders@1",
        "right": "prices@1",
        "name": "known",
        "on": ["customer"],
        "columns": ["price"],
        "as_of": {"left": "at", "right": "since", "tolerance_seconds": 7 * 86_400},
        "expect": "one",
    }
    accepted = shop.post("/v1/jobs", json={"kind": "processing.join", "params": params})
    result = sample_data.done(shop, accepted)["result"]
    assert [row["price"] for row in read(shop, "known")] == [1.5, None, None]
    assert result["left"] == {"rows": 3, "matched": 1, "unmatched": 2, "without_key": 1, "most_matches": 1}
    again = sample_data.done(shop, shop.post("/v1/jobs", json={"kind": "processing.join", "params": params}))["result"]
    assert (again["dataset"]["version"], again["dataset"]["sha256"]) == (2, result["dataset"]["sha256"])


@pytest.mark.parametrize(
    ("order", "pointer", "said"),
    [
        ({"on": []}, "#", "needs the key's columns in `on`"),
        ({"on": ["custmer"]}, "#/on/0", "orders@1 has no column 'custmer' (did you mean 'customer'?)"),
        ({"on": [{"left": "id", "right": "idd"}]}, "#/on/0/right", "prices@1 has no column 'idd'"),
        (
            {"on": [{"left": "code", "right": "customer"}]},
            "#/on/0",
            "(\"007\" is not 7); they must be of the same type: cast 'code' of orders@1 by the recipe step",
        ),
        ({"suffix": None}, "#", "both have 'at'; give a `suffix`"),
        ({"columns": ["price", "cost"]}, "#/columns/1", "prices@1 has no column 'cost'"),
        ({"columns": ["price", "price"]}, "#", "'price' is in `columns` twice"),
        ({"as_of": {"left": "at", "right": "price"}}, "#/as_of/right", "must be a timestamp or a date"),
        ({"as_of": {"left": "at", "right": "since"}, "how": "full"}, "#", "`how` can't be 'full'"),
        ({"how": "semi"}, "#", "no right columns are taken"),
        ({"right": "absent@1"}, "#/right", "doesn't exist"),
        ({"max_rows": 0}, "#/max_rows", "greater than or equal to 1"),
        ({"name": "orders"}, "#", ""),
        ({"where": "x"}, "#/where", ""),
    ],
)
def test_what_can_not_be_is_refused_at_once(shop: Client, order: dict[str, Any], pointer: str, said: str) -> None:
    complete = {"right": "prices@1", "name": "priced", "on": ["customer"], "suffix": "_price"} | order
    body = {name: value for name, value in complete.items() if value is not None}
    answer = shop.post("/v1/datasets/orders/join", json=body)
    if order == {"name": "orders"}:
        assert answer.status_code == 409, answer.text
        return
    problems = [(each["pointer"], each["detail"]) for each in problem_of(answer, 422)["errors"]]
    assert any(where == pointer and said in detail for where, detail in problems), problems


def test_what_only_the_rows_tell_fails_the_job_and_keeps_nothing(shop: Client) -> None:
    order = {"right": "prices@1", "name": "priced", "on": ["customer"], "suffix": "_price", "expect": "one"}
    answer = shop.post("/v1/datasets/orders/join", json=order)
    assert worker.perform(answer.get_json()) == "BadDataError"
    error = shop.get(answer.headers["Location"]).get_json()["error"]
    assert "1 rows of orders@1 match several rows of prices@1, one of them 2" in error["message"]
    answer = shop.post("/v1/datasets/orders/join", json={**order, "expect": "many", "max_rows": 3})
    assert worker.perform(answer.get_json()) == "LimitExceededError"
    assert "would make 4 rows" in shop.get(answer.headers["Location"]).get_json()["error"]["message"]
    assert shop.get("/v1/datasets/priced").status_code == 404
