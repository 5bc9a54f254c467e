"""Gates: what can't be told is inconclusive, and feedback, errors and latencies are those of the step, by unit."""

import math
from collections.abc import Iterable
from typing import Any

import pytest
import sqlalchemy as sa

from shared import database
from shared.prediction import changes
from shared.prediction.canaries.document import Gate, GateMetric
from shared.prediction.shadows import stored
from shared.prediction.tables import feedback, served_counts
from tests.unit.prediction.tables import prediction_engines  # noqa: F401 - a fixture.
from workers.prediction.canaries import gate, measures
from workers.prediction.canaries.comparisons import Difference
from workers.prediction.canaries.gate import Arms, Measured, Verdict, judge
from workers.prediction.canaries.rollout import History, decide

ARMS = Arms("churn@2", ["churn@1"])
WINDOW = measures.Window("acme", "risk", 1000)


def metric(name: str = "accuracy", **fields: Any) -> GateMetric:
    source = "latency" if name.startswith("p") else "error_rate" if name == "error_rate" else "feedback"
    return GateMetric.model_validate({"name": name, "source": source, "min_units": 10, **fields})


def measured(low: float, high: float, units: tuple[int, int] = (100, 100)) -> Measured:
    return Measured(units, (0.0, 0.0), Difference((low + high) / 2, low, high))


@pytest.mark.parametrize(
    ("role", "low", "high", "verdict"),
    [
        ("guardrail", 0.03, 0.09, "fail"),
        ("guardrail", -0.01, 0.09, "pass"),
        ("guardrail", -0.01, math.inf, "pass"),
        ("goal", 0.03, 0.09, "fail"),
        ("goal", -0.01, 0.09, "inconclusive"),
        ("goal", -0.05, 0.02, "pass"),
        ("goal", -0.05, math.inf, "inconclusive"),
        ("goal", math.nan, math.nan, "inconclusive"),
        ("guardrail", math.nan, 0.0, "inconclusive"),
    ],
)
def test_a_guardrail_needs_no_proof_of_harm_and_a_goal_needs_proof_of_none(
    role: str, low: float, high: float, verdict: str
) -> None:
    assert judge(metric(role=role, margin=0.02), measured(low, high))[0] == verdict


@pytest.mark.parametrize("units", [(9, 100), (100, 9), (0, 0)])
@pytest.mark.parametrize("role", ["goal", "guardrail"])
def test_too_few_on_either_side_are_inconclusive(units: tuple[int, int], role: str) -> None:
    verdict, reason = judge(metric(role=role), measured(-0.5, -0.4, units))
    assert verdict == "inconclusive"
    assert f" {min(units)} units with feedback; 10 are needed" in reason


def settings(**fields: Any) -> Gate:
    return Gate(metrics=[metric()], **fields)


@pytest.mark.parametrize(
    ("verdict", "history", "fields", "move"),
    [
        ("pass", (), {}, "advance"),
        ("pass", (), {"dry_run": True}, "wait"),
        ("fail", (), {"dry_run": True}, "wait"),
        ("fail", (), {}, "roll_back"),
        ("fail", (0, 0), {"failure_limit": 1}, "wait"),
        ("fail", (1, 0), {"failure_limit": 1}, "roll_back"),
        ("error", (0, 3), {}, "wait"),
        ("error", (0, 4), {}, "roll_back"),
        ("inconclusive", (), {"on_inconclusive": "rollback", "max_wait_seconds": 61}, "wait"),
        ("inconclusive", (), {"on_inconclusive": "rollback", "max_wait_seconds": 60}, "roll_back"),
        ("inconclusive", (), {"on_inconclusive": "pause", "max_wait_seconds": 60}, "pause"),
        ("inconclusive", (), {"on_inconclusive": "wait", "max_wait_seconds": 60}, "wait"),
    ],
)
def test_only_a_pass_goes_on(verdict: Verdict, history: tuple[int, ...], fields: dict[str, Any], move: str) -> None:
    failures, errors_in_a_row = history or (0, 0)
    earlier = History(last_at=None, last_number=5, failures=failures, errors_in_a_row=errors_in_a_row)
    assert decide(verdict, earlier, settings(**fields), waited_ms=60_000) == move


def tell(engines: database.Engines, rows: Iterable[dict[str, Any]]) -> None:
    plain: dict[str, Any] = {
        "tenant_id": "acme",
        "deployment": "risk",
        "revision": 1,
        "model": "churn",
        "version": 1,
        "arm": "churn@1",
        "predicted_at": 2000,
        "received_at": 3000,
        "correct": None,
        "error": None,
        "value": None,
    }
    with engines.transactions.begin() as connection:
        full = [{**plain, "prediction": f"p{number}", **row} for number, row in enumerate(rows)]
        connection.execute(sa.insert(feedback), full)


def check(engines: database.Engines, *metrics: GateMetric) -> gate.Check:
    with engines.transactions.begin() as connection:
        return gate.check(connection, Gate(metrics=list(metrics)), WINDOW, ARMS)


def test_a_unit_counts_once_however_often_it_was_predicted(prediction_engines: database.Engines) -> None:  # noqa: F811
    tell(
        prediction_engines,
        [
            *({"unit": "often", "correct": 1} for _ in range(50)),
            {"unit": "once", "correct": 0},
            {"unit": "twice", "correct": 0},
            {"unit": "twice", "correct": 1},
        ],
    )
    with prediction_engines.statements.connect() as connection:
        found = measures.sum_feedback(connection, WINDOW, ["churn@1"], name="accuracy")
    assert (found.count, found.total, found.squares) == (3, 1.5, 1.25)


