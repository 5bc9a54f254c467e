"""What a report advises."""

from typing import Any

import pytest

from shared.prediction.experiments import verdicts
from shared.prediction.experiments.duration import Duration
from shared.prediction.experiments.effects import Effect, Interval
from shared.prediction.experiments.verdicts import Arm, Guardrail


def effect(low: float, high: float) -> Effect:
    p = 0.5 if low <= 0 <= high else 0.001
    interval = Interval(low=low, high=high, p=p)
    return Effect(estimate=(low + high) / 2, standard_error=0.01, sequence=interval, plain=interval)


BETTER, WORSE, OPEN = effect(0.01, 0.05), effect(-0.05, -0.01), effect(-0.02, 0.03)


def guardrail(relative: Effect, *, margin: float = 0.0, better: Any = "higher") -> Guardrail:
    return Guardrail(name="retention", better=better, margin=margin, relative=relative, absolute=relative)


def arm(goal: Effect, *guardrails: Guardrail, name: str = "b", units: int = 5000, days: float | None = 3.0) -> Arm:
    return Arm(
        name=name,
        units=units,
        effect=goal,
        adjusted_p=goal.sequence.p if goal.sequence else None,
        guardrails=guardrails,
        duration=Duration(units_needed=20_000, days_left=days),
    )


def decide(*arms: Arm, **options: Any) -> verdicts.Verdict:
    settings = {"control_units": 5000, "problems": [], "better": "higher", "alpha": 0.05, **options}
    return verdicts.decide(arms, **settings)


@pytest.mark.parametrize(
    ("arms", "kind"),
    [
        ([arm(BETTER)], "ship"),
        ([arm(BETTER, guardrail(OPEN))], "ship"),
        ([arm(BETTER, guardrail(WORSE, margin=0.02))], "ship"),
        ([arm(BETTER, guardrail(WORSE))], "your_call"),
        ([arm(BETTER, guardrail(BETTER, better="lower"))], "your_call"),
        ([arm(WORSE)], "roll_back"),
        ([arm(OPEN, guardrail(WORSE))], "roll_back"),
        ([arm(OPEN, guardrail(effect(-0.1, -0.04), margin=0.03))], "roll_back"),
        ([arm(OPEN)], "keep_running"),
        ([arm(OPEN, days=0.0)], "your_call"),
        ([arm(WORSE, name="b"), arm(OPEN, name="c")], "keep_running"),
        ([arm(WORSE, name="b"), arm(WORSE, name="c")], "roll_back"),
        ([arm(WORSE, name="b"), arm(BETTER, name="c")], "ship"),
    ],
)
def test_the_verdict_on_some_arms(arms: list[Arm], kind: str) -> None:
    assert decide(*arms).kind == kind


def test_lower_may_be_better() -> None:
    assert decide(arm(WORSE), better="lower").kind == "ship"
    assert decide(arm(BETTER), better="lower").kind == "roll_back"


def test_the_best_of_several_better_arms_is_named() -> None:
    found = decide(arm(BETTER, name="b"), arm(effect(0.03, 0.09), name="c"))
    assert (found.kind, found.arm) == ("ship", "c")


def test_what_is_wrong_with_the_experiment_comes_before_all_effects() -> None:
    found = decide(arm(BETTER), problems=["the arms did not get their shares"])
    assert (found.kind, found.reasons) == ("unhealthy", ["the arms did not get their shares"])


def test_without_a_value_in_the_control_or_in_all_arms_there_is_no_data() -> None:
    assert decide(arm(BETTER), control_units=0).kind == "no_data"
    assert decide(arm(BETTER, units=0)).kind == "no_data"


def test_an_effect_of_few_units_is_not_acted_on() -> None:
    found = decide(arm(BETTER, units=99))
    assert found.kind == "keep_running"
    assert "100 units" in found.reasons[0]


def test_waiting_says_for_how_long_where_that_is_known() -> None:
    assert decide(arm(OPEN, days=3.0), arm(OPEN, name="c", days=8.0)).days_left == 8.0
    assert decide(arm(OPEN, days=3.0), arm(OPEN, name="c", days=None)).days_left is None


def test_a_p_value_that_is_adjusted_decides() -> None:
    loose = Arm(name="b", units=500, effect=BETTER, adjusted_p=0.08, guardrails=[], duration=Duration(days_left=1.0))
    assert decide(loose).kind == "keep_running"
