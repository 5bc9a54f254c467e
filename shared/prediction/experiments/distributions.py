"""Tails and quantiles of the distributions that tests need, without a library.

The API reports experiments and loads neither numpy nor scipy; tests hold these functions to scipy's values.
"""

import math
import statistics

_NORMAL = statistics.NormalDist()
_TINY = 1e-300
_EPSILON = 1e-15
_MAX_TERMS = 500
_LARGE = 50
_NEARLY_NORMAL = 2000
"""Degrees of freedom from which Hill's transformation is as exact as the fraction, which converges ever more slowly."""


def normal_quantile(probability: float) -> float:
    """Compute the value that a standard normal variable is below with a probability in (0, 1)."""
    return _NORMAL.inv_cdf(probability)


def chi_squared_tail(statistic: float, *, degrees: int) -> float:
    """Compute P(X ≥ statistic) of a chi-squared variable with 1 or more whole degrees of freedom.

    Source: the finite sums of Abramowitz and Stegun, 26.4.4 and 26.4.5.
    """
    half = statistic / 2
    if half <= 0:
        return 1.0
    if degrees % 2:
        tail, powers = math.erfc(math.sqrt(half)), [index + 0.5 for index in range((degrees - 1) // 2)]
    else:
        tail, powers = 0.0, [float(index) for index in range(degrees // 2)]
    logarithm = math.log(half)
    terms = (math.exp(-half + power * logarithm - math.lgamma(power + 1)) for power in powers)
    return min(1.0, tail + math.fsum(terms))


def student_two_sided(statistic: float, *, degrees: float) -> float:
    """Compute P(|T| ≥ |statistic|) of Student's t with any positive number of degrees of freedom.

    It is the regularized incomplete beta function I_x(degrees/2, 1/2) at x = degrees/(degrees + t²).
    Source: Abramowitz and Stegun, 26.7.1 and 26.5.8, with the continued fraction by Lentz's method; for many degrees
    of freedom, Hill, "Algorithm 395: Student's t-distribution", 1970, which makes a normal variable of t.
    """
    square = statistic * statistic
    if square == 0:
        return 1.0
    if math.isinf(square):
        return 0.0
    if degrees >= _NEARLY_NORMAL:
        return math.erfc(_make_normal(square, degrees) / math.sqrt(2))
    a, b = degrees / 2, 0.5
    x, rest = degrees / (degrees + square), square / (degrees + square)
    log_x = -math.log1p(square / degrees)
    front = math.exp(_log_gamma_ratio(a) - math.lgamma(b) + a * log_x + b * math.log(rest))
    if x < (a + 1) / (a + b + 2):
        return front * _continued_fraction(a, b, x) / a
    return 1 - front * _continued_fraction(b, a, rest) / b


def student_quantile(alpha: float, *, degrees: float) -> float:
    """Compute the t that |T| exceeds with the probability `alpha`, in (0, 1).

    By Newton's method. With few degrees of freedom it starts at the normal quantile, which is smaller, so that every
    step comes closer from below, since the tail is convex; with many at the series of Abramowitz and Stegun, 26.7.5.
    """
    value = normal_quantile(1 - alpha / 2)
    if degrees >= _LARGE:
        cube = value**3
        value += (cube + value) / (4 * degrees) + (5 * cube * value**2 + 16 * cube + 3 * value) / (96 * degrees**2)
    for _ in range(_MAX_TERMS):
        step = (student_two_sided(value, degrees=degrees) - alpha) / (2 * _student_density(value, degrees=degrees))
        value += step
        if abs(step) <= 1e-10 * value:
            break
    return value


def _make_normal(square: float, degrees: float) -> float:
    a = degrees - 0.5
    b = 48 * a * a
    y = a * math.log1p(square / degrees)
    series = (((-0.4 * y - 3.3) * y - 24) * y - 85.5) / (0.8 * y * y + 100 + b) + y + 3
    return math.sqrt(y) * (1 + series / b)


def _student_density(value: float, *, degrees: float) -> float:
    scale = _log_gamma_ratio(degrees / 2) - 0.5 * math.log(degrees * math.pi)
    return math.exp(scale - (degrees + 1) / 2 * math.log1p(value * value / degrees))


def _log_gamma_ratio(a: float) -> float:
    """Compute ln Γ(a + 1/2) - ln Γ(a), for great `a` by its series, since the difference would lose digits."""
    if a < _LARGE:
        return math.lgamma(a + 0.5) - math.lgamma(a)
    return 0.5 * math.log(a) - 1 / (8 * a) + 1 / (192 * a**3) - 1 / (640 * a**5) + 17 / (14336 * a**7)


def _continued_fraction(a: float, b: float, x: float) -> float:
    above, below = 1.0, _not_zero(1 - (a + b) * x / (a + 1))
    below = 1 / below
    value = below
    for m in range(1, _MAX_TERMS):
        for factor in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            below = 1 / _not_zero(1 + factor * below)
            above = _not_zero(1 + factor / above)
            value *= above * below
        if abs(above * below - 1) < _EPSILON:
            break
    return value


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
