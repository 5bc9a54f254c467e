"""Confidence sequences: false alarms stay below alpha however often one looks, and effects are found."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from shared.prediction.experiments import distributions, effects, sequences, sums

RUNS, LOOKS, STEP = 2000, 200, 50
LEVEL = sequences.Level(alpha=0.05, tuning_units=5000)
Arms = Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Of each of two arms units, totals and squares; the last two have the shape (runs, looks)."""


def running(values: np.ndarray, *, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum values of units, and their squares, up to each look: the last axis has the units in their order."""
    shape = (*values.shape[:-1], values.shape[-1] // step, step)
    return values.reshape(shape).sum(axis=-1).cumsum(axis=-1), np.square(values).reshape(shape).sum(axis=-1).cumsum(-1)


def estimate(arms: Arms) -> tuple[np.ndarray, np.ndarray]:
    """Compute the difference of two arms' means and its standard error at all looks together, as textbooks do."""
    means, errors = [], []
    for units, total, squares in arms:
        mean = total / units
        means.append(mean)
        errors.append((squares - total * mean) / (units - 1) / units)
    return means[1] - means[0], np.sqrt(errors[0] + errors[1])


def excluded(arms: Arms) -> np.ndarray:
    """Return of each run whether the sequence ever excludes 0, as the functions say that a report calls.

    Millions of looks take them half a minute. So eq. 155 is computed for all looks together, and they are asked where
    it is near alpha or below, and at every thousandth other look.
    """
    (first, second), (difference, error) = arms, estimate(arms)
    units = first[0] + second[0]
    growth = units * LEVEL.rho**2 + 1
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.sqrt(growth) * np.exp(-((LEVEL.rho * difference / error) ** 2) * units / (2 * growth))
    found = np.zeros(len(p), dtype=bool)
    for place in np.argwhere((p < 2 * LEVEL.alpha) | (np.arange(p.size).reshape(p.shape) % 1000 == 0)):
        run, look = map(int, place)
        if found[run]:
            continue
        ours = p_of([[float(part[run, look]) for part in np.broadcast_arrays(*arm)] for arm in arms])
        if ours is not None:
            assert ours == pytest.approx(min(1.0, p[run, look]), rel=1e-6)
            found[run] = ours < LEVEL.alpha
    return found


def p_of(arms: list[list[float]]) -> float | None:
    """Compute the p-value of one look by the functions that a report calls; None when there is no variance."""
    first, second = (
        sums.summarize(sums.Sums(units=int(units), total=total, squares=squares)) for units, total, squares in arms
    )
    if first.mean is None or second.mean is None or first.variance is None or second.variance is None:
        return None
    return sequences.always_valid_p(
        estimate=second.mean - first.mean,
        standard_error=math.sqrt(first.variance / first.units + second.variance / second.units),
        units=first.units + second.units,
        level=LEVEL,
    )


def count_rejections(control: np.ndarray, treatment: np.ndarray, *, step: int) -> tuple[float, float]:
    """Compute the share of runs in which a look found an effect: by the sequence, and by a plain interval."""
    units = np.arange(step, control.shape[1] + 1, step)
    arms = [(units, *running(values, step=step)) for values in (control, treatment)]
    difference, error = estimate(arms)
    tempted = np.abs(difference) > distributions.normal_quantile(1 - LEVEL.alpha / 2) * error
    return float(excluded(arms).mean()), float((tempted & (error > 0)).any(axis=1).mean())


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.02, 0.5])
def test_2000_experiments_without_an_effect_are_stopped_by_mistake_in_at_most_5_percent(rate: float) -> None:
    generator = np.random.default_rng(20260713)
    control, treatment = (generator.random((2, RUNS, LOOKS * STEP)) < rate).astype(float)
    sequential, plain = count_rejections(control, treatment, step=STEP)
    assert sequential <= 0.05
    # The plain interval looked at as often stops about two in five, so the runs do tempt.
    assert plain > 0.3


