"""Gathers what a result tells of a model besides its metrics: curves, tables and explanations, as capped data."""

import dataclasses
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from pydantic import JsonValue
from sklearn import pipeline

from shared import errors
from shared.ml import predictions, targets
from shared.progress import Progress, no_progress
from shared.training import details, refinements
from shared.training.estimators.spec import Problem
from workers.training.explanations import curves, dependence, importance, learning_curve, shap_values
from workers.training.explanations.lab import Lab

Values = targets.Values
Parts = dict[str, Any]
# What goes first when a version's details would be too large altogether.
LARGEST_FIRST = ("shap", "partial_dependence", "roc", "precision_recall", "confusion", "clusters", "labels")
NEEDS_TRUTH = ("classification", "multilabel", "regression", "quantile")


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """What was predicted of rows out of fold, beside their truth; rows of all folds behind one another.

    `truth` is None for clusters, and for anomalies without a target; there -1 is a row without a truth.
    """

    problem: Problem
    truth: Values | None
    made: predictions.Predictions
    classes: Sequence[targets.Label] | None = None
    levels: Sequence[float] = ()
    weights: Values | None = None


def explain(
    model: pipeline.Pipeline,
    held_out: HeldOut,
    *,
    lab: Lab,
    wanted: refinements.Explain,
    refined: dict[str, JsonValue] | None = None,
    shuffled: bool = True,
    report: Progress = no_progress,
) -> dict[str, JsonValue]:
    """Give a version's `details`, as `shared.training.details.Details` describes them, without what is null.

    `model` is fitted on every row of the lab's frame; `refined` says how. Curves come from `held_out` and are always
    there where the problem has them. `shuffled` is false for a time series. What can't be explained as asked should
    have been refused by `require`.
    """
    found = Parts(refined or {}) | draw(held_out)
    if wanted.permutation_importance is not None:
        found["permutation_importance"] = importance.permutation_importance(lab, wanted=wanted.permutation_importance)
    report(0.25, "shuffled the columns")
    if wanted.partial_dependence is not None:
        rows = lab.sample(np.arange(len(lab.frame)), most=wanted.partial_dependence.max_rows)
        found["partial_dependence"] = dependence.partial_dependence(
            model,
            lab.frame.iloc[rows].reset_index(drop=True),
            columns=wanted.partial_dependence.columns,
            points=wanted.partial_dependence.points,
        )
    report(0.5, "followed single columns")
    if wanted.shap is not None:
        found["shap"] = _shap(model, lab, wanted.shap)
    report(0.75, "asked for SHAP values")
    if wanted.learning_curve is not None:
        found["learning_curve"] = learning_curve.learning_curve(lab, wanted=wanted.learning_curve, shuffled=shuffled)
    report(1.0, "explained")
    return capped(found)


def require(problem: Problem, frame: pd.DataFrame, *, wanted: refinements.Explain) -> None:
    """Raise BadModelError or BadDataError for what can't be explained, before hours are spent on fitting."""
    for name in ("permutation_importance", "learning_curve", "partial_dependence", "shap"):
        if getattr(wanted, name) is not None and problem not in NEEDS_TRUTH:
            raise errors.BadModelError(
                f"{name} explains {', '.join(NEEDS_TRUTH)}, not {problem}; leave it out of `explain`",
                pointer=f"#/params/explain/{name}",
            )
    if wanted.partial_dependence is not None:
        dependence.require(frame, columns=wanted.partial_dependence.columns)
    if wanted.shap is not None:
        shap_values.library()


def _shap(model: pipeline.Pipeline, lab: Lab, wanted: refinements.Shap) -> details.Shap:
    everything = np.arange(len(lab.frame))
    rows, background = (lab.sample(everything, most=most) for most in (wanted.rows, wanted.background))
    return shap_values.explain(model, lab.frame.iloc[rows], background=lab.frame.iloc[background], seed=lab.seed)


def draw(held_out: HeldOut) -> Parts:
    """Make the curves and tables that a problem has, of predictions out of fold."""
    made, truth = held_out.made, held_out.truth
    match held_out.problem:
        case "classification":
            return _classification(held_out)
        case "multilabel":
            return _multilabel(held_out)
        case "clustering":
            return {"clusters": curves.cluster_sizes(made.prediction)}
        case "anomaly":
            return _anomaly(held_out)
        case _:
            found: Parts = {"residuals": curves.residuals(cast(Values, truth), made.prediction)}
            if made.quantiles is not None and truth is not None:
                found["quantiles"] = curves.quantile_checks(truth, made.quantiles, quantiles=held_out.levels)
            return found


def _classification(held_out: HeldOut) -> Parts:
    made, truth, classes = held_out.made, cast(Values, held_out.truth), held_out.classes or []
    ranked = curves.of_classes(
        truth, classes=classes, probability=made.probability, decision=made.decision, weights=held_out.weights
    )
    confusion = curves.confusion(truth, made.prediction, classes=classes, weights=held_out.weights)
    return {"confusion": confusion, **_ranking(ranked)}


def _multilabel(held_out: HeldOut) -> Parts:
    made, truth, labels = held_out.made, cast(Values, held_out.truth), list(held_out.classes or [])
    counts = curves.label_counts(truth, made.prediction, labels=labels, weights=held_out.weights)
    if made.probability is None:
        return {"labels": counts}
    ranked = [
        curves.Ranked(label, truth[:, place] == 1, made.probability[:, place], held_out.weights, is_probability=True)
        for place, label in enumerate(labels[: details.MAX_CURVES])
    ]
    return {"labels": counts, **_ranking(ranked)}


def _anomaly(held_out: HeldOut) -> Parts:
    scores, truth = cast(Values, held_out.made.decision), held_out.truth
    found: Parts = {"scores": curves.spread(scores)}
    if truth is None:
        return found
    known = truth >= 0
    weights = None if held_out.weights is None else held_out.weights[known]
    return found | _ranking(
        [curves.Ranked(label=True, positive=truth[known] == 1, scores=scores[known], weights=weights)]
    )


def _ranking(ranked: list[curves.Ranked]) -> Parts:
    drawn = [one for one in ranked if one.has_both]
    found: Parts = {}
    if drawn:
        found["roc"] = [curves.roc(one) for one in drawn]
        found["precision_recall"] = [curves.precision_recall(one) for one in drawn]
    if any(one.is_probability for one in drawn):
        found["calibration_curve"] = [curves.calibration_curve(one) for one in drawn]
    return found


def capped(found: Parts) -> dict[str, JsonValue]:
    """Give the parts as JSON, the largest left out and named while all together are more than a mebibyte."""
    kept = dict(found)
    for name in (None, *LARGEST_FIRST):
        if name is not None and kept.pop(name, None) is None:
            continue
        left_out = [
            f"{gone}: the details would be more than {details.MAX_BYTES:,} bytes" for gone in found.keys() - kept
        ]
        whole = details.Details.model_validate({**kept, "left_out": sorted(left_out)})
        if len(whole.model_dump_json(exclude_none=True)) <= details.MAX_BYTES:
            break
    return cast(dict[str, JsonValue], whole.model_dump(mode="json", exclude_none=True, exclude_defaults=True))
