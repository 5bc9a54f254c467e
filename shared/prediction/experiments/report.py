"""The report of an experiment, from its sums: what was found, how sure it is, and what is advised."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from shared import clock
from shared.prediction.experiments import (
    bandit,
    duration,
    effects,
    health,
    holm,
    lifecycle,
    sequences,
    sums,
    verdicts,
)
from shared.prediction.experiments.document import Experiment, Guardrail, Metric
from shared.prediction.experiments.observed import DAY_MS, Observed
from shared.prediction.experiments.sample_ratio import ChiSquaredTest

_RECENT_DAYS = 7


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Measured:
    """One metric: the summary of each arm, and the comparison of each treatment with the control."""

    metric: Metric
    summaries: Mapping[str, sums.Summary]
    comparisons: Mapping[str, effects.Comparison]


def compose(state: Mapping[str, Any], observed: Observed) -> dict[str, Any]:
    """Compose the report of an experiment, given its state in the deployment.

    With m arms besides the control, sequences are at the level 1 - alpha/m, so that together they hold with 1 - alpha,
    and the goal's p-values are adjusted by Holm; guardrails are judged each by itself.
    """
    experiment = lifecycle.read_document(state)
    control, arms = state["control"], [state["control"], *(arm for arm in state["arms"] if arm != state["control"])]
    level = sequences.Level(alpha=experiment.alpha / (len(arms) - 1), tuning_units=experiment.tuning_units)
    measured = [
        _compare(metric, {arm: observed.add_up(arm, index) for arm in arms}, level)
        for index, metric in enumerate(experiment.metrics)
    ]
    goal, guardrails = measured[0], measured[1:]
    p_values = [effect.sequence.p if effect.sequence else None for effect in _list_absolute(goal)]
    adjusted = dict(zip(arms[1:], holm.adjust(p_values), strict=True))
    durations = {arm: _estimate_duration(state, experiment, observed, goal, arm, level) for arm in arms[1:]}
    judged = [
        verdicts.Arm(
            name=arm,
            units=goal.summaries[arm].units,
            effect=goal.comparisons[arm].absolute,
            adjusted_p=adjusted[arm],
            guardrails=[_judge_guardrail(each, arm) for each in guardrails],
            duration=durations[arm],
        )
        for arm in arms[1:]
    ]
    checked = health.check(observed, arms=arms)
    verdict = verdicts.decide(
        judged,
        control_units=goal.summaries[control].units,
        problems=checked.problems,
        better=experiment.goal.direction,
        alpha=experiment.alpha,
    )
    weights = bandit.choose_weights([goal.summaries[arm] for arm in arms], better=experiment.goal.direction)
    return {
        "experiment": {
            **{name: value for name, value in state.items() if name != "started_at"},
            "started_at": clock.to_text(state["started_at"]),
        },
        "reported_at": clock.to_text(observed.at_ms),
        "verdict": dataclasses.asdict(verdict),
        "warnings": checked.warnings,
        "arms": [_describe_arm(observed, checked, arms, index) for index in range(len(arms))],
        "sample_ratio": _describe_test(checked.arms),
        "feedback_shares": _describe_test(checked.feedback),
        "units_in_two_arms": observed.units_in_two_arms,
        "metrics": [
            _describe_metric(each, judged, adjusted=adjusted if each is goal else None, position=index - 1)
            for index, each in enumerate(measured)
        ],
        "durations": {arm: dataclasses.asdict(each) for arm, each in durations.items()},
        "over_time": _describe_course(observed, experiment.goal, arms, level),
        "thompson_weights": {
            "shares": dict(zip(arms, weights.shares, strict=True)) if weights.shares else None,
            "reason": weights.reason,
        },
    }


def list_sums(state: Mapping[str, Any], observed: Observed) -> list[dict[str, Any]]:
    """List the sums that a report is computed from, one row for each day, arm and metric; days are in UTC."""
    metrics = lifecycle.read_document(state).metrics
    rows: dict[tuple[int, str, int], sums.Sums] = {}
    for cohort in observed.cohorts:
        for index, each in enumerate(cohort.sums):
            key = (cohort.day, cohort.arm, index)
            rows[key] = rows.get(key, sums.Sums()) + each
    return [
        {
            "day": (clock.to_text(day * DAY_MS) or "")[:10],
            "arm": arm,
            "metric": metrics[index].name,
            "per": metrics[index].per,
            "role": "guardrail" if index else "goal",
            **dataclasses.asdict(total),
        }
        for (day, arm, index), total in sorted(rows.items())
    ]


def _compare(metric: Metric, totals: Mapping[str, sums.Sums], level: sequences.Level) -> _Measured:
    """Compare each arm with the first, which is the control."""
    summaries = {arm: sums.summarize(total) for arm, total in totals.items()}
    control, *treatments = summaries
    comparisons = {arm: effects.compare(summaries[control], summaries[arm], level=level) for arm in treatments}
    return _Measured(metric=metric, summaries=summaries, comparisons=comparisons)


def _list_absolute(measured: _Measured) -> list[effects.Effect]:
    return [comparison.absolute for comparison in measured.comparisons.values()]


def _judge_guardrail(measured: _Measured, arm: str) -> verdicts.Guardrail:
    comparison, metric = measured.comparisons[arm], measured.metric
    return verdicts.Guardrail(
        name=metric.name,
        better=metric.direction,
        margin=metric.margin if isinstance(metric, Guardrail) else 0.0,
        relative=comparison.relative,
        absolute=comparison.absolute,
    )


def _estimate_duration(
    state: Mapping[str, Any],
    experiment: Experiment,
    observed: Observed,
    goal: _Measured,
    arm: str,
    level: sequences.Level,
) -> duration.Duration:
    """Estimate how long an arm has to run, at the rate of units of the last days that got a value of the goal."""
    since = max(observed.at_ms - _RECENT_DAYS * DAY_MS, state["started_at"])
    compared = {arm, state["control"]}
    recent = [each for each in observed.cohorts if (each.day + 1) * DAY_MS > since and each.arm in compared]
    days = max(observed.at_ms - since, DAY_MS // 24) / DAY_MS
    return duration.estimate(
        goal.comparisons[arm].relative,
        units=goal.summaries[arm].units + goal.summaries[state["control"]].units,
        units_per_day=sum(cohort.sums[0].units for cohort in recent) / days,
        minimum_effect=experiment.minimum_effect,
        level=level,
    )


def _describe_arm(observed: Observed, checked: health.Health, arms: Sequence[str], index: int) -> dict[str, Any]:
    arm = arms[index]
    units, with_feedback = observed.count_units(arm), observed.count_with_feedback(arm)
    expected = checked.arms.expected
    return {
        "arm": arm,
        "role": "treatment" if index else "control",
        "versions": list(observed.versions.get(arm, ())),
        "units": units,
        "expected_units": expected[index] if expected else 0.0,
        "units_with_feedback": with_feedback,
        "feedback_share": with_feedback / units if units else None,
        "feedback_delay_seconds": dict(observed.delays_seconds[arm]) if arm in observed.delays_seconds else None,
    }


def _describe_test(test: ChiSquaredTest) -> dict[str, Any]:
    return {
        "p": test.p,
        "statistic": test.statistic,
        "alarm": test.alarm,
        "stray_units": test.stray,
        "reason": test.reason,
    }


def _describe_metric(
    measured: _Measured,
    judged: Sequence[verdicts.Arm],
    *,
    adjusted: Mapping[str, float | None] | None,
    position: int,
) -> dict[str, Any]:
    metric = measured.metric
    comparisons = [
        {
            "arm": arm.name,
            **dataclasses.asdict(measured.comparisons[arm.name]),
            "adjusted_p": adjusted[arm.name] if adjusted is not None else None,
            "harmed": None if adjusted is not None else arm.guardrails[position].is_harmed,
        }
        for arm in judged
    ]
    return {
        "name": metric.name,
        "role": "guardrail" if adjusted is None else "goal",
        "per": metric.per,
        "better": metric.direction,
        "margin": metric.margin if isinstance(metric, Guardrail) else None,
        "arms": [{"arm": arm, **dataclasses.asdict(summary)} for arm, summary in measured.summaries.items()],
        "comparisons": comparisons,
    }


def _describe_course(
    observed: Observed, goal: Metric, arms: Sequence[str], level: sequences.Level
) -> list[dict[str, Any]]:
    """Describe the goal's effect by the units that had come until each day's end, with what is known of them now."""
    course = []
    totals = dict.fromkeys(arms, sums.Sums())
    for day in observed.days:
        for cohort in observed.cohorts:
            if cohort.day == day:
                totals[cohort.arm] += cohort.sums[0]
        measured = _compare(goal, totals, level)
        for arm, comparison in measured.comparisons.items():
            effect = comparison.absolute
            course.append(
                {
                    "day": (clock.to_text(day * DAY_MS) or "")[:10],
                    "arm": arm,
                    "units": totals[arm].units + totals[arms[0]].units,
                    "estimate": effect.estimate,
                    "sequence": dataclasses.asdict(effect.sequence) if effect.sequence else None,
                    "reason": effect.reason,
                }
            )
    return course
