"""Intervals of metrics, and of differences between two models, by resampling rows with replacement.

Percentile bootstrap: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 16.
docs/decisions/evaluation.md, "An evaluation compares by drawing rows in pairs, and its intervals cost what they cost".
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from shared import errors
from shared.evaluation import contract
from shared.ml import targets
from shared.ml.metrics import classification
from shared.progress import Progress, no_progress
from workers.evaluation import scored_rows

# What resampling may cost: metrics of labels and numbers take up to half a microsecond for each drawn row and each
# model, so this is up to twenty seconds for two models.
USUAL_DRAWN_ROWS = 20_000_000
# Fewer resamples make an interval's ends unreliable, so that many rows are resampled this often nevertheless.
LEAST_SAMPLES = 200
MAX_DRAWN_ROWS = 200_000_000
RELIABLE_SHARE = 0.95
"""A metric that is defined on a smaller share of the resamples gets a warning."""


@dataclasses.dataclass(frozen=True)
class Estimates:
    """Intervals of the model's metrics, and of their differences to the baseline's, by metric."""

    samples: int
    used: dict[str, int]
    """On how many of the resamples each metric is defined."""
    intervals: dict[str, contract.Interval]
    differences: dict[str, tuple[contract.Interval, float]]
    """Each with its two-sided p-value."""


def choose_samples(requested: int, *, rows: int) -> int:
    """Choose how many resamples to draw, at most `requested`; LimitExceededError when even the fewest cost too much."""
    affordable = min(requested, max(LEAST_SAMPLES, USUAL_DRAWN_ROWS // max(1, rows)))
    if affordable * rows > MAX_DRAWN_ROWS:
        raise errors.LimitExceededError(
            f"intervals need {affordable} resamples of {rows:,} rows each, but at most {MAX_DRAWN_ROWS:,} rows are "
            "drawn in all; evaluate a sample of the rows, or leave out `bootstrap` and `baseline`"
        )
    return affordable


def estimate(
    model: scored_rows.ScoredRows,
    baseline: scored_rows.ScoredRows | None,
    *,
    options: contract.Bootstrap,
    report: Progress = no_progress,
) -> Estimates:
    """Resample the rows, and measure the model, and the baseline on the same rows."""
    samples = choose_samples(options.samples, rows=model.rows)
    encoded, encoded_baseline = model.encode(), None if baseline is None else baseline.encode()
    classes = _find_present_classes(encoded)
    values: dict[str, list[float]] = {name: [] for name in encoded.measure()}
    differences: dict[str, list[float]] = {}
    for number, rows in enumerate(_draw_rows(model.rows, samples=samples, seed=options.seed), start=1):
        resample = encoded.take(rows)
        has_all_classes = np.array_equal(_find_present_classes(resample), classes)
        left_out = frozenset() if has_all_classes else classification.NEED_ALL_CLASSES
        metrics = resample.measure()
        baseline_metrics = {} if encoded_baseline is None else encoded_baseline.take(rows).measure()
        for name in values.keys() & metrics.keys() - left_out:
            values[name].append(metrics[name])
            if name in baseline_metrics:
                differences.setdefault(name, []).append(metrics[name] - baseline_metrics[name])
        report(number / samples, f"{number} of {samples} resamples measured")
    return Estimates(
        samples=samples,
        used={name: len(sampled) for name, sampled in values.items()},
        intervals={name: _compute_interval(sampled, options) for name, sampled in values.items() if sampled},
        differences={
            name: (_compute_interval(sampled, options), _compute_p_value(sampled))
            for name, sampled in differences.items()
        },
    )


def find_unreliable(estimates: Estimates) -> dict[int, list[str]]:
    """Find the metrics that too few resamples define, by the number of resamples that do."""
    unreliable: dict[int, list[str]] = {}
    for name, used in estimates.used.items():
        if used < RELIABLE_SHARE * estimates.samples:
            unreliable.setdefault(used, []).append(name)
    return unreliable


def _find_present_classes(model: scored_rows.ScoredRows) -> targets.Values:
    """Return for each class or label whether any row has it; truths must be encoded."""
    if model.truth is None:
        return np.zeros(0, dtype=bool)
    match model.problem:
        case "classification":
            return np.bincount(model.truth, minlength=len(model.classes or [])) > 0
        case "multilabel":
            return np.asarray((model.truth == 1).any(axis=0))
        case "anomaly":
            return np.array([np.any(model.truth == label) for label in (0, 1)])
    return np.zeros(0, dtype=bool)


def _draw_rows(rows: int, *, samples: int, seed: int) -> Iterator[targets.Values]:
    """Draw positions of rows with replacement, as many as there are rows, for each resample."""
    generator = np.random.default_rng(seed)
    for _ in range(samples):
        yield generator.integers(0, rows, size=rows)


def _compute_interval(values: list[float], options: contract.Bootstrap) -> contract.Interval:
    tail = (1 - options.confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return contract.Interval(low=float(low), high=float(high))


def _compute_p_value(differences: list[float]) -> float:
    """Compute the two-sided p-value: twice the share of resamples with no or the opposite difference, never quite 0."""
    values = np.asarray(differences)
    opposite = min(np.sum(values <= 0), np.sum(values >= 0))
    return float(min(1.0, 2 * (opposite + 1) / (len(values) + 1)))