@pytest.mark.slow
def test_about_20_requests_of_each_unit_that_resemble_one_another_stop_at_most_5_percent() -> None:
    generator = np.random.default_rng(20260714)
    runs, units, step = 400, 1000, 10
    rates = generator.beta(0.5, 0.5, (2, runs, units))
    requests = 1 + generator.poisson(19, (2, runs, units))
    hits = generator.binomial(requests, rates)
    parts = (hits, hits * hits, requests, requests * requests, hits * requests)
    seen = [part.reshape(2, runs, -1, step).sum(axis=-1).cumsum(axis=-1).astype(float).tolist() for part in parts]
    by_unit, by_request = 0, 0
    for run in range(runs):
        found = [False, False]
        for look in range(units // step):
            arms = [[part[arm][run][look] for part in seen] for arm in range(2)]
            ratios = [
                sums.Sums(
                    units=(look + 1) * step,
                    total=total,
                    squares=squares,
                    denominator_total=below,
                    denominator_squares=below_squares,
                    products=products,
                )
                for total, squares, below, below_squares, products in arms
            ]
            naive = [sums.Sums(units=int(below), total=total, squares=total) for total, _, below, _, _ in arms]
            found = [earlier or excludes_0(each) for earlier, each in zip(found, (ratios, naive), strict=True)]
        by_unit += found[0]
        by_request += found[1]
    assert by_unit / runs <= 0.05
    # To take requests for units would find effects that aren't there.
    assert by_request / runs > 0.3


def excludes_0(arms: list[sums.Sums]) -> bool:
    """Return whether the sequence of the difference of two arms excludes 0."""
    first, second = map(sums.summarize, arms)
    if first.mean is None or second.mean is None or first.variance is None or second.variance is None:
        return False
    error = math.sqrt(first.variance / first.units + second.variance / second.units)
    units = first.units + second.units
    p = sequences.always_valid_p(estimate=second.mean - first.mean, standard_error=error, units=units, level=LEVEL)
    return p < LEVEL.alpha


def test_an_effect_is_found_in_almost_every_run() -> None:
    generator = np.random.default_rng(3)
    control = (generator.random((50, 10_000)) < 0.20).astype(float)
    treatment = (generator.random((50, 10_000)) < 0.24).astype(float)
    sequential, _ = count_rejections(control, treatment, step=500)
    assert sequential > 0.95


def test_the_sequence_covers_a_true_effect_at_all_looks_of_95_percent_of_runs() -> None:
    generator = np.random.default_rng(4)
    control, treatment = generator.exponential(2.0, (300, 5000)), generator.exponential(2.5, (300, 5000))
    summed = [running(values, step=200) for values in (control, treatment)]
    totals, squares = zip(*([each.tolist() for each in arm] for arm in summed), strict=True)
    missed = 0
    for run in range(300):
        for look in range(25):
            arms = [
                sums.summarize(sums.Sums(units=200 * (look + 1), total=total[run][look], squares=square[run][look]))
                for total, square in zip(totals, squares, strict=True)
            ]
            interval = effects.compare(arms[0], arms[1], level=LEVEL).absolute.sequence
            assert interval is not None
            if not interval.low <= 0.5 <= interval.high:
                missed += 1
                break
    assert missed / 300 <= 0.05


def test_rho_and_width_are_those_of_a_calculation_by_hand() -> None:
    # -2·ln 0.05 = 5.99146, + ln 6.99146 = 1.94469, /5000 = 0.00158723.
    assert LEVEL.rho == pytest.approx(0.0398401, rel=1e-5)
    # t = 8.93615 for 5000 units, so 0.01·70.7107·√(2·8.93615/(5000·0.0398401)²·(ln 8.93615/2 + 2.99573)) = 0.03035.
    assert sequences.half_width(standard_error=0.01, units=5000, level=LEVEL) == pytest.approx(0.03035, abs=1e-5)


def test_a_sequence_is_narrowest_for_the_number_of_units_that_it_is_tuned_to() -> None:
    def width(tuning_units: float) -> float:
        level = sequences.Level(alpha=0.05, tuning_units=tuning_units)
        return sequences.half_width(standard_error=1.0, units=20_000, level=level)

    assert width(20_000) < width(5000)
    assert width(20_000) < width(100_000)


@pytest.mark.parametrize("mean", [0.19, 0.2, 0.225, 0.24, 0.3])
def test_a_p_value_is_below_alpha_just_where_the_sequence_excludes_0(mean: float) -> None:
    arms = [sums.Summary(units=2000, mean=each, variance=0.16) for each in (0.2, mean)]
    interval = effects.compare(arms[0], arms[1], level=LEVEL).absolute.sequence
    assert interval is not None
    assert (interval.p < 0.05) == (interval.low > 0 or interval.high < 0)


@pytest.mark.parametrize("estimate", [0.0, 1e-300, -1e3, 1e308])
def test_a_p_value_is_between_0_and_1_whatever_the_estimate(estimate: float) -> None:
    p = sequences.always_valid_p(estimate=estimate, standard_error=1e-3, units=1000, level=LEVEL)
    assert 0 <= p <= 1
