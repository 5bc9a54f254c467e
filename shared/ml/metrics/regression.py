"""Metrics of numbers, of their quantiles and of intervals."""

import numpy as np
from sklearn import metrics

from shared.ml import targets

Values = targets.Values


def measure_numbers(truth: Values, prediction: Values, *, weights: Values | None = None) -> dict[str, float]:
    """Compare numbers; errors are positive."""
    options = {"sample_weight": weights}
    results = {
        "mean_absolute_error": metrics.mean_absolute_error(truth, prediction, **options),
        "median_absolute_error": metrics.median_absolute_error(truth, prediction, **options),
        "root_mean_squared_error": metrics.root_mean_squared_error(truth, prediction, **options),
        "max_error": metrics.max_error(truth, prediction),
    }
    if np.ptp(truth) > 0:
        # Both are relative to the truth's spread, so they are undefined for a constant truth.
        results["r2"] = metrics.r2_score(truth, prediction, force_finite=False, **options)
        results["explained_variance"] = metrics.explained_variance_score(
            truth, prediction, force_finite=False, **options
        )
    if np.all(truth != 0):
        results["mean_absolute_percentage_error"] = metrics.mean_absolute_percentage_error(truth, prediction, **options)
    return results


def measure_quantiles(
    truth: Values, quantiles: Values, levels: list[float], *, weights: Values | None = None
) -> dict[str, float]:
    """Compare (rows, quantiles) with the truth: pinball losses, shares of truths below each, and crossing quantiles."""
    losses, results = [], {}
    for index, level in enumerate(levels):
        quantile = quantiles[:, index]
        losses.append(metrics.mean_pinball_loss(truth, quantile, alpha=level, sample_weight=weights))
        results[f"mean_pinball_loss_{level:g}"] = losses[-1]
        results[f"fraction_below_{level:g}"] = float(np.average(truth <= quantile, weights=weights))
    results["mean_pinball_loss"] = float(np.mean(losses))
    if len(levels) > 1:
        results["quantile_crossing"] = float(np.mean((np.diff(quantiles, axis=1) < 0).any(axis=1)))
    return results


def measure_intervals(
    truth: Values, lower: Values, upper: Values, *, weights: Values | None = None
) -> dict[str, float]:
    """Measure the share of rows whose interval contains the truth, and how wide the intervals are."""
    return {
        "coverage": float(np.average((lower <= truth) & (truth <= upper), weights=weights)),
        "mean_width": float(np.average(upper - lower, weights=weights)),
    }
