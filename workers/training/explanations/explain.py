"""Gathers what a result reports about a model besides its metrics: curves, tables and explanations, capped in size."""

import numpy as np
import pandas as pd
from pydantic import JsonValue
from sklearn import pipeline

from shared import errors
from shared.figures import importances
from shared.ml.metrics import importance, sections
from shared.progress import Progress, no_progress
from shared.training import details, refinements
from shared.training.estimators.spec import Problem
from workers.training.explanations import dependence, learning_curve, shap_values
from workers.training.explanations.model_under_study import ModelUnderStudy


def explain(
    model: pipeline.Pipeline,
    held_out: sections.HeldOut,
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
    found = sections.Sections(refined or {}) | sections.draw(held_out)
    if settings.permutation_importance is not None:
        found["permutation_importance"] = shuffle_columns(study, settings=settings.permutation_importance)
    report(0.25, "shuffled the columns")
    if settings.partial_dependence is not None:
        rows = study.sample(np.arange(len(study.frame)), most=settings.partial_dependence.max_rows)
        found["partial_dependence"] = dependence.compute_partial_dependence(
            model,
            study.frame.iloc[rows].reset_index(drop=True),
            columns=settings.partial_dependence.columns,
            points=settings.partial_dependence.points,
            positive=study.positive,
        )
    report(0.5, "computed partial dependence")
    if settings.shap is not None:
        found["shap"] = _explain_by_shap(model, study, settings.shap)
    report(0.75, "computed SHAP values")
    if settings.learning_curve is not None:
        found["learning_curve"] = learning_curve.compute_learning_curve(
            study, settings=settings.learning_curve, shuffled=shuffled
        )
    report(1.0, "explained")
    return sections.cap_size(found, document=details.Details)


def require_explainable(problem: Problem, frame: pd.DataFrame, *, settings: refinements.Explain) -> None:
    """Raise BadModelError or BadDataError for what can't be explained, before time is spent on fitting."""
    for name in ("permutation_importance", "learning_curve", "partial_dependence", "shap"):
        if getattr(settings, name) is not None and problem not in importances.PROBLEMS:
            raise errors.BadModelError(
                f"{name} explains {', '.join(importances.PROBLEMS)}, not {problem}; leave it out of `explain`",
                pointer=f"#/params/explain/{name}",
            )
    if settings.partial_dependence is not None:
        dependence.require_columns(frame, columns=settings.partial_dependence.columns)
    if settings.shap is not None:
        shap_values.import_shap()


def shuffle_columns(
    study: ModelUnderStudy, *, settings: importances.PermutationImportance
) -> importances.PermutationImportances:
    """Compute the permutation importance of raw columns on the first split's held-out rows."""
    train, test = study.splits[0]
    model = study.fit(train)
    rows = study.sample(test, most=importance.limit_rows(settings, columns=study.frame.shape[1]))
    return importance.compute_importance(
        model,
        study.frame.iloc[rows].reset_index(drop=True),
        rows,
        score=study.score,
        problem=study.problem,
        repeats=settings.repeats,
        seed=study.seed,
    )


def _explain_by_shap(model: pipeline.Pipeline, study: ModelUnderStudy, settings: refinements.Shap) -> details.Shap:
    all_rows = np.arange(len(study.frame))
    rows, background = (study.sample(all_rows, most=most) for most in (settings.rows, settings.background))
    return shap_values.explain(
        model,
        study.frame.iloc[rows],
        background=study.frame.iloc[background],
        positive=study.positive,
        seed=study.seed,
    )
