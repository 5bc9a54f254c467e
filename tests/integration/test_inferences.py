"""Rows that are predicted through the queue: by the deployment as it was, each job with its own answer."""

from typing import Any

import flask.testing
import pytest

from shared.prediction import shares
from shared.prediction.contract import INFER
from tests.integration import sample_data, worker
from tests.integration.steps import problem_of
from tests.integration.test_deployments import put, route, train
from workers import bodies
from workers.guard import Unguarded
from workers.turn import Turn

Client = flask.testing.FlaskClient
PATH = "/v1/deployments/great/predictions"
ROW = {"a": 0.5, "b": 0.25, "word": "red"}
BATCH = "/v1/predictions"


def ask(client: Client, *rows: dict[str, Any], **options: Any) -> Any:
    return client.post(PATH, json={"instances": list(rows or [ROW])}, **options)


def infer(client: Client, *rows: dict[str, Any], **options: Any) -> dict[str, Any]:
    result: dict[str, Any] = sample_data.done(client, ask(client, *rows, **options))["result"]
    return result


def deploy_two(client: Client, **fields: Any) -> None:
    train(client)
    put(client, route("1", 50), route("2", 50), **fields)


def batch(client: Client, **order: Any) -> list[dict[str, Any]]:
    made = sample_data.done(client, client.post(BATCH, json={"name": "guesses-2", **order}))["result"]["dataset"]
    rows = client.get(f"/v1/datasets/guesses-2/versions/{made['version']}/rows?limit=500").get_json()
    return [dict(row) if isinstance(row, dict) else row for row in rows["rows"]]


def test_the_answer_is_what_a_batch_says_of_the_same_rows(populated: Client) -> None:
    put(populated, route("1"))
    things = populated.get("/v1/datasets/things/versions/1/rows?limit=5").get_json()["rows"]
    guesses = populated.get("/v1/datasets/guesses/versions/1/rows?limit=5").get_json()["rows"]
    result = infer(populated, *things)
    assert result["versions"] == ["greatness@1"] * 5
    assert result["deployment"] == {"name": "great", "revision": 1}
    for prediction, guess in zip(result["predictions"], guesses, strict=True):
        assert prediction["prediction"] == guess["prediction"]
        assert prediction["probability_yes"] == pytest.approx(guess["probability_yes"], rel=1e-12)
        assert set(prediction) == {"prediction", "probability_no", "probability_yes"}


def test_a_job_is_pinned_to_what_the_deployment_was_when_it_was_accepted(populated: Client) -> None:
    train(populated)
    put(populated, route("1"))
    before = ask(populated).get_json()
    put(populated, route("2"))
    after = ask(populated).get_json()
    populated.delete("/v1/deployments/great")
    for job, version, revision in ((before, 1, 1), (after, 2, 2)):
        assert worker.perform(job) is None
        result = populated.get(job["links"]["self"]).get_json()["result"]
        assert result["versions"] == [f"greatness@{version}"]
        assert result["deployment"]["revision"] == revision
    assert "no deployment 'great'" in problem_of(ask(populated), 404)["detail"]


def test_a_unit_gets_the_same_version_as_online(populated: Client) -> None:
    deploy_two(populated, sticky_key="word")
    state = populated.get("/v1/deployments/great/history").get_json()["changes"][0]["state"]
    table = shares.tabulate([[[0, 5000]], [[5000, 10_000]]])
    assert [each["share"] for each in state["routes"]] == [0.5, 0.5]
    rows = [{**ROW, "word": word} for word in ("red", "green", "blue", "grey", None)]
    expected = [f"greatness@{table[shares.place_of(str(row['word'] or ''), seed='great')] + 1}" for row in rows]
    assert infer(populated, *rows)["versions"] == expected
    assert len(set(expected)) == 2
    unit = "customer 7"
    label = f"greatness@{table[shares.place_of(unit, seed='great')] + 1}"
    assert infer(populated, *rows, headers={"Millrace-Unit": unit})["versions"] == [label] * 5


def test_without_a_unit_the_rows_of_a_job_have_one_draw(populated: Client) -> None:
    deploy_two(populated)
    drawn = [infer(populated, ROW, ROW)["versions"] for _ in range(12)]
    assert all(len(set(versions)) == 1 for versions in drawn)
    assert len({versions[0] for versions in drawn}) == 2


