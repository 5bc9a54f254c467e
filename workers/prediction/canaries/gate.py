"""A check of a canary's gate: each figure passes, fails, or is inconclusive, and so does the check."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal

import sqlalchemy as sa

from shared import errors
from shared.prediction.canaries.document import GREATER_IS_BETTER, Gate, GateMetric
from workers.prediction.canaries import comparisons, measures
from workers.prediction.canaries.comparisons import Difference

Verdict = Literal["pass", "fail", "inconclusive", "error"]
_WORST_FIRST: tuple[Verdict, ...] = ("fail", "error", "inconclusive", "pass")
_WHAT = {"feedback": "units with feedback", "shadow_agreement": "rows that the shadow was asked"}
_UNKNOWN = Difference(math.nan, math.nan, math.nan)


@dataclasses.dataclass(frozen=True)
class Arms:
    """The references of the canary and of the routes that it is compared with."""

    canary: str
    stable: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Measured:
    """A figure of both sides, and how they differ."""

    units: tuple[int, int]
    """The canary's, and those of the others."""
    values: tuple[float, float]
    difference: Difference


@dataclasses.dataclass(frozen=True)
class Check:
    """What a check says."""

    verdict: Verdict
    metrics: list[dict[str, Any]]


def check(connection: sa.Connection, gate: Gate, window: measures.Window, arms: Arms) -> Check:
    """Check every figure of a gate; one fails all, and all must pass."""
    metrics = [_check_metric(connection, metric, window, arms) for metric in gate.metrics]
    verdicts = {metric["verdict"] for metric in metrics}
    return Check(next(verdict for verdict in _WORST_FIRST if verdict in verdicts), metrics)


def _check_metric(connection: sa.Connection, metric: GateMetric, window: measures.Window, arms: Arms) -> dict[str, Any]:
    try:
        measured = _measure(connection, metric, window, arms)
    except (errors.MillraceError, ArithmeticError, ValueError) as error:
        measured = Measured((0, 0), (math.nan, math.nan), _UNKNOWN)
        verdict: Verdict = "error"
        reason = f"It could not be computed: {errors.to_reason(error)}."
    else:
        verdict, reason = judge(metric, measured)
    difference = measured.difference
    return {
        "name": metric.name,
        "source": metric.source,
        "role": metric.role,
        "margin": metric.margin,
        "verdict": verdict,
        "reason": reason,
        "canary": {"units": measured.units[0], "value": _finite(measured.values[0])},
        "stable": {"units": measured.units[1], "value": _finite(measured.values[1])},
        "worse_by": _finite(difference.worse_by),
        "at_least": _finite(difference.at_least),
        "at_most": _finite(difference.at_most),
    }


def judge(metric: GateMetric, measured: Measured) -> tuple[Verdict, str]:
    """Judge a figure: what can't be told is inconclusive, never a pass."""
    what = _WHAT.get(metric.source, "requests")
    for side, units in zip(("canary has", "others have"), measured.units, strict=True):
        if units < metric.min_units:
            return "inconclusive", f"The {side} {units} {what}; {metric.min_units} are needed."
    difference = measured.difference
    if math.isnan(difference.at_least) or math.isnan(difference.at_most):
        return "inconclusive", "The difference is not a number."
    shown = f"worse by {difference.worse_by:.4g}, {difference.at_least:.4g} to {difference.at_most:.4g}"
    if difference.at_least > metric.margin:
        return "fail", f"The canary is {shown}, which is beyond the margin of {metric.margin:g}."
    if metric.role == "guardrail":
        return "pass", f"The canary is {shown}; nothing says that it is beyond the margin of {metric.margin:g}."
    if difference.at_most <= metric.margin:
        return "pass", f"The canary is {shown}, which is within the margin of {metric.margin:g}."
    return "inconclusive", f"The canary is {shown}, which may or may not be within the margin of {metric.margin:g}."


def _measure(connection: sa.Connection, metric: GateMetric, window: measures.Window, arms: Arms) -> Measured:
    sides = ([arms.canary], arms.stable)
    if metric.source == "feedback":
        sums = [measures.sum_feedback(connection, window, side, name=metric.name) for side in sides]
        difference = comparisons.compare_means(*sums, greater_is_better=metric.name in GREATER_IS_BETTER)
        return Measured((sums[0].count, sums[1].count), (sums[0].mean, sums[1].mean), difference)
    if metric.source == "shadow_agreement":
        agreement = measures.sum_agreement(connection, window, arms.canary)
        share = 1 - agreement.disagreeing / agreement.rows if agreement.rows else math.nan
        difference = comparisons.compare_with_all(agreement.disagreeing, agreement.rows)
        return Measured((agreement.rows, agreement.rows), (share, 1.0), difference)
    canary, stable = (measures.sum_served(connection, window, side) for side in sides)
    units = (canary.requests, stable.requests)
    if not all(units):
        return Measured(units, (math.nan, math.nan), _UNKNOWN)
    if metric.source == "error_rate":
        counted = [comparisons.count_as_sums(side.errors, side.requests) for side in (canary, stable)]
        rates = (canary.errors / canary.requests, stable.errors / stable.requests)
        return Measured(units, rates, comparisons.compare_means(*counted, greater_is_better=False))
    return _measure_latency(metric, canary, stable)


def _measure_latency(metric: GateMetric, canary: measures.Served, stable: measures.Served) -> Measured:
    units = (canary.requests, stable.requests)
    if metric.name == "mean":
        sums = [comparisons.sums_of(side.histogram) for side in (canary, stable)]
        difference = comparisons.compare_means(*sums, greater_is_better=False)
        return Measured(units, (sums[0].mean, sums[1].mean), difference)
    quantile = int(metric.name.removeprefix("p")) / 100
    values = [comparisons.find_quantile(side.histogram, quantile) for side in (canary, stable)]
    difference = comparisons.compare_quantiles(canary.histogram, stable.histogram, quantile=quantile)
    return Measured(units, (values[0], values[1]), difference)


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
