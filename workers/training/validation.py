"""Validates a model on rows that it wasn't fitted on, its recipe fitted anew with it each time."""

import numpy as np
from sklearn import base, pipeline

from shared.ml import metrics, progress, targets
from shared.training import contract
from workers.training import experiment, models, splits


def validate(
    model: pipeline.Pipeline,
    table: experiment.Table,
    *,
    problem: metrics.Problem,
    parts: list[splits.Split],
    threads: int,
    report: progress.Progress,
) -> dict[str, contract.Metric]:
    """Fit a fresh copy of the model on each split's first part and score it on the second."""
    frame, values = table.frame, table.values
    scores = []
    for number, (train, test) in enumerate(parts, start=1):
        fold = base.clone(model)
        models.fit_model(fold, frame.iloc[train], values[train], threads=threads)
        found = models.try_model(fold, frame.iloc[test])
        scores.append(
            metrics.score(
                problem,
                truth=values[test],
                prediction=found.prediction,
                probability=found.probability,
                decision=found.decision,
                classes=targets.to_json(fold.classes_) if problem == "classification" else None,
            )
        )
        report(number / len(parts), f"validated {number} of {len(parts)}")
    return _summarize(scores)


def _summarize(scores: list[dict[str, float]]) -> dict[str, contract.Metric]:
    """Give mean and deviation of each metric that every fold has."""
    common = [name for name in scores[0] if all(name in score for score in scores)]
    return {name: _metric([score[name] for score in scores]) for name in common}


def _metric(folds: list[float]) -> contract.Metric:
    return contract.Metric(mean=float(np.mean(folds)), std=float(np.std(folds)), folds=folds)
