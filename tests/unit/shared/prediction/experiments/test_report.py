"""The report of an experiment, from observed sums to the verdict."""

import math
from typing import Any

import numpy as np
import pytest

from shared.prediction.experiments import lifecycle, report, sums
from shared.prediction.experiments.document import Experiment, Guardrail, Metric
from shared.prediction.experiments.observed import DAY_MS, Cohort, Observed

FIRST_DAY = 20_800


def begin(*arms: str, **changes: Any) -> dict[str, Any]:
    """Begin an experiment on the value per unit, with revision 7 and at the start of the first day."""
    experiment = Experiment(
        hypothesis="More is sold.",
        goal=Metric(name="value", per="unit"),
        guardrails=[Guardrail(name="accuracy")],
        **changes,
    )
    references = {arm: arm for arm in arms}
    state = lifecycle.follow(
        experiment,
        before=None,
        unit="customer",
        arms=list(arms),
        references=references,
        revision=7,
        at_ms=FIRST_DAY * DAY_MS,
    )
    assert state is not None
    return state


def cohort(arm: str, *, mean: float, units: int = 1000, day: int = 0, right: float = 0.8, seed: int = 0) -> Cohort:
    """Draw the units of an arm that came on a day, all with feedback on five predictions each."""
    generator = np.random.default_rng([seed, day, *arm.encode()])
    values = generator.normal(mean, 1.0, units)
    correct = generator.binomial(5, right, units).astype(float)
    return Cohort(
        day=FIRST_DAY + day,
        arm=arm,
        revision=7,
        units=units,
        units_with_feedback=units,
        sums=[sums.add_units(values.tolist()), sums.add_units(correct.tolist(), denominators=[5.0] * units)],
    )


def observe(*cohorts: Cohort, days: int = 1, weights: Any = None, moved: int = 0, versions: Any = None) -> Observed:
    arms = {each.arm for each in cohorts}
    return Observed(
        cohorts=cohorts,
        weights=weights or {7: dict.fromkeys(arms, 1.0)},
        versions=versions or {arm: [1] for arm in arms},
        units_in_two_arms=moved,
        delays_seconds={arm: {"p50": 1.0, "p90": 2.0, "p99": 3.0} for arm in arms},
        at_ms=(FIRST_DAY + days) * DAY_MS,
    )


def find_not_finite(value: Any, path: str = "") -> list[str]:
    """List where a document has a number that JSON knows no token for."""
    if isinstance(value, dict):
        return [found for name, member in value.items() for found in find_not_finite(member, f"{path}/{name}")]
    if isinstance(value, list):
        return [found for member in value for found in find_not_finite(member, f"{path}/-")]
    return [path] if isinstance(value, float) and not math.isfinite(value) else []


def test_a_clear_effect_without_harm_is_to_be_shipped() -> None:
    found = report.compose(begin("m@1", "m@2"), observe(cohort("m@1", mean=2.0), cohort("m@2", mean=2.4)))
    assert (found["verdict"]["kind"], found["verdict"]["arm"]) == ("ship", "m@2")
    goal, accuracy = found["metrics"]
    [comparison] = goal["comparisons"]
    assert comparison["absolute"]["estimate"] == pytest.approx(0.4, abs=0.1)
    assert comparison["relative"]["estimate"] == pytest.approx(0.2, abs=0.05)
    assert comparison["absolute"]["sequence"]["low"] > 0
    assert comparison["adjusted_p"] == comparison["absolute"]["sequence"]["p"]
    assert accuracy["comparisons"][0]["harmed"] is False
    assert [(each["arm"], each["role"], each["units"], each["expected_units"]) for each in found["arms"]] == [
        ("m@1", "control", 1000, 1000),
        ("m@2", "treatment", 1000, 1000),
    ]


def test_a_guardrail_that_is_harmed_leaves_the_decision_to_the_reader() -> None:
    observed = observe(cohort("m@1", mean=2.0), cohort("m@2", mean=2.4, right=0.6))
    found = report.compose(begin("m@1", "m@2"), observed)
    assert found["verdict"]["kind"] == "your_call"
    assert found["metrics"][1]["comparisons"][0]["harmed"] is True


def test_a_skewed_split_makes_all_figures_untrustworthy() -> None:
    observed = observe(cohort("m@1", mean=2.0, units=4600), cohort("m@2", mean=2.4, units=5400))
    found = report.compose(begin("m@1", "m@2"), observed)
    assert found["verdict"]["kind"] == "unhealthy"
    assert found["sample_ratio"]["alarm"] is True
    assert "sample ratio mismatch" in found["verdict"]["reasons"][0]


def test_feedback_that_one_arm_lacks_makes_them_untrustworthy_too() -> None:
    lacking = cohort("m@2", mean=2.0)
    lacking = Cohort(**{**vars(lacking), "units_with_feedback": 700})
    found = report.compose(begin("m@1", "m@2"), observe(cohort("m@1", mean=2.0), lacking))
    assert found["verdict"]["kind"] == "unhealthy"
    assert found["feedback_shares"]["alarm"] is True
    assert found["arms"][1]["feedback_share"] == 0.7


def test_units_in_two_arms_are_a_problem_unless_weights_explain_them() -> None:
    cohorts = [cohort("m@1", mean=2.0), cohort("m@2", mean=2.0)]
    state = begin("m@1", "m@2")
    unexplained = report.compose(state, observe(*cohorts, moved=21))
    assert unexplained["verdict"]["kind"] == "unhealthy"
    changed = {7: {"m@1": 1.0, "m@2": 1.0}, 8: {"m@1": 1.0, "m@2": 3.0}}
    explained = report.compose(state, observe(*cohorts, moved=21, weights=changed))
    assert explained["verdict"]["kind"] == "keep_running"
    assert "21 units were in two arms" in explained["warnings"][0]
    assert report.compose(state, observe(*cohorts, moved=20))["warnings"] == []


