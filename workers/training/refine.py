"""Fits a model, and where asked calibrates it and gives it a threshold, all from the rows that it is fitted on.

Called inside each fold as well as for the final model, so that no fold's metrics know its held-out rows.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from pydantic import JsonValue
from sklearn import base, model_selection, pipeline

from shared import errors
from shared.ml import targets
from shared.training import refinements
from workers.training import calibration as calibrating
from workers.training import threshold as thresholds

Values = targets.Values
Fit = Callable[[pipeline.Pipeline, Values], None]
"""Fits a model in place on some of the rows, given by their places."""


@dataclasses.dataclass(frozen=True)
class Rows:
    """What there is to learn from; `groups` are rows that no fold may part."""

    frame: pd.DataFrame
    values: Values
    weights: Values | None = None
    groups: Values | None = None


@dataclasses.dataclass(frozen=True)
class Refined:
    """A fitted model of a recipe and an estimator, and how it was refined."""

    model: pipeline.Pipeline
    details: dict[str, JsonValue]


def refine(
    model: pipeline.Pipeline,
    rows: Rows,
    *,
    fit: Fit,
    calibration: refinements.Calibration | None = None,
    threshold: refinements.Threshold | None = None,
    seed: int = 0,
) -> Refined:
    """Fit a model in place on every row, then refine it by predictions out of fold.

    With refinements the result is another pipeline of the same fitted recipe. BadModelError when the estimator can't be
    refined so, BadDataError when a class has fewer rows than there are folds.
    """
    if threshold is not None:
        _require_two_classes(rows.values)
    details: dict[str, JsonValue] = {}
    scores = _scores(model, rows, fit=fit, calibration=calibration, threshold=threshold, seed=seed)
    fit(model, np.arange(len(rows.values)))
    estimator = model[-1]
    if calibration is not None:
        calibrated = calibrating.fit(scores, rows.values, wanted=calibration, weights=rows.weights)
        scores = calibrated.predict_proba(scores)[:, 1]
        estimator = calibrating.complete(calibrated, estimator)
        details["calibration"] = calibration.model_dump(mode="json")
    if threshold is not None:
        estimator, details["threshold"] = _bound(estimator, rows, scores, wanted=threshold)
    return Refined(pipeline.Pipeline([*model.steps[:-1], (model.steps[-1][0], estimator)]), details)


def _require_two_classes(values: Values) -> None:
    labels = np.unique(values)
    if len(labels) != 2:
        raise errors.BadModelError(
            f"a threshold needs a target of two classes, but there are {len(labels)}; leave `threshold` out",
            pointer="#/params/threshold",
        )


def _scores(
    model: pipeline.Pipeline,
    rows: Rows,
    *,
    fit: Fit,
    calibration: refinements.Calibration | None,
    threshold: refinements.Threshold | None,
    seed: int,
) -> Values:
    """Give every row's scores out of fold, as calibrating or else choosing a threshold needs them; or no scores."""
    if calibration is not None:
        return _out_of_fold(model, rows, calibrating.scores_of, folds=calibration.folds, fit=fit, seed=seed)
    if threshold is not None and threshold.value is None:
        return _out_of_fold(model, rows, _yes, folds=threshold.folds, fit=fit, seed=seed)
    return np.empty(0)


def _out_of_fold(
    model: pipeline.Pipeline, rows: Rows, score: Callable[[Any, Values], Values], *, folds: int, fit: Fit, seed: int
) -> Values:
    """Give each row's scores by a copy of the model that was fitted, recipe and all, on the other folds."""
    scores: Values | None = None
    for train, test in _folds(rows, folds=folds, seed=seed):
        fold = base.clone(model)
        fit(fold, train)
        found = score(fold[-1], fold[:-1].transform(rows.frame.iloc[test]))
        if scores is None:
            scores = np.empty((len(rows.values), *found.shape[1:]))
        scores[test] = found
    if scores is None or not np.isfinite(scores).all():
        raise errors.BadModelError("the model gives scores that are not finite numbers; scale the columns")
    return scores


def _folds(rows: Rows, *, folds: int, seed: int) -> list[tuple[Values, Values]]:
    labels, counts = np.unique(rows.values, return_counts=True)
    if counts.min() < folds:
        rarest = targets.text(labels[counts.argmin()])
        raise errors.BadDataError(
            f"class {rarest!r} has {counts.min()} rows to fit on, fewer than the {folds} folds that calibration or the "
            "threshold takes; give fewer `folds`"
        )
    made = model_selection.StratifiedKFold if rows.groups is None else model_selection.StratifiedGroupKFold
    splitter = made(n_splits=folds, shuffle=True, random_state=seed)
    return list(splitter.split(np.zeros(len(rows.values)), rows.values, rows.groups))


def _yes(estimator: Any, features: Values) -> Values:
    """Give what scikit-learn holds against a threshold: the probability of yes, or else the decision."""
    if hasattr(estimator, "predict_proba"):
        return np.asarray(estimator.predict_proba(features), dtype=np.float64)[:, 1]
    if hasattr(estimator, "decision_function"):
        return np.asarray(estimator.decision_function(features), dtype=np.float64)
    raise errors.BadModelError(
        f"{type(estimator).__name__} gives neither probabilities nor decisions, so it takes no threshold",
        pointer="#/params/threshold",
    )


def _bound(
    estimator: Any, rows: Rows, scores: Values, *, wanted: refinements.Threshold
) -> tuple[Any, dict[str, JsonValue]]:
    """Give a fitted estimator its threshold, and say which one."""
    value, told = wanted.value, dict[str, JsonValue](value=wanted.value)
    if value is None:
        positive = rows.values == np.unique(rows.values)[1]
        choice = thresholds.choose(scores, positive=positive, wanted=wanted, weights=rows.weights)
        value, told = choice.value, choice.describe()
    bound = model_selection.FixedThresholdClassifier(estimator, threshold=value)
    bound.n_features_in_ = estimator.n_features_in_
    return bound, told