def test_what_waits_is_done_together_and_each_gets_its_own_answer(populated: Client) -> None:
    deploy_two(populated, sticky_key="word")
    rows = [{**ROW, "a": number / 10, "word": word} for number, word in enumerate(("red", "green", "blue", "red"))]
    alone = [infer(populated, row)["predictions"] for row in rows]
    jobs = [ask(populated, row).get_json() for row in rows]
    bad = ask(populated, {**ROW, "a": "much"}).get_json()
    body = bodies.of_role("prediction")[INFER.name][1]
    calls = []

    def counting(given: Any, commands: Any) -> Any:
        calls.append(len(given))
        return body(given, commands)

    turn = Turn("prediction", {INFER.name: (INFER, counting)}, owner="test", guard=Unguarded(turn_seconds=60))
    assert turn.work(jobs[0]["id"]) is None
    assert calls == [5, 1, 1, 1, 1, 1]
    shown = [populated.get(job["links"]["self"]).get_json() for job in (*jobs, bad)]
    assert [job["state"] for job in shown] == ["succeeded"] * 4 + ["failed"]
    for job, [expected] in zip(shown[:4], alone, strict=True):
        [prediction] = job["result"]["predictions"]
        assert prediction.pop("prediction") == expected.pop("prediction")
        assert prediction == pytest.approx(expected, rel=1e-12)
    assert shown[4]["error"]["type"] == "BadDataError"
    assert "in row 1" in shown[4]["error"]["message"]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"instances": []}, "at least 1 item"),
        ({"instances": [1]}, "valid dictionary"),
        ({"rows": []}, "not permitted"),
        ({"instances": [{"a": 1, "b": 2}]}, "missing: column 'word'"),
    ],
)
def test_what_is_wrong_is_refused(populated: Client, document: dict[str, Any], words: str) -> None:
    put(populated, route("1"))
    problem = problem_of(populated.post(PATH, json=document), 422)
    assert words in str(problem)


def test_a_deployment_that_is_not_there_is_named(populated: Client) -> None:
    order = {"kind": "prediction.infer", "params": {"deployment": "none", "instances": [ROW]}}
    problem = problem_of(populated.post("/v1/jobs", json=order), 422)
    assert problem["errors"][0]["pointer"] == "#/params/deployment"
    problem = problem_of(populated.post(BATCH, json={"deployment": "none", "dataset": "things@1"}), 422)
    assert problem["errors"][0]["pointer"] == "#/deployment"


@pytest.mark.parametrize("given", [{}, {"model": "greatness@1", "deployment": "great"}])
def test_a_batch_names_a_model_or_a_deployment(populated: Client, given: dict[str, str]) -> None:
    problem = problem_of(populated.post(BATCH, json={**given, "dataset": "things@1"}), 422)
    assert "either a `model` or a `deployment`" in str(problem)


def test_a_batch_by_a_deployment_says_which_version_answered(populated: Client) -> None:
    deploy_two(populated, sticky_key="word")
    rows = batch(populated, deployment="great", dataset="things@1")
    words = {row["word"] for row in rows}
    expected = {word: infer(populated, {**ROW, "word": word})["versions"][0] for word in words}
    assert {(row["word"], row["prediction_version"]) for row in rows} == set(expected.items())
    for row in rows[:3]:
        answer = infer(populated, {name: row[name] for name in ("a", "b", "word")})["predictions"][0]
        assert answer["prediction"] == row["prediction"]
        assert answer["probability_yes"] == pytest.approx(row["probability_yes"], rel=1e-12)
    lineage = populated.get("/v1/datasets/guesses-2/versions/1").get_json()["lineage"]
    assert (lineage["deployment"], lineage["models"]) == ("great@1", ["greatness@1", "greatness@2"])


def test_a_batch_without_a_sticky_column_draws_each_row_and_again_the_same(populated: Client) -> None:
    deploy_two(populated)
    accepted = populated.post(BATCH, json={"deployment": "great", "dataset": "things@1", "name": "guesses-2"})
    sample_data.done(populated, accepted)
    rows = populated.get("/v1/datasets/guesses-2/versions/1/rows?limit=500").get_json()["rows"]
    counts = [sum(row["prediction_version"] == f"greatness@{version}" for row in rows) for version in (1, 2)]
    assert min(counts) > 30


def test_a_batch_needs_the_sticky_column(populated: Client) -> None:
    put(populated, route("1"), sticky_key="customer")
    problem = problem_of(populated.post(BATCH, json={"deployment": "great", "dataset": "things@1"}), 422)
    assert "missing: column 'customer'" in str(problem)
