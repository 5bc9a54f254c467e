"""Fits a model, and where asked calibrates it and gives it a threshold, all from the rows that it is fitted on.

Called inside each fold as well as for the final model, so that no fold's metrics know its held-out rows.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import pandas as pd
from pydantic import JsonValue
from sklearn import base, model_selection, pipeline

from shared import errors
from shared.ml import targets
from shared.training import refinements
from workers.training.calibration import complete, fit_calibration, scores_of
from workers.training.splits import inner
from workers.training.threshold import choose_threshold

Values = targets.Values
Fit = Callable[[pipeline.Pipeline, Values], None]
"""Fits a model in place on some of the rows, given by their places."""


@dataclasses.dataclass(frozen=True)
class Rows:
    """What there is to learn from."""

    frame: pd.DataFrame
    values: Values
    weights: Values | None = None

    def take(self, places: Values) -> Self:
        """Give some of the rows, by their places."""
        weights = None if self.weights is None else self.weights[places]
        return dataclasses.replace(self, frame=self.frame.iloc[places], values=self.values[places], weights=weights)


@dataclasses.dataclass(frozen=True)
class OutOfFold:
    """Scores by models that had not seen the rows; of a time series the first rows have none."""

    rows: Rows
    scores: Values


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
    folds: inner.MakeFolds,
    calibration: refinements.Calibration | None = None,
    threshold: refinements.Threshold | None = None,
) -> Refined:
    """Fit a model in place on every row, then refine it by predictions out of fold.

    With refinements the result is another pipeline of the same fitted recipe. BadModelError when the estimator can't be
    refined so; `folds` raises what it finds wrong with the rows.
    """
    if threshold is not None:
        _require_two_classes(rows.values)
    details: dict[str, JsonValue] = {}
    out_of_fold = _score(model, rows, fit=fit, folds=folds, calibration=calibration, threshold=threshold)
    fit(model, np.arange(len(rows.values)))
    estimator = model[-1]
    if calibration is not None:
        known, scores = out_of_fold.rows, out_of_fold.scores
        calibrated = fit_calibration(scores, known.values, wanted=calibration, weights=known.weights)
        out_of_fold = OutOfFold(known, calibrated.predict_proba(scores)[:, 1])
        estimator = complete(calibrated, estimator)
        details["calibration"] = calibration.model_dump(mode="json")
    if threshold is not None:
        estimator, details["threshold"] = _bound(estimator, out_of_fold, wanted=threshold)
    return Refined(pipeline.Pipeline([*model.steps[:-1], (model.steps[-1][0], estimator)]), details)


def _require_two_classes(values: Values) -> None:
    labels = targets.encode(values).labels
    if len(labels) != 2:
        raise errors.BadModelError(
            f"a threshold needs a target of two classes, but there are {len(labels)}; leave `threshold` out",
            pointer="#/params/threshold",
        )


def _score(
    model: pipeline.Pipeline,
    rows: Rows,
    *,
    fit: Fit,
    folds: inner.MakeFolds,
    calibration: refinements.Calibration | None,
    threshold: refinements.Threshold | None,
) -> OutOfFold:
    """Score rows out of fold, as calibrating or else choosing a threshold needs it; or none."""
    if calibration is not None:
        return _out_of_fold(model, rows, scores_of, folds=folds(calibration.folds), fit=fit)
    if threshold is not None and threshold.value is None:
        return _out_of_fold(model, rows, _yes, folds=folds(threshold.folds), fit=fit)
    return OutOfFold(rows.take(np.arange(0)), np.empty(0))


def _out_of_fold(
    model: pipeline.Pipeline,
    rows: Rows,
    score: Callable[[Any, Values], Values],
    *,
    folds: list[inner.Split],
    fit: Fit,
) -> OutOfFold:
    """Score each row held out by a copy of the model that was fitted, recipe and all, on the other part."""
    made = []
    for train, held_out in folds:
        fold = base.clone(model)
        fit(fold, train)
        made.append(score(fold[-1], fold[:-1].transform(rows.frame.iloc[held_out])))
    places, scores = np.concatenate([held_out for _, held_out in folds]), np.concatenate(made)
    if not np.isfinite(scores).all():
        raise errors.BadModelError("the model gives scores that are not finite numbers; scale the columns")
    # In the rows' own order, in which sums have the same last bits as scikit-learn's.
    order = np.argsort(places)
    return OutOfFold(rows.take(places[order]), scores[order])


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
    estimator: Any, out_of_fold: OutOfFold, *, wanted: refinements.Threshold
) -> tuple[Any, dict[str, JsonValue]]:
    """Give a fitted estimator its threshold, and say which one."""
    value, told = wanted.value, dict[str, JsonValue](value=wanted.value)
    if value is None:
        known = out_of_fold.rows
        positive = known.values == targets.encode(known.values).labels[1]
        choice = choose_threshold(out_of_fold.scores, positive=positive, wanted=wanted, weights=known.weights)
        value, told = choice.value, choice.describe()
    bound = model_selection.FixedThresholdClassifier(estimator, threshold=value)
    bound.n_features_in_ = estimator.n_features_in_
    return bound, told
