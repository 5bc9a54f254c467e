"""Fits a model, and if requested calibrates it and adds a threshold, all from the rows that it is fitted on.

Called inside each fold as well as for the final model, so that no fold's metrics depend on its held-out rows.
docs/decisions/models.md, "Calibration and threshold share out-of-fold scores, …".
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Self, cast

import numpy as np
import pandas as pd
from pydantic import JsonValue
from sklearn import base, model_selection, pipeline

from shared import errors
from shared.ml import targets
from shared.training import refinements
from workers.training.calibration import attach_classifier, compute_scores, fit_calibration
from workers.training.splits import inner
from workers.training.threshold import choose_threshold

Values = targets.Values
Fit = Callable[[pipeline.Pipeline, Values], None]
"""Fits a model in place on some of the rows, given by position."""


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows to learn from."""

    frame: pd.DataFrame
    values: Values
    weights: Values | None = None

    def take(self, rows: Values) -> Self:
        """Return some of the rows, by position."""
        weights = None if self.weights is None else self.weights[rows]
        return dataclasses.replace(self, frame=self.frame.iloc[rows], values=self.values[rows], weights=weights)


@dataclasses.dataclass(frozen=True)
class OutOfFold:
    """Rows with scores by models that had not seen them; the first rows of a time series have none."""

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
    make_folds: inner.MakeFolds,
    calibration: refinements.Calibration | None = None,
    threshold: refinements.Threshold | None = None,
    positive: targets.Label | None = None,
) -> Refined:
    """Fit a model in place on all rows, then refine it by out-of-fold predictions.

    With refinements the result is another pipeline of the same fitted recipe. A threshold is for the positive class,
    by default the last. BadModelError when the estimator can't be refined like this; `make_folds` raises what it finds
    wrong with the rows.
    """
    if threshold is not None:
        labels = _require_two_classes(rows.values)
        positive = labels[1] if positive is None else positive
    details: dict[str, JsonValue] = {}
    out_of_fold = _score_out_of_fold(
        model, rows, fit=fit, make_folds=make_folds, calibration=calibration, threshold=threshold, positive=positive
    )
    fit(model, np.arange(len(rows.values)))
    estimator = model[-1]
    if calibration is not None:
        scored, scores = out_of_fold.rows, out_of_fold.scores
        calibrated = fit_calibration(scores, scored.values, settings=calibration, weights=scored.weights)
        if threshold is not None:
            out_of_fold = OutOfFold(scored, _take_positive(calibrated.predict_proba(scores), calibrated, positive))
        estimator = attach_classifier(calibrated, estimator)
        details["calibration"] = calibration.model_dump(mode="json")
    if threshold is not None:
        estimator, details["threshold"] = _apply_threshold(
            estimator, out_of_fold, settings=threshold, positive=positive
        )
    return Refined(pipeline.Pipeline([*model.steps[:-1], (model.steps[-1][0], estimator)]), details)


def _require_two_classes(values: Values) -> list[targets.Label]:
    labels = targets.to_json(targets.encode(values).labels)
    if len(labels) != 2:
        raise errors.BadModelError(
            f"a threshold needs a target of two classes, but there are {len(labels)}; leave `threshold` out",
            pointer="#/params/threshold",
        )
    return labels


def _score_out_of_fold(
    model: pipeline.Pipeline,
    rows: Rows,
    *,
    fit: Fit,
    make_folds: inner.MakeFolds,
    calibration: refinements.Calibration | None,
    threshold: refinements.Threshold | None,
    positive: targets.Label | None,
) -> OutOfFold:
    """Score the rows out of fold, as the calibration or else the threshold needs it; no rows when neither does."""
    if calibration is not None:
        return _score_folds(model, rows, compute_scores, folds=make_folds(calibration.folds), fit=fit)
    if threshold is not None and threshold.value is None:
        score = functools.partial(_score_positive, positive=positive)
        return _score_folds(model, rows, score, folds=make_folds(threshold.folds), fit=fit)
    return OutOfFold(rows.take(np.arange(0)), np.empty(0))


def _score_folds(
    model: pipeline.Pipeline,
    rows: Rows,
    score: Callable[[Any, Values], Values],
    *,
    folds: list[inner.Split],
    fit: Fit,
) -> OutOfFold:
    """Score each held-out row by a copy of the model, recipe included, that was fitted on the other rows."""
    fold_scores = []
    for train, held_out in folds:
        fold_model = base.clone(model)
        fit(fold_model, train)
        fold_scores.append(score(fold_model[-1], fold_model[:-1].transform(rows.frame.iloc[held_out])))
    positions, scores = np.concatenate([held_out for _, held_out in folds]), np.concatenate(fold_scores)
    if not np.isfinite(scores).all():
        raise errors.BadModelError("the model's scores are not all finite numbers; scale the columns")
    # In the order of the rows, in which sums have the same last bits as scikit-learn's.
    order = np.argsort(positions)
    return OutOfFold(rows.take(positions[order]), scores[order])


def _score_positive(estimator: Any, features: Values, *, positive: targets.Label | None) -> Values:
    """Compute what scikit-learn compares with a threshold: the positive class's probability, or else its decision."""
    if hasattr(estimator, "predict_proba"):
        return _take_positive(estimator.predict_proba(features), estimator, positive)
    if hasattr(estimator, "decision_function"):
        decision = np.asarray(estimator.decision_function(features), dtype=np.float64)
        return _take_positive(np.column_stack([-decision, decision]), estimator, positive)
    raise errors.BadModelError(
        f"{type(estimator).__name__} has neither probabilities nor decisions, so it takes no threshold",
        pointer="#/params/threshold",
    )


def _take_positive(scores: Any, estimator: Any, positive: targets.Label | None) -> Values:
    """Take the positive class's column of scores that have one for each class."""
    column = targets.to_json(np.asarray(estimator.classes_)).index(cast(targets.Label, positive))
    return np.asarray(scores, dtype=np.float64)[:, column]


def _apply_threshold(
    estimator: Any, out_of_fold: OutOfFold, *, settings: refinements.Threshold, positive: targets.Label | None
) -> tuple[Any, dict[str, JsonValue]]:
    """Wrap a fitted estimator with its threshold; return it with the threshold's details."""
    value, details = settings.value, dict[str, JsonValue](value=settings.value)
    if value is None:
        scored = out_of_fold.rows
        choice = choose_threshold(
            out_of_fold.scores, positive=scored.values == positive, settings=settings, weights=scored.weights
        )
        value, details = choice.value, choice.describe()
    thresholded = model_selection.FixedThresholdClassifier(estimator, threshold=value, pos_label=positive)
    thresholded.n_features_in_ = estimator.n_features_in_
    return thresholded, {**details, "positive": positive}
