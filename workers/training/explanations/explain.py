"""Gathers what a result reports about a model besides its metrics: curves, tables and explanations, capped in size."""

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
from workers.training.explanations.model_under_study import ModelUnderStudy

Values = targets.Values
Sections = dict[str, Any]
"""Parts of a version's details, by the names of the fields of `shared.training.details.Details`."""
# The order in which sections are left out when a version's details would be too large.
LARGEST_FIRST = ("shap", "partial_dependence", "roc", "precision_recall", "confusion", "clusters", "labels")
EXPLAINED_PROBLEMS = ("classification", "multilabel", "regression", "quantile")


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """Out-of-fold predictions with the rows' true values, the folds one after another.

    `truth` is None for clusters, and for anomalies without a target; with one, -1 marks a row whose truth is unknown.
    """

    problem: Problem
    truth: Values | None
    predicted: predictions.Predictions
    classes: Sequence[targets.Label] | None = None
    levels: Sequence[float] = ()
    weights: Values | None = None


def explain(
    model: pipeline.Pipeline,
    held_out: HeldOut,
    *,
    study: ModelUnderStudy,
    settings: refinements.Explain,
    refined: dict[str, JsonValue] | None = None,
    shuffled: bool = True,
    report: Progress = no_progress,
) -> dict[str, JsonValue]:
    """Compute a version's `details`, as `shared.training.details.Details` describes them, without nulls.

    `model` is fitted on all rows of the study's frame; `refined` are the details of its refinement. The curves come
    from `held_out` and are always included where the problem has them. `shuffled` is false for a time series. Requests
    that can't be explained must have been refused by `require_explainable`.
    """
    sections = Sections(refined or {}) | draw_curves(held_out)
    if settings.permutation_importance is not None:
        sections["permutation_importance"] = importance.compute_importance(
            study, settings=settings.permutation_importance
        )
    report(0.25, "shuffled the columns")
    if settings.partial_dependence is not None:
        rows = study.sample(np.arange(len(study.frame)), most=settings.partial_dependence.max_rows)
        sections["partial_dependence"] = dependence.compute_partial_dependence(
            model,
            study.frame.iloc[rows].reset_index(drop=True),
            columns=settings.partial_dependence.columns,
            points=settings.partial_dependence.points,
        )
    report(0.5, "computed partial dependence")
    if settings.shap is not None:
        sections["shap"] = _explain_by_shap(model, study, settings.shap)
    report(0.75, "computed SHAP values")
    if settings.learning_curve is not None:
        sections["learning_curve"] = learning_curve.compute_learning_curve(
            study, settings=settings.learning_curve, shuffled=shuffled
        )
    report(1.0, "explained")
    return cap_size(sections)


def require_explainable(problem: Problem, frame: pd.DataFrame, *, settings: refinements.Explain) -> None:
    """Raise BadModelError or BadDataError for what can't be explained, before time is spent on fitting."""
    for name in ("permutation_importance", "learning_curve", "partial_dependence", "shap"):
        if getattr(settings, name) is not None and problem not in EXPLAINED_PROBLEMS:
            raise errors.BadModelError(
                f"{name} explains {', '.join(EXPLAINED_PROBLEMS)}, not {problem}; leave it out of `explain`",
                pointer=f"#/params/explain/{name}",
            )
    if settings.partial_dependence is not None:
        dependence.require_columns(frame, columns=settings.partial_dependence.columns)
    if settings.shap is not None:
        shap_values.import_shap()


def _explain_by_shap(model: pipeline.Pipeline, study: ModelUnderStudy, settings: refinements.Shap) -> details.Shap:
    all_rows = np.arange(len(study.frame))
    rows, background = (study.sample(all_rows, most=most) for most in (settings.rows, settings.background))
    return shap_values.explain(model, study.frame.iloc[rows], background=study.frame.iloc[background], seed=study.seed)


def draw_curves(held_out: HeldOut) -> Sections:
    """Compute the curves and tables that a problem has, from out-of-fold predictions."""
    predicted, truth = held_out.predicted, held_out.truth
    match held_out.problem:
        case "classification":
            return _draw_classification(held_out)
        case "multilabel":
            return _draw_multilabel(held_out)
        case "clustering":
            return {"clusters": curves.count_clusters(predicted.prediction)}
        case "anomaly":
            return _draw_anomaly(held_out)
        case _:
            sections: Sections = {"residuals": curves.summarize_residuals(cast(Values, truth), predicted.prediction)}
            if predicted.quantiles is not None and truth is not None:
                sections["quantiles"] = curves.check_quantiles(truth, predicted.quantiles, quantiles=held_out.levels)
            return sections


def _draw_classification(held_out: HeldOut) -> Sections:
    predicted, truth, classes = held_out.predicted, cast(Values, held_out.truth), held_out.classes or []
    class_scores = curves.select_class_scores(
        truth, classes=classes, probability=predicted.probability, decision=predicted.decision, weights=held_out.weights
    )
    confusion = curves.compute_confusion(truth, predicted.prediction, classes=classes, weights=held_out.weights)
    return {"confusion": confusion, **_draw_score_curves(class_scores)}


def _draw_multilabel(held_out: HeldOut) -> Sections:
    predicted, truth, labels = held_out.predicted, cast(Values, held_out.truth), list(held_out.classes or [])
    counts = curves.count_labels(truth, predicted.prediction, labels=labels, weights=held_out.weights)
    if predicted.probability is None:
        return {"labels": counts}
    class_scores = [
        curves.ClassScores(
            label, truth[:, index] == 1, predicted.probability[:, index], held_out.weights, is_probability=True
        )
        for index, label in enumerate(labels[: details.MAX_CURVES])
    ]
    return {"labels": counts, **_draw_score_curves(class_scores)}


def _draw_anomaly(held_out: HeldOut) -> Sections:
    scores, truth = cast(Values, held_out.predicted.decision), held_out.truth
    sections: Sections = {"scores": curves.summarize_scores(scores)}
    if truth is None:
        return sections
    has_truth = truth >= 0
    weights = None if held_out.weights is None else held_out.weights[has_truth]
    return sections | _draw_score_curves(
        [curves.ClassScores(label=True, positive=truth[has_truth] == 1, scores=scores[has_truth], weights=weights)]
    )


def _draw_score_curves(class_scores: list[curves.ClassScores]) -> Sections:
    defined = [scored for scored in class_scores if scored.has_both]
    sections: Sections = {}
    if defined:
        sections["roc"] = [curves.compute_roc(scored) for scored in defined]
        sections["precision_recall"] = [curves.compute_precision_recall(scored) for scored in defined]
    if any(scored.is_probability for scored in defined):
        sections["calibration_curve"] = [curves.compute_calibration_curve(scored) for scored in defined]
    return sections


def cap_size(sections: Sections) -> dict[str, JsonValue]:
    """Convert the sections to JSON; while they are larger than a mebibyte, the largest are left out and named."""
    kept = dict(sections)
    for name in (None, *LARGEST_FIRST):
        if name is not None and kept.pop(name, None) is None:
            continue
        left_out = [
            f"{dropped}: the details would be more than {details.MAX_BYTES:,} bytes"
            for dropped in sections.keys() - kept
        ]
        document = details.Details.model_validate({**kept, "left_out": sorted(left_out)})
        if len(document.model_dump_json(exclude_none=True)) <= details.MAX_BYTES:
            break
    return cast(dict[str, JsonValue], document.model_dump(mode="json", exclude_none=True, exclude_defaults=True))
