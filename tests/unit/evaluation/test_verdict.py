"""A gate passes when every rule holds, and says of each what was seen and what would do."""

from typing import Any

import pydantic
import pytest

from shared.evaluation import contract, gates
from workers.evaluation import verdict


def judged(gate: dict[str, Any], *, greater: bool = True, **metrics: float) -> gates.Verdict:
    """Judge a model whose baseline has 0.80, and whose groups of `c` have 0.9, 0.6 and, of few rows, 0.1."""
    value = metrics.get(gate["metric"])
    beside = None
    if value is not None:
        beside = contract.Difference(model=value, baseline=0.8, difference=value - 0.8, interval=None, p_value=None)
    groups = [
        contract.Group(value=name, rows=rows, metrics={gate["metric"]: found})
        for name, rows, found in (("a", 50, 0.9), ("b", 40, 0.6), ("few", 3, 0.1))
    ]
    return verdict.judge(
        gates.Gate.model_validate(gate),
        metrics=metrics,
        comparison=contract.Comparison(
            baseline="m@1", metrics={} if beside is None else {gate["metric"]: beside}, test=None
        ),
        slices=[contract.Slice(column="c", groups=groups, worst="b", gap=0.3, fairness=None)],
        least_slice_rows=30,
        greater_is_better=greater,
        warnings=["The rows are few."],
    )


@pytest.mark.parametrize(("limit", "passed"), [(0.84, True), (0.85, True), (0.86, False)])
def test_a_floor_is_held(limit: float, *, passed: bool) -> None:
    [rule] = judged({"metric": "roc_auc", "at_least": limit}, roc_auc=0.85).rules
    assert (rule.passed, rule.value, rule.limit) == (passed, 0.85, limit)
    assert rule.detail == f"roc_auc of the model is 0.85; it must be at least {limit}"


@pytest.mark.parametrize(("limit", "passed"), [(0.84, False), (0.85, True), (0.86, True)])
def test_a_ceiling_is_held(limit: float, *, passed: bool) -> None:
    assert judged({"metric": "log_loss", "at_most": limit}, log_loss=0.85).passed is passed


@pytest.mark.parametrize(
    ("value", "greater", "passed"),
    [(0.80, True, True), (0.796, True, True), (0.794, True, False), (0.804, False, True), (0.806, False, False)],
)
def test_a_version_may_be_worse_than_the_baseline_by_the_tolerance(
    value: float, *, greater: bool, passed: bool
) -> None:
    gate = {"metric": "r2", "not_worse_than": "champion", "tolerance": 0.005}
    assert judged(gate, greater=greater, r2=value).passed is passed


def test_every_group_with_rows_enough_is_held_against_the_rules_of_slices() -> None:
    found = judged({"metric": "r2", "slices": {"at_least": 0.7, "greatest_gap": 0.35}}, r2=0.9)
    assert [(rule.rule, rule.value, rule.passed) for rule in found.rules] == [
        ("slices.at_least", 0.9, True),
        ("slices.at_least", 0.6, False),
        ("slices.greatest_gap", 0.3, True),
    ]
    assert not found.passed


def of_groups(gate: dict[str, Any], *groups: contract.Group, gap: float | None) -> gates.Verdict:
    """Judge a model whose slices by `c` have these groups."""
    return verdict.judge(
        gates.Gate.model_validate({"metric": "roc_auc", "slices": gate}),
        metrics={"roc_auc": 0.9},
        comparison=None,
        slices=[contract.Slice(column="c", groups=list(groups), worst=None, gap=gap, fairness=None)],
        least_slice_rows=30,
        greater_is_better=True,
        warnings=[],
    )


FEW = contract.Group(value="few", rows=29, metrics={"roc_auc": 1.0})
MANY = contract.Group(value=None, rows=30, metrics={"roc_auc": 1.0})