def test_an_arm_that_stood_for_two_versions_is_named() -> None:
    observed = observe(cohort("m@1", mean=2), cohort("m@new", mean=2), versions={"m@1": [1], "m@new": [2, 3]})
    assert "m@new" in report.compose(begin("m@1", "m@new"), observed)["warnings"][0]


def test_p_values_of_three_arms_are_adjusted_and_their_sequences_are_wider() -> None:
    three = [cohort(arm, mean=mean) for arm, mean in (("m@1", 2.0), ("m@2", 2.15), ("m@3", 2.02))]
    found = report.compose(begin("m@1", "m@2", "m@3"), observe(*three))
    two = report.compose(begin("m@1", "m@2"), observe(*three[:2]))
    second, third = found["metrics"][0]["comparisons"]
    assert second["adjusted_p"] == pytest.approx(2 * second["absolute"]["sequence"]["p"])
    assert third["adjusted_p"] == 1
    alone = two["metrics"][0]["comparisons"][0]["absolute"]["sequence"]
    assert second["absolute"]["sequence"]["low"] < alone["low"]
    assert sum(found["thompson_weights"]["shares"].values()) == pytest.approx(1)
    assert two["thompson_weights"]["shares"] is None


def test_the_course_ends_with_the_effect_of_today() -> None:
    days = [cohort(arm, mean=2.0, day=day, units=300) for day in range(4) for arm in ("m@1", "m@2")]
    found = report.compose(begin("m@1", "m@2"), observe(*days, days=4))
    assert [(point["day"], point["units"]) for point in found["over_time"]] == [
        ("2026-12-13", 600),
        ("2026-12-14", 1200),
        ("2026-12-15", 1800),
        ("2026-12-16", 2400),
    ]
    assert found["over_time"][-1]["sequence"] == found["metrics"][0]["comparisons"][0]["absolute"]["sequence"]


def test_how_long_to_run_is_told_by_the_units_that_come_a_day() -> None:
    days = [cohort(arm, mean=2.0, day=day, units=300) for day in range(2) for arm in ("m@1", "m@2")]
    found = report.compose(begin("m@1", "m@2", minimum_effect=0.04), observe(*days, days=2))
    duration = found["durations"]["m@2"]
    assert duration["days_left"] == pytest.approx((duration["units_needed"] - 1200) / 600)
    assert found["verdict"]["days_left"] == duration["days_left"]


@pytest.mark.parametrize(
    ("cohorts", "kind"),
    [
        ([], "no_data"),
        ([cohort("m@1", mean=0.0, units=1), cohort("m@2", mean=0.0, units=1)], "keep_running"),
        ([cohort("m@1", mean=-5.0), cohort("m@2", mean=-5.0)], "keep_running"),
        ([cohort("m@1", mean=1e150), cohort("m@2", mean=1e-150)], "keep_running"),
    ],
)
def test_a_report_has_only_numbers_that_json_knows(cohorts: list[Cohort], kind: str) -> None:
    found = report.compose(begin("m@1", "m@2"), observe(*cohorts))
    assert find_not_finite(found) == []
    assert found["verdict"]["kind"] == kind


def test_the_sums_of_all_days_are_those_that_the_report_is_made_of() -> None:
    days = [cohort(arm, mean=2.0, day=day, units=300) for day in range(2) for arm in ("m@1", "m@2")]
    state, observed = begin("m@1", "m@2"), observe(*days, days=2)
    rows = [row for row in report.list_sums(state, observed) if row["metric"] == "value" and row["arm"] == "m@2"]
    assert [row["day"] for row in rows] == ["2026-12-13", "2026-12-14"]
    summary = report.compose(state, observed)["metrics"][0]["arms"][1]
    assert sum(row["total"] for row in rows) / sum(row["units"] for row in rows) == pytest.approx(summary["mean"])


def test_only_weights_may_change_without_beginning_anew() -> None:
    state = begin("m@1", "m@2")
    document = lifecycle.read_document(state)

    def follow(experiment: Experiment | None, *arms: str, unit: str = "customer") -> Any:
        references = {arm: arm for arm in arms}
        return lifecycle.follow(
            experiment, before=state, unit=unit, arms=arms, references=references, revision=9, at_ms=5
        )

    assert follow(document, "m@1", "m@2") == state
    assert follow(None, "m@1", "m@2") is None
    for other in (
        follow(document.model_copy(update={"alpha": 0.01}), "m@1", "m@2"),
        follow(document, "m@1", "m@2", "m@3"),
        follow(document.model_copy(update={"control": "m@2"}), "m@1", "m@2"),
        follow(document, "m@1", "m@2", unit="device"),
    ):
        assert (other["id"], other["started_at"]) == (9, 5)


def test_an_experiment_that_ended_does_not_begin_again_by_a_rollback() -> None:
    state = begin("m@1", "m@2")
    arms = ["m@1", "m@2"]
    assert lifecycle.keep_on_return(state, now=state, arms=arms) == state
    assert lifecycle.keep_on_return(state, now=None, arms=arms) is None
    assert lifecycle.keep_on_return(state, now={**state, "id": 9}, arms=arms) is None
    assert lifecycle.keep_on_return(None, now=state, arms=arms) is None
