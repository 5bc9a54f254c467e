"""Each feature's contribution to single predictions, by SHAP, which is an optional extra."""

import dataclasses
import importlib
import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn import calibration, model_selection, pipeline

from shared import errors
from shared.figures import curves
from shared.ml import targets
from shared.training import details

Values = targets.Values
# The most rows that explaining by permutation may have predicted.
MAX_PREDICTIONS = 1_000_000
# What SHAP is known to raise for estimators that it doesn't support.
EXPLAINER_ERRORS = (ValueError, TypeError, LookupError, AttributeError, AssertionError, NotImplementedError)
# What is explained of an estimator: the output of the first of these methods that it has.
OUTPUTS = {"predict_proba": "probability", "decision_function": "decision", "predict": "number"}
PLOTTED_FEATURES = 10
PLOTTED_ROWS = 100


@dataclasses.dataclass(frozen=True)
class _Explanation:
    """SHAP values (rows, features, outputs) and base values (outputs) of one estimator."""

    explainer: str
    output: str
    contributions: Values
    base: Values


def explain(
    model: pipeline.Pipeline,
    frame: pd.DataFrame,
    *,
    background: pd.DataFrame,
    seed: int,
    positive: targets.Label | None = None,
) -> details.Shap:
    """Explain a frame's rows by the features that the recipe makes of them; `background` are rows to average over.

    Trees are explained exactly from their training counts, linear models exactly against the background, all others by
    permuting the features forwards and backwards once. A calibrated model is explained as it was before calibration. Of
    two classes the positive one is explained, by default the second.
    BadModelError where SHAP isn't installed or can't explain the estimator.
    """
    recipe, estimator = model[:-1], _unwrap(model[-1])
    features, background_features = (
        np.asarray(recipe.transform(rows), dtype=np.float64) for rows in (frame, background)
    )
    with warnings.catch_warnings():
        # SHAP warns of changes in its later versions.
        warnings.simplefilter("ignore")
        explanation = _explain(estimator, features, background_features, seed=seed)
    if hasattr(estimator, "classes_") and len(estimator.classes_) == 2:
        explanation = _select_positive(explanation, targets.to_json(np.asarray(estimator.classes_)), positive)
    names = [str(name) for name in recipe.get_feature_names_out()]
    labels = _label_outputs(estimator, explanation, positive)
    return details.Shap(
        explainer=explanation.explainer,
        output=explanation.output,
        rows=len(explanation.contributions),
        values=[
            details.ShapValues(
                label=label,
                base=float(explanation.base[index]),
                features=_summarize_features(names, features, explanation.contributions[:, :, index]),
            )
            for index, label in labels
        ],
    )


def _unwrap(estimator: Any) -> Any:
    """Return the estimator inside a threshold and a calibration."""
    if isinstance(estimator, model_selection.FixedThresholdClassifier):
        return _unwrap(estimator.estimator)
    if isinstance(estimator, calibration.CalibratedClassifierCV):
        return _unwrap(estimator.calibrated_classifiers_[0].estimator)
    return estimator


def _explain(estimator: Any, features: Values, background: Values, *, seed: int) -> _Explanation:
    shap = import_shap()
    try:
        trees = shap.TreeExplainer(getattr(estimator, "booster_", estimator))
        output = "probability" if trees.model.tree_output == "probability" else _name_scale(estimator)
        return _to_explanation("tree", output, trees(features))
    except (*EXPLAINER_ERRORS, shap.utils._exceptions.ExplainerError):
        # Whether SHAP supports these trees is known only by trying; the next explainers take any estimator.
        pass
    masker = shap.maskers.Independent(background, max_samples=len(background))
    try:
        if shap.LinearExplainer.supports_model_with_masker(estimator, masker):
            return _to_explanation("linear", _name_scale(estimator), shap.LinearExplainer(estimator, masker)(features))
        return _by_permutation(shap, estimator, masker, features, seed=seed)
    except EXPLAINER_ERRORS as error:
        raise errors.BadModelError(f"SHAP can't explain {type(estimator).__name__}: {error}"[:1000]) from error


