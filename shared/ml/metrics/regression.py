"""Metrics of numbers, of their quantiles and of intervals."""

import numpy as np
from sklearn import metrics

from shared.ml import targets

Values = targets.Values


def of_numbers(truth: Values, prediction: Values, *, weights: Values | None = None) -> dict[str, float]:
    """Compare numbers; errors are positive."""
    given = {"sample_weight": weights}
    found = {
        "mean_absolute_error": metrics.mean_absolute_error(truth, prediction, **given),
        "median_absolute_error": metrics.median_absolute_error(truth, prediction, **given),
        "root_mean_squared_error": metrics.root_mean_squared_error(truth, prediction, **given),
        "max_error": metrics.max_error(truth, prediction),
    }
    if np.ptp(truth) > 0:
        # Both compare with the truth's own spread, so a constant truth leaves them undefined.
        found["r2"] = metrics.r2_score(truth, prediction, force_finite=False, **given)
        found["explained_variance"] = metrics.explained_variance_score(truth, prediction, force_finite=False, **given)
    if np.all(truth != 0):
        found["mean_absolute_percentage_error"] = metrics.mean_absolute_percentage_error(truth, prediction, **given)
    return found


def of_quantiles(
    truth: Values, quantiles: Values, levels: list[float], *, weights: Values | None = None
) -> dict[str, float]:
    """Compare (rows, quantiles) with the truth: pinball losses, the part of the rows below each, and disorder."""
    losses, found = [], {}
    for place, level in enumerate(levels):
        said = quantiles[:, place]
        losses.append(metrics.mean_pinball_loss(truth, said, alpha=level, sample_weight=weights))
        found[f"mean_pinball_loss_{level:g}"] = losses[-1]
        found[f"fraction_below_{level:g}"] = float(np.average(truth <= said, weights=weights))
    found["mean_pinball_loss"] = float(np.mean(losses))
    if len(levels) > 1:
        found["quantile_crossing"] = float(np.mean((np.diff(quantiles, axis=1) < 0).any(axis=1)))
    return found


def of_intervals(truth: Values, lower: Values, upper: Values, *, weights: Values | None = None) -> dict[str, float]:
    """How many rows' intervals hold the truth, and how wide they are."""
    return {
        "coverage": float(np.average((lower <= truth) & (truth <= upper), weights=weights)),
        "mean_width": float(np.average(upper - lower, weights=weights)),
    }