def test_others_predictions_and_earlier_ones_do_not_count(prediction_engines: database.Engines) -> None:  # noqa: F811
    apart: list[dict[str, Any]] = [
        {"predicted_at": 999},
        {"deployment": "other"},
        {"tenant_id": "other"},
        {"arm": "churn@2"},
        {"arm": ""},
        {"error": None},
    ]
    tell(prediction_engines, [{"unit": f"{number}", "error": -3.0, **each} for number, each in enumerate(apart)])
    tell_more = [{"unit": "in", "error": -2.0, "prediction": "in"}]
    tell(prediction_engines, tell_more)
    with prediction_engines.statements.connect() as connection:
        absolute = measures.sum_feedback(connection, WINDOW, ["churn@1"], name="absolute_error")
        squared = measures.sum_feedback(connection, WINDOW, ["churn@1"], name="squared_error")
        nothing = measures.sum_feedback(connection, WINDOW, ["churn@1"], name="value")
    assert (absolute.count, absolute.total, squared.total, nothing.count) == (1, 2.0, 4.0, 0)


def test_a_canary_that_answers_wrong_fails_and_one_that_answers_alike_passes(
    prediction_engines: database.Engines,  # noqa: F811
) -> None:
    def rows(arm: str, rate: float) -> list[dict[str, Any]]:
        return [
            {"unit": f"{arm}{each}", "arm": arm, "prediction": f"{arm}{each}", "correct": int(each < rate * 500)}
            for each in range(500)
        ]

    tell(prediction_engines, rows("churn@1", 0.9) + rows("churn@2", 0.5))
    failed = check(prediction_engines, metric(margin=0.02))
    assert failed.verdict == "fail"
    assert failed.metrics[0]["worse_by"] == pytest.approx(0.4)
    assert check(prediction_engines, metric(margin=0.6, role="goal")).verdict == "pass"


def count(engines: database.Engines, arm: str, *, requests: int, errors: int, bucket: int, at: int = 5000) -> None:
    with engines.transactions.begin() as connection:
        connection.execute(
            sa.insert(served_counts).values(
                tenant_id="acme",
                deployment="risk",
                arm=arm,
                started_at=at,
                requests=requests,
                errors=errors,
                seconds=1.0,
                histogram={f"{bucket}": requests},
            )
        )


@pytest.mark.parametrize(
    ("errors", "bucket", "verdicts"),
    [(0, 80, ("pass", "pass")), (300, 80, ("fail", "pass")), (0, 120, ("pass", "fail"))],
)
def test_errors_and_latencies_are_compared_over_the_same_time(
    prediction_engines: database.Engines,  # noqa: F811
    errors: int,
    bucket: int,
    verdicts: tuple[str, str],
) -> None:
    for at in (5000, 10_000):
        count(prediction_engines, "churn@1", requests=1000, errors=2, bucket=80, at=at)
        count(prediction_engines, "churn@2", requests=1000, errors=errors, bucket=bucket, at=at)
    # Before the step began everything failed.
    count(prediction_engines, "churn@1", requests=9000, errors=9000, bucket=200, at=500)
    found = check(prediction_engines, metric("error_rate", margin=0.01), metric("p99", margin=0.001))
    assert tuple(each["verdict"] for each in found.metrics) == verdicts
    assert found.verdict == ("fail" if "fail" in verdicts else "pass")
    assert found.metrics[0]["stable"] == {"units": 2000, "value": 0.002}


def test_no_traffic_is_never_a_pass(prediction_engines: database.Engines) -> None:  # noqa: F811
    found = check(prediction_engines, metric(), metric("error_rate"), metric("p99"))
    assert found.verdict == "inconclusive"
    assert {each["verdict"] for each in found.metrics} == {"inconclusive"}
    assert {each["worse_by"] for each in found.metrics} == {None}


@pytest.mark.parametrize(("agreeing", "failed", "verdict"), [(990, 0, "pass"), (900, 0, "fail"), (990, 100, "fail")])
def test_a_shadow_that_disagrees_or_fails_fails_the_gate(
    prediction_engines: database.Engines,  # noqa: F811
    agreeing: int,
    failed: int,
    verdict: str,
) -> None:
    agreement = GateMetric(name="agreement", source="shadow_agreement", margin=0.03)
    this, other = stored.Shadow(7, "churn@next", 2), stored.Shadow(3, "churn@next", 2)
    said: dict[tuple[stored.Shadow, str], dict[str, Any]] = {
        (this, "churn@1"): {"rows": 1000, "compared": 1000, "agreeing": agreeing},
        (this, ""): {"failed": {"KeyError": failed}},
        (other, "churn@1"): {"rows": 50_000, "compared": 50_000, "agreeing": 0},
    }
    keys = {stored.Key("acme", "risk", shadow, answered, 0): sums for (shadow, answered), sums in said.items()}
    with prediction_engines.transactions.begin() as connection:
        head = changes.lock(connection, tenant_id="acme", name="risk")
        author = changes.Author(action="put", changed_by="key")
        changes.append(connection, head, {"shadow": [{"id": 7}]}, pins={}, author=author)
        assert gate.check(connection, Gate(metrics=[agreement]), WINDOW, ARMS).verdict == "inconclusive"
        stored.add(connection, keys)
    checked = check(prediction_engines, agreement)
    assert checked.verdict == verdict
    assert checked.metrics[0]["canary"] == {"units": 1000 + failed, "value": agreeing / (1000 + failed)}
