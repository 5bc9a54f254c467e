"""How well a model does when it learns from fewer rows."""

import numpy as np

from shared import errors
from shared.ml import targets
from shared.progress import Progress, no_progress
from shared.training import details, refinements
from workers.training.explanations.lab import Lab, gain, main_metric


def learning_curve(
    lab: Lab,
    *,
    wanted: refinements.LearningCurve,
    shuffled: bool,
    report: Progress = no_progress,
) -> details.LearningCurve:
    """Fit on growing parts of each fold's training rows, as scikit-learn's `learning_curve` does.

    The rows of a fold are shuffled first by the seed, except those of a time series. A fit or a metric that some rows
    don't allow is missing.
    """
    random = np.random.RandomState(lab.seed)
    parts = lab.parts[: wanted.max_folds]
    if shuffled:
        parts = [(random.permutation(train), test) for train, test in parts]
    longest = len(parts[0][0])
    sizes = sorted({max(1, int(fraction * longest)) for fraction in wanted.fractions})
    found = []
    for number, size in enumerate(sizes, start=1):
        found.append([_scores(lab, train[:size], test) for train, test in parts])
        report(number / len(sizes), f"learned from {size} rows")
    metric = main_metric(lab.problem, next((both[1] for folds in found for both in folds if both[1]), {}))
    return details.LearningCurve(
        metric=metric,
        points=[
            details.LearningPoint(
                rows=size,
                train=[_finite(gain(lab.problem, metric, on_train)) for on_train, _ in folds],
                test=[_finite(gain(lab.problem, metric, on_test)) for _, on_test in folds],
            )
            for size, folds in zip(sizes, found, strict=True)
        ],
    )


def _scores(lab: Lab, train: targets.Values, test: targets.Values) -> tuple[dict[str, float], dict[str, float]]:
    try:
        model = lab.learn(train)
        return lab.score(model, lab.frame.iloc[train], train), lab.score(model, lab.frame.iloc[test], test)
    except (errors.BadModelError, errors.BadDataError):
        return {}, {}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
