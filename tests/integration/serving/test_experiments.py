"""Experiments of deployments: fixed when they begin, and reported from exposures and feedback, by units."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import flask.testing
import numpy as np
import pytest
import sqlalchemy as sa

from shared import clock, database
from shared.prediction.tables import exposures, feedback
from tests.integration.steps import problem_of
from tests.integration.test_deployments import PATH, history, put, route, train

Client = flask.testing.FlaskClient
ARMS = ("greatness@1", "greatness@2")
EXPERIMENT = {
    "hypothesis": "The second version is right more often.",
    "goal": {"name": "accuracy"},
    "guardrails": [{"name": "value", "per": "unit", "without_feedback": "zero", "margin": 0.05}],
}


def begin(client: Client, **changes: Any) -> dict[str, Any]:
    train(client)
    return put(client, route("1", 50), route("2", 50), sticky_key="customer", experiment={**EXPERIMENT, **changes})


def report(client: Client) -> dict[str, Any]:
    response = client.get(f"{PATH}/experiment")
    assert response.status_code == 200, response.get_data(as_text=True)
    document: dict[str, Any] = response.get_json()
    return document


def expose(rows: Sequence[dict[str, Any]]) -> None:
    """Store exposures as the sweeper does."""
    with database.of_process()["prediction"].transactions.begin() as connection:
        now = connection.execute(sa.select(clock.now_ms())).scalar_one()
        defaults = {"tenant_id": "default", "deployment": "great", "revision": 1, "first_seen_at": now}
        connection.execute(sa.insert(exposures), [{**defaults, **row} for row in rows])


def tell(rows: Sequence[dict[str, Any]]) -> None:
    """Store feedback as its route does."""
    with database.of_process()["prediction"].transactions.begin() as connection:
        now = connection.execute(sa.select(clock.now_ms())).scalar_one()
        defaults = {
            "tenant_id": "default",
            "deployment": "great",
            "revision": 1,
            "model": "greatness",
            "version": 1,
            "predicted_at": now - 60_000,
            "received_at": now,
            "predicted": "yes",
            "actual": "yes",
            "correct": None,
            "error": None,
            "value": None,
        }
        connection.execute(
            sa.insert(feedback),
            [{**defaults, "prediction": f"{row['unit']}.{index}", **row} for index, row in enumerate(rows)],
        )


def fill(*, units: int = 1000, rates: tuple[float, float] = (0.6, 0.7), seed: int = 1) -> None:
    """Expose units to both arms alternately, each with five predictions, and say which were right and worth 2."""
    generator = np.random.default_rng(seed)
    names = [f"{number:016x}" for number in range(units)]
    expose([{"unit": name, "arm": ARMS[number % 2]} for number, name in enumerate(names)])
    right = generator.random((units, 5)) < np.array(rates)[np.arange(units) % 2][:, None]
    tell(
        [
            {"unit": name, "arm": ARMS[number % 2], "correct": int(each), "value": 2.0}
            for number, name in enumerate(names)
            for each in right[number]
        ]
    )


def test_an_experiment_is_in_the_ledger_and_only_weights_may_change(populated: Client) -> None:
    begun = begin(populated)
    assert (begun["experiment"]["id"], begun["experiment"]["control"]) == (1, "greatness@1")
    assert begun["experiment"]["alpha"] == 0.05
    shifted = put(populated, route("1", 20), route("2", 80), sticky_key="customer", experiment=EXPERIMENT)
    assert shifted["revision"] == 2
    assert shifted["experiment"] == begun["experiment"]
    stricter = put(
        populated, route("1", 20), route("2", 80), sticky_key="customer", experiment={**EXPERIMENT, "alpha": 0.01}
    )
    assert (stricter["experiment"]["id"], stricter["experiment"]["alpha"]) == (3, 0.01)
    ended = put(populated, route("1", 20), route("2", 80), sticky_key="customer")
    assert ended["experiment"] is None
    shown = history(populated, "?verify=true")
    assert shown["verified"]["whole"] is True
    assert [change["state"]["experiment"] and change["state"]["experiment"]["id"] for change in shown["changes"]] == [
        *(None, 3, 1, 1)
    ]


def test_a_rollback_does_not_begin_an_ended_experiment_again(populated: Client) -> None:
    begin(populated)
    put(populated, route("1", 20), route("2", 80), sticky_key="customer")
    returned = populated.post(f"{PATH}/rollback", json={}).get_json()
    assert returned["experiment"] is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sticky_key": None}, "an experiment needs a `sticky_key`"),
        ({"routes": [route("1")]}, "and there is one; name two or more"),
        ({"experiment": {**EXPERIMENT, "control": "greatness@9"}}, "'greatness@9' is the `model` of no route"),
        ({"experiment": {**EXPERIMENT, "goal": {"name": "squared_error"}}}, "which there is not of classification"),
        ({"experiment": {**EXPERIMENT, "goal": {"name": "accuracy", "per": "unit"}}}, "has no sum per unit"),
        ({"experiment": {**EXPERIMENT, "alpha": 0}}, "greater than or equal"),
    ],
)
def test_an_experiment_that_can_not_work_is_refused(populated: Client, changes: dict[str, Any], words: str) -> None:
    train(populated)
    document = {"routes": [route("1"), route("2")], "sticky_key": "customer", "experiment": EXPERIMENT, **changes}
    assert words in problem_of(populated.put(PATH, json=document), 422)["detail"]


def test_a_report_counts_units_and_finds_the_effect(populated: Client) -> None:
    begin(populated)
    fill()
    found = report(populated)
    assert [(arm["units"], arm["units_with_feedback"]) for arm in found["arms"]] == [(500, 500), (500, 500)]
    assert found["arms"][0]["feedback_delay_seconds"] == {"p50": 60.0, "p90": 60.0, "p99": 60.0}
    accuracy, value = found["metrics"]
    assert accuracy["comparisons"][0]["absolute"]["estimate"] == pytest.approx(0.1, abs=0.04)
    assert [arm["mean"] for arm in value["arms"]] == [10, 10]
    assert value["comparisons"][0]["absolute"]["reason"] == "in the control, all units have the same value so far"
    assert (found["verdict"]["kind"], found["verdict"]["arm"]) == ("ship", "greatness@2")


def test_the_sums_are_those_of_the_units(populated: Client) -> None:
    begin(populated)
    expose([{"unit": "a" * 16, "arm": ARMS[0]}, {"unit": "b" * 16, "arm": ARMS[0]}, {"unit": "c" * 16, "arm": ARMS[0]}])
    tell(
        [
            {"unit": "a" * 16, "arm": ARMS[0], "correct": 1, "value": 3.0},
            {"unit": "a" * 16, "arm": ARMS[0], "correct": 0, "value": 4.0},
            {"unit": "b" * 16, "arm": ARMS[0], "correct": 1, "value": None},
            # These belong to no unit of the experiment: never exposed, and sent to a version that the client chose.
            {"unit": "d" * 16, "arm": ARMS[0], "correct": 1, "value": 100.0},
            {"unit": "c" * 16, "arm": "", "correct": 1, "value": 100.0},
        ]
    )
    rows = populated.get(f"{PATH}/experiment/sums").get_json()["sums"]
    figures = ("metric", "units", "total", "squares", "denominator_total", "denominator_squares", "products")
    assert [[row[name] for name in figures] for row in rows] == [
        ["accuracy", 2, 2, 2, 3, 5, 3],
        ["value", 3, 7, 49, None, None, None],
    ]
    downloaded = populated.get(f"{PATH}/experiment/sums.csv")
    assert downloaded.content_type.startswith("text/csv")
    table = list(csv.DictReader(io.StringIO(downloaded.get_data(as_text=True))))
    assert [(row["metric"], float(row["total"])) for row in table] == [("accuracy", 2), ("value", 7)]


def test_a_unit_in_two_arms_counts_for_the_one_that_it_met_first(populated: Client) -> None:
    begin(populated)
    unit = "a" * 16
    expose([{"unit": unit, "arm": arm, "first_seen_at": at} for arm, at in zip(ARMS, (2000, 1000), strict=True)])
    tell([{"unit": unit, "arm": ARMS[0], "correct": 1}, {"unit": unit, "arm": ARMS[1], "correct": 0}])
    found = report(populated)
    assert [arm["units"] for arm in found["arms"]] == [0, 1]
    assert found["units_in_two_arms"] == 1
    assert [arm["mean"] for arm in found["metrics"][0]["arms"]] == [None, 0.5]


def test_what_was_seen_before_the_experiment_does_not_count(populated: Client) -> None:
    train(populated)
    put(populated, route("1", 50), route("2", 50), sticky_key="customer")
    begin(populated)
    expose([{"unit": "a" * 16, "arm": ARMS[0], "revision": 1}, {"unit": "b" * 16, "arm": ARMS[0], "revision": 2}])
    found = report(populated)
    assert found["experiment"]["id"] == 2
    assert [arm["units"] for arm in found["arms"]] == [1, 0]
    assert found["verdict"]["kind"] == "no_data"


def test_expected_units_follow_the_weights_of_each_time(populated: Client) -> None:
    begin(populated)
    put(populated, route("1", 10), route("2", 90), sticky_key="customer", experiment=EXPERIMENT)
    first = [{"unit": f"1{number:015x}", "arm": ARMS[number % 2], "revision": 1} for number in range(200)]
    second = [{"unit": f"2{number:015x}", "arm": ARMS[number % 10 > 0], "revision": 2} for number in range(200)]
    expose([*first, *second])
    found = report(populated)
    assert [(arm["units"], arm["expected_units"]) for arm in found["arms"]] == [(120, 120), (280, 280)]
    assert found["sample_ratio"]["alarm"] is False


def test_values_that_can_not_be_squared_break_no_report(populated: Client) -> None:
    begin(populated)
    expose([{"unit": f"{number:016x}", "arm": ARMS[number % 2]} for number in range(4)])
    values = (1e308, 1e-308, -1e308, 5.0)
    tell([{"unit": f"{number:016x}", "arm": ARMS[number % 2], "value": value} for number, value in enumerate(values)])
    means = [arm["mean"] for arm in report(populated)["metrics"][1]["arms"]]
    assert means == [0, 2.5]


def test_where_no_experiment_runs_it_says_so(populated: Client) -> None:
    assert "There is no deployment" in problem_of(populated.get(f"{PATH}/experiment"), 404)["detail"]
    put(populated, route("1"))
    assert "has no `experiment`" in problem_of(populated.get(f"{PATH}/experiment"), 404)["detail"]
    assert "has no `experiment`" in problem_of(populated.get(f"{PATH}/experiment/sums"), 404)["detail"]


def test_another_tenant_sees_no_report(populated_app: flask.Flask, populated: Client, keyring: dict[str, str]) -> None:
    begin(populated)
    stranger = populated_app.test_client()
    answer = stranger.get(f"{PATH}/experiment", headers={"Authorization": f"Bearer {keyring['stranger']}"})
    assert "There is no deployment" in problem_of(answer, 404)["detail"]
