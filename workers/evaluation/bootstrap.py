"""Intervals of metrics, and of differences between two models, by drawing rows with repetition.

Percentile bootstrap: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 16.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from shared import errors
from shared.evaluation import contract
from shared.ml import progress, targets
from workers.evaluation import scored

# What drawing may cost: metrics of labels and numbers take up to half a microsecond for each row that is drawn and
# each model, so this is up to twenty seconds for two.
USUAL_DRAWN_ROWS = 20_000_000
# Fewer drawings than these say little of an interval's ends, so many rows are drawn so often all the same.
LEAST_SAMPLES = 200
MOST_DRAWN_ROWS = 200_000_000


@dataclasses.dataclass(frozen=True)
class Drawn:
    """What the drawings gave: intervals of the model's metrics, and the differences to the baseline's, by metric."""

    samples: int
    intervals: dict[str, contract.Interval]
    differences: dict[str, tuple[contract.Interval, float]]
    """Each with its two-sided p-value."""


def samples_for(wanted: int, *, rows: int) -> int:
    """Give how many drawings are affordable; LimitExceededError when these would be too few to mean anything."""
    affordable = min(wanted, max(LEAST_SAMPLES, USUAL_DRAWN_ROWS // max(1, rows)))
    if affordable * rows > MOST_DRAWN_ROWS:
        raise errors.LimitExceededError(
            f"intervals need {affordable} drawings of {rows:,} rows; at most {MOST_DRAWN_ROWS:,} rows are "
            "drawn in all: evaluate on a sample of the rows, or without `bootstrap` and `baseline`"
        )
    return affordable


def draw(
    model: scored.Scored,
    baseline: scored.Scored | None,
    *,
    how: contract.Bootstrap,
    report: progress.Progress = progress.ignore,
) -> Drawn:
    """Draw rows and measure the model, and the baseline on the same ones."""
    samples = samples_for(how.samples, rows=model.rows)
    mine, theirs = model.coded(), None if baseline is None else baseline.coded()
    found: dict[str, list[float]] = {}
    apart: dict[str, list[float]] = {}
    for number, rows in enumerate(_drawings(model.rows, samples=samples, seed=how.seed), start=1):
        values = mine.take(rows).measure()
        others = {} if theirs is None else theirs.take(rows).measure()
        for name, value in values.items():
            found.setdefault(name, []).append(value)
            if name in others:
                apart.setdefault(name, []).append(value - others[name])
        report(number / samples, f"drew {number} of {samples} times")
    return Drawn(
        samples=samples,
        intervals={name: _interval(values, how) for name, values in found.items()},
        differences={name: (_interval(values, how), _p_value(values)) for name, values in apart.items()},
    )


def _drawings(rows: int, *, samples: int, seed: int) -> Iterator[targets.Values]:
    dice = np.random.default_rng(seed)
    for _ in range(samples):
        yield dice.integers(0, rows, size=rows)


def _interval(values: list[float], how: contract.Bootstrap) -> contract.Interval:
    outside = (1 - how.confidence) / 2
    low, high = np.quantile(values, [outside, 1 - outside])
    return contract.Interval(low=float(low), high=float(high))


def _p_value(differences: list[float]) -> float:
    """Give how often a drawing has no difference or one of the other sign, twice, and never quite 0."""
    values = np.asarray(differences)
    least = min(np.sum(values <= 0), np.sum(values >= 0))
    return float(min(1.0, 2 * (least + 1) / (len(values) + 1)))
