"""Feedback through the API: only what was signed is stored, the last word holds, and each refusal says why."""

from typing import Any

import flask
import flask.testing
import pytest
import sqlalchemy as sa

from shared import database
from shared.prediction import prediction_ids, signing_keys
from shared.prediction.tables import feedback
from tests.integration.steps import client_of, down, problem_of

Client = flask.testing.FlaskClient
PATH = "/v1/deployments/risk/feedback"


def sign(*values: Any, deployment: str = "risk", tenant_id: str = "default", is_number: bool = False) -> str:
    """Make an id as a copy would."""
    with database.of_process()["prediction"].transactions.begin() as connection:
        [key, *_] = signing_keys.get_or_create(connection)
    head = prediction_ids.pack_head(deployment, 3, [prediction_ids.Answer("churn", 2, "churn@champion")])
    signer = prediction_ids.Signer(key["id"], bytes.fromhex(key["secret"]))
    return signer.sign(tenant_id, head, at_ms=1_764_540_000_000, values=values, is_number=is_number, units=b"customer")


def give(client: Client, *items: dict[str, Any]) -> dict[str, Any]:
    response = client.post(PATH, json={"items": list(items)})
    assert response.status_code == 200, response.get_data(as_text=True)
    document: dict[str, Any] = response.get_json()
    return document


def rows() -> list[Any]:
    with database.of_process()["prediction"].statements.connect() as connection:
        return list(connection.execute(sa.select(feedback).order_by(feedback.c.prediction)).all())


def test_what_became_true_is_stored_with_all_that_the_id_says(client: Client) -> None:
    assert give(client, {"prediction_id": sign("Yes"), "actual": "Yes", "value": 12.5}) == {"stored": 1, "errors": []}
    [row] = rows()
    assert (row.tenant_id, row.deployment, row.revision) == ("default", "risk", 3)
    assert (row.model, row.version, row.arm, row.unit) == ("churn", 2, "churn@champion", b"customer".hex())
    assert (row.predicted_at, row.predicted, row.actual) == (1_764_540_000_000, "Yes", "Yes")
    assert (row.correct, row.error, row.value) == (1, None, 12.5)


def test_of_a_number_the_error_is_stored(client: Client) -> None:
    text = sign(10.0, 20.0, None, is_number=True)
    give(
        client,
        {"prediction_id": f"{text}.0", "actual": 12},
        {"prediction_id": f"{text}.1", "actual": 19.5},
        {"prediction_id": f"{text}.2", "actual": 1},
    )
    assert [(row.error, row.correct) for row in rows()] == [(2.0, None), (-0.5, None), (None, None)]


def test_the_last_word_holds_and_a_value_may_come_apart(client: Client) -> None:
    text = sign("Yes")
    give(client, {"prediction_id": text, "actual": "Yes"})
    give(client, {"prediction_id": text, "value": 3})
    give(client, {"prediction_id": text, "actual": "No"}, {"prediction_id": text, "actual": "No"})
    [row] = rows()
    assert (row.actual, row.correct, row.value) == ("No", 0, 3.0)


def test_within_one_request_the_last_holds_too(client: Client) -> None:
    text = sign("Yes")
    stored = give(
        client,
        {"prediction_id": text, "actual": "Yes"},
        {"prediction_id": text, "value": 3},
        {"prediction_id": text, "actual": "No"},
    )
    assert stored["stored"] == 1
    [row] = rows()
    assert (row.actual, row.correct, row.value) == ("No", 0, 3.0)


def test_one_bad_item_leaves_the_others_stored(client: Client) -> None:
    elsewhere = sign("Yes", deployment="other")
    answer = give(
        client,
        {"prediction_id": "nonsense", "actual": "Yes"},
        {"prediction_id": sign("Yes"), "actual": "Yes"},
        {"prediction_id": elsewhere, "actual": "Yes"},
        {"prediction_id": sign("Yes", tenant_id="another"), "actual": "Yes"},
        {"prediction_id": sign(1.0, is_number=True), "actual": "much"},
        {"prediction_id": sign("Yes")[:-1] + "A", "actual": "Yes"},
    )
    assert answer["stored"] == 1
    pointers = [(problem["pointer"], problem["detail"].partition(";")[0]) for problem in answer["errors"]]
    assert [pointer for pointer, _ in pointers] == [
        *("#/items/0/prediction_id", "#/items/2/prediction_id", "#/items/3/prediction_id"),
        *("#/items/4/actual", "#/items/5/prediction_id"),
    ]
    assert "'other', not of 'risk'" in pointers[1][1]
    assert "finite number" in pointers[3][1]


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"items": []},
        {"items": [{"actual": "Yes"}]},
        {"items": [{"prediction_id": "x"}]},
        {"items": [{"prediction_id": "x", "actual": "a" * 1001}]},
        {"items": [{"prediction_id": "x", "actual": {"a": 1}}]},
        {"items": [{"prediction_id": "x" * 20_000, "actual": 1}]},
        {"items": [{"prediction_id": "x", "actual": 1, "more": 1}]},
        {"items": [{"prediction_id": "x", "actual": 1}] * 1001},
        {"items": [{"prediction_id": "nonsense", "actual": 1}]},
    ],
)
def test_what_is_wrong_is_refused_with_its_place(client: Client, document: dict[str, Any]) -> None:
    problem = problem_of(client.post(PATH, json=document), 422)
    assert problem["errors"][0]["pointer"].startswith("#")
    assert rows() == []


def test_odd_texts_are_stored_as_far_as_the_database_can(client: Client) -> None:
    for label, actual in (("\0", "1"), ("é", "é"), ("", " "), ("x" * 60, "x" * 60), ("1", 1.0)):
        give(client, {"prediction_id": sign(label), "actual": actual})
    found = {row.predicted: row.correct for row in rows()}
    assert found == {"\N{SYMBOL FOR NULL}": 0, "é": 1, "": 0, None: 1, "1": 1}


def test_ids_stay_good_when_a_new_key_signs(client: Client) -> None:
    old = sign("Yes")
    with database.of_process()["prediction"].transactions.begin() as connection:
        assert signing_keys.rotate(connection) == 1
        assert [key["id"] for key in signing_keys.get_or_create(connection)] == [1, 0]
    new = sign("Yes")
    assert give(client, {"prediction_id": old, "actual": 1}, {"prediction_id": new, "actual": 1})["stored"] == 2


def test_who_may_only_read_says_nothing_and_a_stranger_nothing_of_others(
    app: flask.Flask, client: Client, keyring: dict[str, str]
) -> None:
    item = {"prediction_id": sign("Yes"), "actual": "Yes"}
    problem_of(client_of(app, keyring["reader"]).post(PATH, json={"items": [item]}), 403)
    problem_of(client_of(app, keyring["stranger"]).post(PATH, json={"items": [item]}), 422)
    assert rows() == []
    assert give(client, item)["stored"] == 1


def test_while_the_database_is_away_it_says_so(app: flask.Flask, client: Client) -> None:
    item = {"prediction_id": sign("Yes"), "actual": "Yes"}
    with down(app, "prediction"):
        problem_of(client.post(PATH, json={"items": [item]}), 503)
