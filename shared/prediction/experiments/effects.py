"""The effect of an arm against the control: how much it is, how sure that is, at every look and at this one."""

import dataclasses
import math

from shared.prediction.experiments import distributions, sequences
from shared.prediction.experiments.sums import Summary

_MOST = 1e150
"""Effects beyond this are not told, since figures made of them would no longer be numbers."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interval:
    """An interval with the p-value of "the effect is 0" that belongs to it."""

    low: float
    high: float
    p: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effect:
    """An effect with its intervals, or the reason for which there is none."""

    estimate: float | None = None
    standard_error: float | None = None
    sequence: Interval | None = None
    """The confidence sequence, which holds at every look; decisions rest on it."""
    plain: Interval | None = None
    """Welch's interval, which holds for one look that was planned; shown for comparison only."""
    reason: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """An arm against the control, in the metric's unit and as a part of the control's mean."""

    absolute: Effect
    relative: Effect


def compare(control: Summary, treatment: Summary, *, level: sequences.Level) -> Comparison:
    """Compare an arm with the control.

    Absolute: d = m_b - m_a, with the variance v_a/n_a + v_b/n_b. Relative: d/m_a, with the variance
    v_b/(m_a²·n_b) + v_a·m_b²/(m_a⁴·n_a) by the delta method; it is undefined unless the control's mean is positive.
    """
    for name, summary in (("control", control), ("arm", treatment)):
        if summary.mean is None or summary.variance is None:
            missing = Effect(reason=f"in the {name}, {summary.reason}")
            return Comparison(absolute=missing, relative=missing)
    return Comparison(
        absolute=_estimate(control, treatment, level=level, scale=1.0, control_factor=1.0),
        relative=_estimate_relative(control, treatment, level=level),
    )


def _estimate_relative(control: Summary, treatment: Summary, *, level: sequences.Level) -> Effect:
    base, other = control.mean or 0.0, treatment.mean or 0.0
    if base <= 0:
        return Effect(reason=f"the control's mean is {base:g}, and a part of it can only be told when it is positive")
    return _estimate(control, treatment, level=level, scale=base, control_factor=other / base)


def _estimate(
    control: Summary, treatment: Summary, *, level: sequences.Level, scale: float, control_factor: float
) -> Effect:
    """Estimate (m_b - m_a)/scale; the control's error counts `control_factor` times."""
    estimate = ((treatment.mean or 0.0) - (control.mean or 0.0)) / scale
    error = math.hypot(
        math.sqrt((treatment.variance or 0.0) / treatment.units) / scale,
        math.sqrt((control.variance or 0.0) / control.units) / scale * control_factor,
    )
    if not (abs(estimate) < _MOST and 0 < error < _MOST):
        return Effect(reason="the values are too far apart in size for an effect to be computed")
    units = control.units + treatment.units
    half = sequences.half_width(standard_error=error, units=units, level=level)
    p = sequences.always_valid_p(estimate=estimate, standard_error=error, units=units, level=level)
    return Effect(
        estimate=estimate,
        standard_error=error,
        sequence=Interval(low=estimate - half, high=estimate + half, p=p),
        plain=_compute_plain(control, treatment, estimate=estimate, error=error, alpha=level.alpha),
    )


def _compute_plain(control: Summary, treatment: Summary, *, estimate: float, error: float, alpha: float) -> Interval:
    degrees = _count_degrees(control, treatment)
    half = distributions.student_quantile(alpha, degrees=degrees) * error
    p = distributions.student_two_sided(estimate / error, degrees=degrees)
    return Interval(low=estimate - half, high=estimate + half, p=p)


def _count_degrees(control: Summary, treatment: Summary) -> float:
    """Compute the degrees of freedom by Welch and Satterthwaite.

    They are (v_a/n_a + v_b/n_b)²/((v_a/n_a)²/(n_a - 1) + (v_b/n_b)²/(n_b - 1)), here divided by the larger term so that
    nothing overflows.
    """
    parts = [(each.variance or 0.0) / each.units for each in (control, treatment)]
    greatest = max(parts)
    first, second = (part / greatest for part in parts)
    return (first + second) ** 2 / (first**2 / (control.units - 1) + second**2 / (treatment.units - 1))
