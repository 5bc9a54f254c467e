"""Each feature's share in single predictions, by SHAP, which is an extra of its own."""

import dataclasses
import importlib
import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn import calibration, model_selection, pipeline

from shared import errors
from shared.ml import targets
from shared.training import details

Values = targets.Values
# The most rows that explaining by permutation may have predicted.
MAX_PREDICTIONS = 1_000_000
# What SHAP is seen to raise for estimators that it doesn't know.
FAULTS = (ValueError, TypeError, LookupError, AttributeError, AssertionError, NotImplementedError)
# What is explained of an estimator, the first that it has.
OUTPUTS = {"predict_proba": "probability", "decision_function": "decision", "predict": "number"}
PLOTTED_FEATURES = 10
PLOTTED_ROWS = 100


@dataclasses.dataclass(frozen=True)
class _Explained:
    """Shares (rows, features, outputs) and base values (outputs) of one estimator."""

    explainer: str
    output: str
    shares: Values
    base: Values


def explain(model: pipeline.Pipeline, frame: pd.DataFrame, *, background: pd.DataFrame, seed: int) -> details.Shap:
    """Explain a frame's rows by the features that the recipe makes of them; `background` stands for the average row.

    Trees are explained exactly from what they counted in training, linear models exactly against the background, all
    others by shuffling features there and back once. A calibrated model is explained as it was before. BadModelError
    where SHAP isn't installed or can't explain the estimator.
    """
    recipe, estimator = model[:-1], _bare(model[-1])
    features, against = (np.asarray(recipe.transform(rows), dtype=np.float64) for rows in (frame, background))
    with warnings.catch_warnings():
        # SHAP warns of what it will change in later versions.
        warnings.simplefilter("ignore")
        explained = _explain(estimator, features, against, seed=seed)
    names = [str(name) for name in recipe.get_feature_names_out()]
    labels = _labels(estimator, outputs=explained.shares.shape[2])
    return details.Shap(
        explainer=explained.explainer,
        output=explained.output,
        rows=len(explained.shares),
        values=[
            details.ShapValues(
                label=label,
                base=float(explained.base[place]),
                features=_shares(names, features, explained.shares[:, :, place]),
            )
            for place, label in labels
        ],
    )


def _bare(estimator: Any) -> Any:
    """Take a threshold and a calibration off a fitted estimator."""
    if isinstance(estimator, model_selection.FixedThresholdClassifier):
        return _bare(estimator.estimator)
    if isinstance(estimator, calibration.CalibratedClassifierCV):
        return _bare(estimator.calibrated_classifiers_[0].estimator)
    return estimator


def _explain(estimator: Any, features: Values, background: Values, *, seed: int) -> _Explained:
    shap = library()
    try:
        trees = shap.TreeExplainer(getattr(estimator, "booster_", estimator))
        output = "probability" if trees.model.tree_output == "probability" else _scale(estimator)
        return _of("tree", output, trees(features))
    except (*FAULTS, shap.utils._exceptions.ExplainerError):
        # Whether SHAP can take these trees apart is known only by trying; the next explainers take any estimator.
        pass
    masker = shap.maskers.Independent(background, max_samples=len(background))
    try:
        if shap.LinearExplainer.supports_model_with_masker(estimator, masker):
            return _of("linear", _scale(estimator), shap.LinearExplainer(estimator, masker)(features))
        return _by_permutation(shap, estimator, masker, features, seed=seed)
    except FAULTS as error:
        raise errors.BadModelError(f"SHAP can't explain {type(estimator).__name__}: {error}"[:1000]) from error


def library() -> Any:
    """Give SHAP; BadModelError where it isn't installed."""
    try:
        return importlib.import_module("shap")
    except ImportError as error:
        raise errors.BadModelError(
            "SHAP isn't installed in this worker: install the extra `shap`, or leave `shap` out of `explain`",
            pointer="#/params/explain/shap",
        ) from error


def _by_permutation(shap: Any, estimator: Any, masker: Any, features: Values, *, seed: int) -> _Explained:
    name = next(name for name in OUTPUTS if hasattr(estimator, name))
    evaluations = 2 * features.shape[1] + 1
    rows = max(1, min(len(features), MAX_PREDICTIONS // (evaluations * len(masker.data))))
    explainer = shap.explainers.Permutation(getattr(estimator, name), masker, seed=seed)
    return _of("permutation", OUTPUTS[name], explainer(features[:rows], max_evals=evaluations, silent=True))


def _of(explainer: str, output: str, explanation: Any) -> _Explained:
    shares = np.asarray(explanation.values, dtype=np.float64)
    shares = shares.reshape(*shares.shape[:2], -1)
    base = np.asarray(explanation.base_values, dtype=np.float64).reshape(len(shares), -1)[0]
    return _Explained(explainer, output, shares, base)


def _scale(estimator: Any) -> str:
    """Name the scale on which trees and linear models add up; some regressors put a link, such as exp, behind it."""
    return "decision" if hasattr(estimator, "classes_") else "raw prediction"


def _labels(estimator: Any, *, outputs: int) -> list[tuple[int, targets.Label | None]]:
    """Give the outputs to tell of, each with the class that it is for; of two classes the last."""
    if not hasattr(estimator, "classes_"):
        return [(place, None) for place in range(min(outputs, details.MAX_CURVES))]
    classes = targets.to_json(np.asarray(estimator.classes_))
    if len(classes) == 2:
        return [(outputs - 1, classes[1])]
    return list(enumerate(classes[: min(outputs, details.MAX_CURVES)]))


def _shares(names: list[str], features: Values, shares: Values) -> list[details.FeatureShare]:
    """Give the features by their mean absolute share; the first ten with their values and shares row by row."""
    strength = np.abs(shares).mean(axis=0)
    order = np.argsort(-strength, kind="stable")[: details.MAX_FEATURES]
    return [
        details.FeatureShare(
            feature=names[place],
            mean_absolute=float(strength[place]),
            mean=float(shares[:, place].mean()),
            share_of_value=_pairs(features[:, place], shares[:, place]) if rank < PLOTTED_FEATURES else [],
        )
        for rank, place in enumerate(order)
    ]


def _pairs(values: Values, shares: Values) -> list[tuple[float | None, float]]:
    """Give values with their shares, growing by value; NaN as null."""
    rows = min(len(shares), PLOTTED_ROWS)
    order = np.argsort(values[:rows], kind="stable")
    return [(None if np.isnan(values[row]) else float(values[row]), float(shares[row])) for row in order]
