"""How well a model does when it learns from fewer rows."""

import numpy as np

from shared import errors, scoring
from shared.ml import targets
from shared.progress import Progress, no_progress
from shared.training import details, refinements
from workers.training.explanations.model_under_study import ModelUnderStudy


def compute_learning_curve(
    study: ModelUnderStudy,
    *,
    settings: refinements.LearningCurve,
    shuffled: bool,
    report: Progress = no_progress,
) -> details.LearningCurve:
    """Fit on increasing fractions of each fold's training rows, as scikit-learn's `learning_curve` does.

    The rows of a fold are shuffled by the seed first, except those of a time series. Where a fit fails or a metric is
    undefined, the value is None.
    """
    random = np.random.RandomState(study.seed)
    splits = study.splits[: settings.max_folds]
    if shuffled:
        splits = [(random.permutation(train), test) for train, test in splits]
    longest = len(splits[0][0])
    sizes = sorted({max(1, int(fraction * longest)) for fraction in settings.fractions})
    scores = []
    for number, size in enumerate(sizes, start=1):
        scores.append([_score_both(study, train[:size], test) for train, test in splits])
        report(number / len(sizes), f"learned from {size} rows")
    metric = scoring.choose_metric(
        next((pair[1] for folds in scores for pair in folds if pair[1]), {}), problem=study.problem
    )
    return details.LearningCurve(
        metric=metric,
        points=[
            details.LearningPoint(
                rows=size,
                train=[_finite(scoring.to_gain(metric, on_train, problem=study.problem)) for on_train, _ in folds],
                test=[_finite(scoring.to_gain(metric, on_test, problem=study.problem)) for _, on_test in folds],
            )
            for size, folds in zip(sizes, scores, strict=True)
        ],
    )


def _score_both(
    study: ModelUnderStudy, train: targets.Values, test: targets.Values
) -> tuple[dict[str, float], dict[str, float]]:
    try:
        model = study.fit(train)
        return study.score(model, study.frame.iloc[train], train), study.score(model, study.frame.iloc[test], test)
    except (errors.BadModelError, errors.BadDataError):
        return {}, {}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
