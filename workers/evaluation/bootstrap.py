"""Intervals of metrics, and of differences between two models, by drawing rows with repetition.

Percentile bootstrap: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 16.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from shared import errors
from shared.evaluation import contract
from shared.ml import targets
from shared.ml.metrics import classification
from shared.progress import Progress, no_progress
from workers.evaluation import scored

# What drawing may cost: metrics of labels and numbers take up to half a microsecond for each row that is drawn and
# each model, so this is up to twenty seconds for two.
USUAL_DRAWN_ROWS = 20_000_000
# Fewer drawings than these say little of an interval's ends, so many rows are drawn so often all the same.
LEAST_SAMPLES = 200
MOST_DRAWN_ROWS = 200_000_000
CLEARLY_FEWER = 0.95


@dataclasses.dataclass(frozen=True)
class Drawn:
    """What the drawings gave: intervals of the model's metrics, and the differences to the baseline's, by metric."""

    samples: int
    used: dict[str, int]
    """How many of the drawings define each metric."""
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
    report: Progress = no_progress,
) -> Drawn:
    """Draw rows and measure the model, and the baseline on the same ones."""
    samples = samples_for(how.samples, rows=model.rows)
    mine, theirs = model.coded(), None if baseline is None else baseline.coded()
    classes = _classes_in(mine)
    found: dict[str, list[float]] = {name: [] for name in mine.measure()}
    apart: dict[str, list[float]] = {}
    for number, rows in enumerate(_drawings(model.rows, samples=samples, seed=how.seed), start=1):
        drawn = mine.take(rows)
        left_out = frozenset() if np.array_equal(_classes_in(drawn), classes) else classification.OF_ALL_CLASSES
        values = drawn.measure()
        others = {} if theirs is None else theirs.take(rows).measure()
        for name in found.keys() & values.keys() - left_out:
            found[name].append(values[name])
            if name in others:
                apart.setdefault(name, []).append(values[name] - others[name])
        report(number / samples, f"drew {number} of {samples} times")
    return Drawn(
        samples=samples,
        used={name: len(values) for name, values in found.items()},
        intervals={name: _interval(values, how) for name, values in found.items() if values},
        differences={name: (_interval(values, how), _p_value(values)) for name, values in apart.items()},
    )


def thin(drawn: Drawn) -> dict[int, list[str]]:
    """Give the metrics that clearly fewer drawings define than were made, by how many do."""
    few: dict[int, list[str]] = {}
    for name, used in drawn.used.items():
        if used < CLEARLY_FEWER * drawn.samples:
            few.setdefault(used, []).append(name)
    return few


def _classes_in(model: scored.Scored) -> targets.Values:
    """Tell of each class, label or sort of row whether any row has it; truths are coded."""
    if model.truth is None:
        return np.zeros(0, dtype=bool)
    match model.problem:
        case "classification":
            return np.bincount(model.truth, minlength=len(model.classes or [])) > 0
        case "multilabel":
            return np.asarray((model.truth == 1).any(axis=0))
        case "anomaly":
            return np.array([np.any(model.truth == sort) for sort in (0, 1)])
    return np.zeros(0, dtype=bool)


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
