"""Canaries through the API and the job that moves them: each move is in the ledger, and only a pass goes on."""

from typing import Any

import flask
import flask.testing
import pytest
import sqlalchemy as sa

from shared import database
from shared.jobs import ledger, tables
from shared.prediction import prediction_ids, signing_keys
from shared.prediction.contract import ROLLOUT
from shared.prediction.tables import canary_checks
from tests.integration import sample_data, worker
from tests.integration.steps import client_of, problem_of

Client = flask.testing.FlaskClient
PATH = "/v1/deployments/great"
ACCURACY = {"name": "accuracy", "source": "feedback", "margin": 0.05, "min_units": 50}
GATE: dict[str, Any] = {"metrics": [ACCURACY], "interval_seconds": 1}
CANARY: dict[str, Any] = {"model": "greatness@2", "steps": [10, 50, 100], "gate": GATE}


@pytest.fixture
def serving(populated: Client) -> Client:
    """Return a client of a home with two versions."""
    sample_data.done(populated, populated.post("/v1/models/greatness", json=sample_data.TRAINING))
    return populated


def put(client: Client, canary: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    document = {"routes": [{"model": "greatness@1", "weight": 100}], "canary": canary, **fields}
    response = client.put(PATH, json=document)
    assert response.status_code == 200, response.get_data(as_text=True)
    return show(client)


def show(client: Client) -> dict[str, Any]:
    document: dict[str, Any] = client.get(PATH).get_json()
    return document


def shares(client: Client) -> dict[str, float]:
    return {route["model"]: round(route["share"], 6) for route in show(client)["routes"]}


def history(client: Client) -> list[tuple[str, str | None]]:
    document = client.get(f"{PATH}/history?verify=true").get_json()
    assert document["verified"]["whole"]
    return [(change["action"], change["reason"]) for change in document["changes"]]


def job_state(job_id: str) -> str:
    with database.of_process()["prediction"].statements.connect() as connection:
        state: str = connection.execute(sa.select(tables.jobs.c.state).where(tables.jobs.c.id == job_id)).scalar_one()
    return state


def turn(job_id: str) -> str | None:
    """Let the job take its next turn, as if the time for it had come."""
    with database.of_process()["prediction"].transactions.begin() as connection:
        connection.execute(sa.update(tables.jobs).where(tables.jobs.c.id == job_id).values(run_after=0))
        connection.execute(sa.update(canary_checks).values(checked_at=0))
    return worker.perform({"id": job_id, "kind": ROLLOUT.name})


def tell(client: Client, version: int, *, right: int, wrong: int = 0) -> None:
    """Say of predictions of a version, made just now, how many were right and wrong."""
    with database.of_process()["prediction"].transactions.begin() as connection:
        [key, *_] = signing_keys.get_or_create(connection)
        now = connection.execute(sa.select(sa.func.max(tables.jobs.c.created_at))).scalar_one()
    answer = prediction_ids.Answer("greatness", version, f"greatness@{version}")
    head = prediction_ids.pack_head("great", 1, [answer])
    signer = prediction_ids.Signer(key["id"], bytes.fromhex(key["secret"]))
    items = [
        {
            "prediction_id": signer.sign("default", head, at_ms=now + 3_600_000, values=["yes"], is_number=False),
            "actual": "yes" if each < right else "no",
        }
        for each in range(right + wrong)
    ]
    assert client.post(f"{PATH}/feedback", json={"items": items}).get_json()["stored"] == right + wrong


def test_a_good_canary_takes_over_step_by_step(serving: Client) -> None:
    put(serving)
    shown = put(serving, CANARY)
    assert shares(serving) == {"greatness@1": 0.9, "greatness@2": 0.1}
    job = shown["canary"]["job"]
    turn(job)
    assert show(serving)["canary"]["step"] == 0
    tell(serving, 1, right=90, wrong=10)
    tell(serving, 2, right=90, wrong=10)
    turn(job)
    assert shares(serving) == {"greatness@1": 0.5, "greatness@2": 0.5}
    turn(job)
    assert shares(serving) == {"greatness@2": 1.0}
    canary = show(serving)["canary"]
    assert (canary["status"], canary["step"], job_state(job)) == ("promoted", 2, "succeeded")
    assert [check["verdict"] for check in canary["checks"]] == ["pass", "pass", "inconclusive"]
    assert canary["checks"][0]["metrics"][0]["canary"] == {"units": 100, "value": 0.9}
    actions = history(serving)
    assert [action for action, _ in actions] == ["canary_promoted", "canary_advanced", "put", "put"]
    assert "step 2 of 3 passed" in str(actions[0][1])


def test_a_canary_that_answers_wrong_is_rolled_back_at_once(serving: Client) -> None:
    put(serving)
    job = put(serving, CANARY)["canary"]["job"]
    tell(serving, 1, right=90, wrong=10)
    tell(serving, 2, right=10, wrong=90)
    turn(job)
    assert shares(serving) == {"greatness@1": 1.0}
    shown = show(serving)["canary"]
    assert (shown["status"], job_state(job)) == ("rolled_back", "succeeded")
    assert "worse by 0.8" in shown["reason"]
    assert history(serving)[0][0] == "canary_rolled_back"
    restarted = put(serving, CANARY)["canary"]
    assert (restarted["status"], restarted["step"]) == ("running", 0)
    assert restarted["job"] != job


def test_nothing_goes_on_without_feedback_and_then_what_was_asked_for_happens(serving: Client) -> None:
    gate = {**GATE, "on_inconclusive": "pause", "max_wait_seconds": 1}
    job = put(serving, {**CANARY, "gate": gate})["canary"]["job"]
    turn(job)
    with database.of_process()["prediction"].transactions.begin() as connection:
        connection.execute(
            sa.text("UPDATE deployments SET state = json_set(state, '$.canary.waits_since', 0) WHERE name = 'great'")
        )
    turn(job)
    shown = show(serving)["canary"]
    assert (shown["status"], shown["job"], shares(serving)["greatness@2"]) == ("paused", None, 0.1)
    assert "0 units with feedback" in shown["reason"]
    assert [check["verdict"] for check in shown["checks"]] == ["inconclusive", "inconclusive"]


@pytest.mark.parametrize("metric", ["error_rate", "latency"])
def test_no_traffic_never_goes_on(serving: Client, metric: str) -> None:
    metrics = [{"name": "p99" if metric == "latency" else metric, "source": metric}]
    job = put(serving, {**CANARY, "gate": {**GATE, "metrics": metrics}})["canary"]["job"]
    for _ in range(3):
        turn(job)
    assert show(serving)["canary"]["step"] == 0


def test_people_move_a_canary_with_a_reason(serving: Client) -> None:
    put(serving)
    job = put(serving, CANARY)["canary"]["job"]
    move(serving, "pause", "lunch")
    assert show(serving)["canary"] | {"status": "paused", "reason": "lunch", "job": None} == show(serving)["canary"]
    problem_of(serving.post(f"{PATH}/pause", json={}), 409)
    turn(job)
    assert job_state(job) == "succeeded"
    move(serving, "resume", "back")
    second = show(serving)["canary"]["job"]
    assert second not in (None, job)
    problem_of(serving.post(f"{PATH}/resume", json={}), 409)
    move(serving, "approve", "looks fine")
    assert shares(serving) == {"greatness@1": 0.5, "greatness@2": 0.5}
    move(serving, "abort", "does not")
    assert shares(serving) == {"greatness@1": 1.0}
    turn(second)
    assert job_state(second) == "succeeded"
    expected = [("abort", "does not"), ("approve", "looks fine"), ("resume", "back"), ("pause", "lunch")]
    assert history(serving)[:4] == expected
    for act in ("approve", "pause", "resume", "abort"):
        assert "its canary was aborted" in problem_of(serving.post(f"{PATH}/{act}", json={}), 409)["detail"]


def move(client: Client, act: str, reason: str) -> None:
    assert client.post(f"{PATH}/{act}", json={"reason": reason}).status_code == 200


def test_who_has_not_read_the_latest_revision_moves_nothing(serving: Client) -> None:
    put(serving, CANARY)
    for act in ("approve", "pause", "abort"):
        problem_of(serving.post(f"{PATH}/{act}", json={}, headers={"If-Match": '"9"'}), 412)


def test_without_a_gate_only_people_go_on(serving: Client) -> None:
    canary = put(serving, {"model": "greatness@2", "steps": [20, 100]})["canary"]
    assert (canary["job"], canary["gate"]) == (None, None)
    move(serving, "approve", "all well")
    assert (shares(serving), show(serving)["canary"]["status"]) == ({"greatness@2": 1.0}, "promoted")


def test_a_dry_run_checks_and_moves_nothing(serving: Client) -> None:
    put(serving)
    job = put(serving, {**CANARY, "gate": {**GATE, "dry_run": True}})["canary"]["job"]
    tell(serving, 1, right=90, wrong=10)
    tell(serving, 2, right=10, wrong=90)
    turn(job)
    shown = show(serving)["canary"]
    assert (shown["status"], shown["step"], shown["checks"][0]["verdict"]) == ("running", 0, "fail")


def test_the_same_document_again_is_no_change_and_a_limit_alone_keeps_the_step(serving: Client) -> None:
    first = put(serving, CANARY)
    move(serving, "approve", "well")
    again = put(serving, CANARY)
    assert (again["revision"], again["canary"]["step"]) == (first["revision"] + 1, 1)
    limited = put(serving, CANARY, max_waiting=7)
    assert (limited["max_waiting"], limited["canary"]["step"], limited["canary"]["job"]) == (
        7,
        1,
        first["canary"]["job"],
    )
    move(serving, "approve", "well")
    assert put(serving, CANARY, max_waiting=7)["revision"] == limited["revision"] + 1
    assert shares(serving) == {"greatness@2": 1.0}


def test_what_follows_from_a_rollback_or_another_document_ends_the_canary(serving: Client) -> None:
    put(serving)
    job = put(serving, CANARY)["canary"]["job"]
    put(serving, max_waiting=3)
    assert show(serving)["canary"] is None
    turn(job)
    assert job_state(job) == "succeeded"
    back = serving.post(f"{PATH}/rollback", json={"revision": 2}).get_json()
    assert back["canary"] is None
    assert shares(serving) == {"greatness@1": 0.9, "greatness@2": 0.1}


def test_a_worker_that_was_cut_off_moves_nothing(serving: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    put(serving)
    job = put(serving, CANARY)["canary"]["job"]
    tell(serving, 1, right=90, wrong=10)
    tell(serving, 2, right=90, wrong=10)
    peek = ledger.peek

    def lose_first(connection: sa.Connection, job_id: str, *, attempt: int) -> Any:
        # What the sweeper does to a job whose lease has run out, just before this worker looks.
        connection.execute(sa.update(tables.jobs).where(tables.jobs.c.id == job_id).values(state="queued"))
        return peek(connection, job_id, attempt=attempt)

    monkeypatch.setattr(ledger, "peek", lose_first)
    turn(job)
    assert (show(serving)["canary"]["step"], show(serving)["canary"]["checks"]) == (0, [])
    monkeypatch.setattr(ledger, "peek", peek)
    turn(job)
    assert (show(serving)["canary"]["step"], job_state(job)) == (1, "queued")


def test_a_turn_that_comes_too_early_rests_until_it_is_time(serving: Client) -> None:
    gate = {**GATE, "initial_delay_seconds": 3600}
    job = put(serving, {**CANARY, "gate": gate})["canary"]["job"]
    turn(job)
    assert show(serving)["canary"]["checks"] == []
    with database.of_process()["prediction"].statements.connect() as connection:
        wait = sa.select(tables.jobs.c.run_after - tables.jobs.c.created_at).where(tables.jobs.c.id == job)
        assert 3_500_000 < connection.execute(wait).scalar_one() < 3_700_000


@pytest.mark.parametrize(
    ("canary", "words"),
    [
        ({"model": "greatness@1"}, "route's already"),
        ({"model": "greatness@9"}, "'greatness@9' doesn't exist"),
        ({"model": "greatness@2", "steps": []}, "at least 1 item"),
        ({"model": "greatness@2", "steps": [50, 25, 100]}, "greater than the one before"),
        ({"model": "greatness@2", "steps": [5, 50]}, "must be 100"),
        ({"model": "greatness@2", "gate": {"metrics": []}}, "at least 1 item"),
        (
            {"model": "greatness@2", "gate": {"metrics": [{"name": "agreement", "source": "shadow_agreement"}]}},
            "is no shadow",
        ),
        (
            {"model": "greatness@2", "gate": {"metrics": [{"name": "p97", "source": "latency"}]}},
            "take mean, p50, p90, p95, p99",
        ),
        (
            {"model": "greatness@2", "gate": {"metrics": [ACCURACY], "interval_seconds": 0}},
            "greater than or equal to 1",
        ),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(serving: Client, canary: dict[str, Any], words: str) -> None:
    document = {"routes": [{"model": "greatness@1"}], "canary": canary}
    problem = problem_of(serving.put(PATH, json=document), 422)
    assert words in str(problem)
    assert problem["errors"][0]["pointer"].startswith("#/canary")


def test_nobody_can_submit_the_job_and_a_stranger_moves_nothing(
    populated_app: flask.Flask, serving: Client, keyring: dict[str, str]
) -> None:
    put(serving, CANARY)
    order = {"kind": ROLLOUT.name, "params": {"deployment": "great", "canary": 1}}
    problem_of(serving.post("/v1/jobs", json=order), 422)
    problem_of(client_of(populated_app, keyring["stranger"]).post(f"{PATH}/abort", json={}), 404)
    problem_of(client_of(populated_app, keyring["reader"]).post(f"{PATH}/abort", json={}), 403)
    assert show(serving)["canary"]["status"] == "running"
