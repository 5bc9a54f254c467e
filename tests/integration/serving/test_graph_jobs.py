"""Rows that graphs predict through the queue: by the members as they were when each job was accepted."""

from typing import Any

import flask.testing
import pytest

from shared.prediction.contract import INFER
from tests.integration import sample_data, worker
from tests.integration.steps import problem_of
from tests.integration.test_deployments import train
from workers import bodies
from workers.guard import Unguarded
from workers.prediction.online.versions import Version
from workers.turn import Turn

Client = flask.testing.FlaskClient
ROW: dict[str, Any] = {"a": 0.5, "b": 0.25, "word": "red"}


@pytest.fixture
def pair(populated: Client) -> Client:
    """Return a client, with two versions deployed apart, as `first` and `second`."""
    train(populated)
    for version, name in enumerate(("first", "second"), start=1):
        put(populated, name, routes=[{"model": f"greatness@{version}"}])
    return populated


def put(client: Client, name: str, **document: Any) -> None:
    response = client.put(f"/v1/deployments/{name}", json=document)
    assert response.status_code == 200, response.get_data(as_text=True)


def ask(client: Client, name: str, *rows: dict[str, Any], **options: Any) -> Any:
    return client.post(f"/v1/deployments/{name}/predictions", json={"instances": list(rows)}, **options)


def infer(client: Client, name: str, *rows: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = sample_data.done(client, ask(client, name, *rows))["result"]
    return result


def test_an_ensemble_answers_the_mean_and_names_who_failed(pair: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    put(pair, "both", ensemble={"members": ["first", "second"], "combine": "mean", "weights": [3, 1]})
    first, second = (infer(pair, name, ROW)["predictions"][0] for name in ("first", "second"))
    result = infer(pair, "both", ROW)
    [row] = result["predictions"]
    assert row["probability_yes"] == pytest.approx((3 * first["probability_yes"] + second["probability_yes"]) / 4)
    assert (result["versions"], result["failed_members"]) == (["both@1"], {})
    assert result["deployment"] == {"name": "both", "revision": 1}
    real = Version.predict

    def fail(version: Version, *args: Any, **options: Any) -> Any:
        if version.pin.version == 2:
            raise ZeroDivisionError
        return real(version, *args, **options)

    monkeypatch.setattr(Version, "predict", fail)
    result = infer(pair, "both", ROW)
    assert result["predictions"] == [first]
    assert result["failed_members"] == {"second": "greatness@2 has failed (ZeroDivisionError)"}


def test_jobs_of_one_turn_have_each_the_members_that_it_was_accepted_with(pair: Client) -> None:
    put(pair, "by-word", switch={"column": "word", "cases": {"red": "first"}, "default": "second"})
    rows = [ROW, {**ROW, "word": "blue"}]
    before = ask(pair, "by-word", *rows).get_json()
    put(pair, "first", routes=[{"model": "greatness@2"}])
    after = [ask(pair, "by-word", *rows).get_json(), ask(pair, "by-word", rows[1]).get_json()]
    body = bodies.of_role("prediction")[INFER.name][1]
    calls = []

    def counting(jobs: Any, commands: Any) -> Any:
        calls.append(len(jobs))
        return body(jobs, commands)

    turn = Turn("prediction", {INFER.name: (INFER, counting)}, owner="test", guard=Unguarded(turn_seconds=60))
    assert turn.work(before["id"]) is None
    assert calls == [3]
    results = [pair.get(job["links"]["self"]).get_json()["result"] for job in (before, *after)]
    assert [result["versions"] for result in results] == [
        ["greatness@1", "greatness@2"],
        ["greatness@2", "greatness@2"],
        ["greatness@2"],
    ]
    assert results[0]["predictions"][1] == results[2]["predictions"][0]


def test_a_sequence_needs_only_what_no_step_predicts(pair: Client) -> None:
    order = {"model": "greatness@1", "dataset": "things@1", "prefix": "first_", "name": "seen"}
    sample_data.done(pair, pair.post("/v1/predictions", json=order))
    sample_data.done(pair, pair.post("/v1/models/verdict", json={**sample_data.TRAINING, "dataset": "seen@1"}))
    put(pair, "judge", routes=[{"model": "verdict@1"}])
    put(pair, "chain", sequence={"steps": ["first", "judge"]})
    result = infer(pair, "chain", ROW)
    first = infer(pair, "first", ROW)["predictions"][0]
    judged = infer(pair, "judge", {**ROW, **{f"first_{name}": value for name, value in first.items()}})
    assert result["predictions"] == judged["predictions"]
    assert result["versions"] == ["verdict@1"]
    assert "'word'" in str(problem_of(ask(pair, "chain", {"a": 0.5, "b": 0.25}), 422))


def test_a_unit_is_sent_by_each_members_own_places(pair: Client) -> None:
    routes = [{"model": "greatness@1"}, {"model": "greatness@2"}]
    put(pair, "first", routes=routes, sticky_key="word")
    put(pair, "by-a", switch={"column": "a", "cases": {"9": "second"}, "default": "first"})
    rows = [{**ROW, "word": word} for word in ("red", "green", "blue", "grey")]
    assert infer(pair, "by-a", *rows)["versions"] == infer(pair, "first", *rows)["versions"]
    unit = {"headers": {"Millrace-Unit": "customer 7"}}
    alone, switched = (
        sample_data.done(pair, ask(pair, name, *rows, **unit))["result"]["versions"] for name in ("first", "by-a")
    )
    assert alone == switched
    assert len(set(alone)) == 1


def test_a_row_without_a_case_fails_its_job_and_not_the_others(pair: Client) -> None:
    put(pair, "by-word", switch={"column": "word", "cases": {"red": "first"}})
    good, bad = (ask(pair, "by-word", row).get_json() for row in (ROW, {**ROW, "word": "blue"}))
    for job in (good, bad):
        if pair.get(job["links"]["self"]).get_json()["state"] == "queued":
            worker.perform(job)
    shown = [pair.get(job["links"]["self"]).get_json() for job in (good, bad)]
    assert shown[0]["state"] == "succeeded"
    assert shown[1]["state"] == "failed"
    assert "row 1 has 'blue' in the column 'word'" in shown[1]["error"]["message"]


def test_a_dataset_is_not_predicted_by_a_graph(pair: Client) -> None:
    put(pair, "both", ensemble={"members": ["first", "second"], "combine": "mean"})
    refused = pair.post("/v1/predictions", json={"deployment": "both", "dataset": "things@1"})
    problem = problem_of(refused, 422)
    assert "can't predict a dataset" in problem["detail"]
    assert "first, second" in problem["errors"][0]["detail"]