@pytest.mark.parametrize(
    ("rules", "names"),
    [
        ({"at_least": 0.9}, ["slices.at_least"]),
        ({"at_most": 1.0}, ["slices.at_most"]),
        ({"greatest_gap": 0.5}, ["slices.greatest_gap"]),
        ({"at_least": 0.9, "greatest_gap": 0.5}, ["slices.at_least", "slices.greatest_gap"]),
    ],
)
def test_a_column_without_a_group_to_judge_passes_no_rule(rules: dict[str, float], names: list[str]) -> None:
    found = of_groups(rules, FEW, gap=None)
    assert [(rule.rule, rule.passed, rule.value) for rule in found.rules] == [(name, False, None) for name in names]
    assert all("is undefined" in rule.detail for rule in found.rules)
    assert not found.passed


def test_a_column_with_one_group_to_judge_passes_no_rule() -> None:
    found = of_groups({"at_least": 0.9}, FEW, MANY, gap=None)
    assert [(rule.passed, rule.value) for rule in found.rules] == [(True, 1.0), (False, None)]
    assert found.rules[0].detail == "roc_auc where c is missing is 1; it must be at least 0.9"
    assert found.rules[1].detail == (
        "roc_auc in groups of c, of which 1 have 30 rows or more, is undefined; it must be at least 0.9"
    )
    assert not found.passed


def test_a_group_whose_value_is_undefined_passes_no_rule() -> None:
    undefined = contract.Group(value="u", rows=40, metrics={})
    found = of_groups({"at_least": 0.9, "greatest_gap": 0.5}, MANY, undefined, gap=None)
    assert [(rule.passed, rule.value) for rule in found.rules] == [(True, 1.0), (False, None), (False, None)]


def test_a_gate_that_judged_nothing_is_not_passed() -> None:
    found = verdict.judge(
        gates.Gate.model_validate({"metric": "r2", "slices": {"at_least": 0.1}}),
        metrics={"r2": 0.9},
        comparison=None,
        slices=[],
        least_slice_rows=30,
        greater_is_better=True,
        warnings=[],
    )
    assert (found.rules, found.passed) == ([], False)


@pytest.mark.parametrize(("metric", "hint"), [("roc_uac", "did you mean 'roc_auc'"), ("zzz", "there are accuracy")])
def test_a_metric_that_no_problem_has_is_refused_with_those_that_are_close(metric: str, hint: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=f"no problem has a metric '{metric}'; {hint}"):
        gates.Gate.model_validate({"metric": metric, "at_least": 0.5})


def test_one_rule_that_does_not_hold_is_enough() -> None:
    assert not judged({"metric": "r2", "at_least": 0.5, "not_worse_than": "champion"}, r2=0.7).passed


def test_an_undefined_value_passes_no_rule() -> None:
    found = judged({"metric": "r2", "at_least": -1.0, "not_worse_than": "champion"})
    assert [(rule.passed, rule.value) for rule in found.rules] == [(False, None), (False, None)]


@pytest.mark.parametrize("rules", [{}, {"tolerance": 0.1}, {"slices": {}}])
def test_a_gate_without_a_rule_is_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError, match="give `at_least`"):
        gates.Gate.model_validate({"metric": "r2", **rules})


def test_an_alias_alone_means_the_same_model() -> None:
    command = contract.ScoreModel.model_validate(
        {"model": "churn@3", "dataset": "d@1", "gate": {"metric": "roc_auc", "not_worse_than": "champion"}}
    )
    assert command.baseline == "churn@champion"


def test_a_baseline_that_is_not_the_gates_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="means 'other@1'"):
        contract.ScoreModel.model_validate(
            {
                "model": "churn@3",
                "dataset": "d@1",
                "baseline": "churn@1",
                "gate": {"metric": "roc_auc", "not_worse_than": "other@1"},
            }
        )


def test_a_warning_stands_in_the_verdict_and_fails_nothing() -> None:
    verdict = judged({"metric": "r2", "at_least": 0.5}, r2=0.6)
    assert (verdict.passed, verdict.warnings) == (True, ["The rows are few."])