def import_shap() -> Any:
    """Import SHAP; BadModelError where it isn't installed."""
    try:
        return importlib.import_module("shap")
    except ImportError as error:
        raise errors.BadModelError(
            "SHAP isn't installed in this worker: install the extra `shap`, or leave `shap` out of `explain`",
            pointer="#/params/explain/shap",
        ) from error


def _by_permutation(shap: Any, estimator: Any, masker: Any, features: Values, *, seed: int) -> _Explanation:
    name = next(name for name in OUTPUTS if hasattr(estimator, name))
    evaluations = 2 * features.shape[1] + 1
    rows = max(1, min(len(features), MAX_PREDICTIONS // (evaluations * len(masker.data))))
    explainer = shap.explainers.Permutation(getattr(estimator, name), masker, seed=seed)
    return _to_explanation("permutation", OUTPUTS[name], explainer(features[:rows], max_evals=evaluations, silent=True))


def _to_explanation(explainer: str, output: str, explanation: Any) -> _Explanation:
    contributions = np.asarray(explanation.values, dtype=np.float64)
    contributions = contributions.reshape(*contributions.shape[:2], -1)
    base = np.asarray(explanation.base_values, dtype=np.float64).reshape(len(contributions), -1)[0]
    return _Explanation(explainer, output, contributions, base)


def _name_scale(estimator: Any) -> str:
    """Name the scale on which contributions add up; some regressors apply a link function, such as exp, afterwards."""
    return "decision" if hasattr(estimator, "classes_") else "raw prediction"


def _select_positive(
    explanation: _Explanation, classes: list[targets.Label], positive: targets.Label | None
) -> _Explanation:
    """Keep the output of the positive of two classes; a single output is that of the second class."""
    index = 1 if positive is None else classes.index(positive)
    contributions, base = explanation.contributions, explanation.base
    if contributions.shape[2] == 2:
        contributions, base = contributions[:, :, index : index + 1], base[index : index + 1]
    elif index == 0:
        # What adds to one class takes from the other, by the same amount.
        contributions, base = -contributions, (1.0 if explanation.output == "probability" else 0.0) - base
    return dataclasses.replace(explanation, contributions=contributions, base=base)


def _label_outputs(
    estimator: Any, explanation: _Explanation, positive: targets.Label | None
) -> list[tuple[int, targets.Label | None]]:
    """List the outputs to report, as indices, each with its class; of two classes the positive one."""
    outputs = explanation.contributions.shape[2]
    if not hasattr(estimator, "classes_"):
        return [(index, None) for index in range(min(outputs, curves.MAX_CURVES))]
    classes = targets.to_json(np.asarray(estimator.classes_))
    if len(classes) == 2:
        return [(0, classes[1] if positive is None else positive)]
    return list(enumerate(classes[: min(outputs, curves.MAX_CURVES)]))


def _summarize_features(names: list[str], features: Values, contributions: Values) -> list[details.FeatureShare]:
    """List the features by mean absolute contribution; the first ten with values and contributions row by row."""
    strength = np.abs(contributions).mean(axis=0)
    order = np.argsort(-strength, kind="stable")[: curves.MAX_FEATURES]
    return [
        details.FeatureShare(
            feature=names[index],
            mean_absolute=float(strength[index]),
            mean=float(contributions[:, index].mean()),
            share_of_value=_pair_with_values(features[:, index], contributions[:, index])
            if rank < PLOTTED_FEATURES
            else [],
        )
        for rank, index in enumerate(order)
    ]


def _pair_with_values(values: Values, contributions: Values) -> list[tuple[float | None, float]]:
    """Pair values with their contributions, by increasing value; NaN becomes null."""
    rows = min(len(contributions), PLOTTED_ROWS)
    order = np.argsort(values[:rows], kind="stable")
    return [(None if np.isnan(values[row]) else float(values[row]), float(contributions[row])) for row in order]
