"""What each feature adds to a model's margin, for the estimators of which that is known exactly.

A margin is what an estimator computes before it says a label or a probability: for a linear model the sum of weighted
features, for boosting the sum over its trees.
docs/decisions/serving.md, "Contributions are of the columns that a caller knows"
"""

import dataclasses
import importlib.util
import re
import threading
import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from sklearn import (
    base,
    cross_decomposition,
    discriminant_analysis,
    ensemble,
    linear_model,
    model_selection,
    svm,
    tree,
)

from shared import errors
from shared.ml import light_gbm, quantile_models, targets

Values = targets.Values
Scale = Literal["decision", "number", "probability", "raw"]
"""Of what contributions are parts: of `decision_function`, which is the log-odds for a logistic regression, of the
predicted number, of the class's probability, or of a number that a link such as exp is yet applied to."""
LINEAR_CLASSIFIERS = (
    discriminant_analysis.LinearDiscriminantAnalysis,
    linear_model.LogisticRegression,
    linear_model.Perceptron,
    linear_model.RidgeClassifier,
    linear_model.SGDClassifier,
    svm.LinearSVC,
)
LINEAR_REGRESSORS = (
    linear_model.ARDRegression,
    linear_model.BayesianRidge,
    linear_model.ElasticNet,  # Lasso and others are kinds of it.
    linear_model.ElasticNetCV,
    linear_model.HuberRegressor,
    linear_model.Lars,
    linear_model.LassoCV,
    linear_model.LassoLars,
    linear_model.LassoLarsIC,
    linear_model.LinearRegression,
    linear_model.OrthogonalMatchingPursuit,
    linear_model.QuantileRegressor,
    linear_model.Ridge,
    linear_model.RidgeCV,
    linear_model.SGDRegressor,
    linear_model.TheilSenRegressor,
    svm.LinearSVR,
)
WITH_LINK = (linear_model.GammaRegressor, linear_model.PoissonRegressor, linear_model.TweedieRegressor)
KERNELS = (svm.NuSVC, svm.NuSVR, svm.SVC, svm.SVR)
AVERAGES = (
    ensemble.ExtraTreesClassifier,
    ensemble.ExtraTreesRegressor,
    ensemble.RandomForestClassifier,
    ensemble.RandomForestRegressor,
    tree.DecisionTreeClassifier,  # ExtraTree… are kinds of it.
    tree.DecisionTreeRegressor,
)
SUMS = (
    ensemble.GradientBoostingClassifier,
    ensemble.GradientBoostingRegressor,
    ensemble.HistGradientBoostingClassifier,
    ensemble.HistGradientBoostingRegressor,
)
LINKED_OBJECTIVES = ("gamma", "poisson", "tweedie")
_OBJECTIVE = re.compile(r"^objective=(\w+).*$", re.MULTILINE)
EXTRA = "shap"
Compute = Callable[[Values, Values], tuple[Values, Values]]


@dataclasses.dataclass(frozen=True)
class Margin:
    """How an estimator's margin is taken apart.

    `compute` takes features, (rows, features), and the index of the class of each row, 0 where there are none; it
    returns what each feature adds, (rows, features), and what the margin would be without, (rows,). `outputs` is how
    many numbers it computes for a feature and row on the way.
    """

    compute: Compute
    scale: Scale
    outputs: int


def find_margin(estimator: Any) -> Margin:
    """Find how to take an estimator's margin apart; BadModelError, which says why, where that isn't known."""
    estimator = unwrap(estimator)
    if isinstance(estimator, light_gbm.LGBMClassifier | light_gbm.LGBMRegressor):
        return _of_light_gbm(estimator)
    if isinstance(estimator, AVERAGES + SUMS):
        return _of_trees(estimator)
    if isinstance(estimator, LINEAR_CLASSIFIERS + LINEAR_REGRESSORS + WITH_LINK + KERNELS):
        return _of_linear(estimator)
    if isinstance(estimator, cross_decomposition.PLSRegression):
        return _of_pls(estimator)
    if hasattr(estimator, "onnx_bytes"):
        raise errors.BadModelError("it came as ONNX, which tells nothing of single columns")
    raise errors.BadModelError(f"nothing is known of single columns' parts in what {type(estimator).__name__} predicts")


def unwrap(estimator: Any) -> Any:
    """Return the estimator inside a threshold or an interval, neither of which changes its margin."""
    wrappers = (model_selection.FixedThresholdClassifier, quantile_models.ConformalModel)
    while isinstance(estimator, wrappers):
        estimator = getattr(estimator, "estimator_", estimator.estimator)
    return estimator


def _of_linear(estimator: Any) -> Margin:
    """Take a sum of weighted features apart; what it is without them is the intercept."""
    if isinstance(estimator, KERNELS) and (estimator.kernel != "linear" or len(getattr(estimator, "classes_", ())) > 2):
        raise errors.BadModelError(
            f"{type(estimator).__name__} is taken apart with a linear kernel and two classes only"
        )
    weights = np.atleast_2d(np.asarray(estimator.coef_, dtype=np.float64))
    intercepts = np.broadcast_to(np.asarray(estimator.intercept_, dtype=np.float64).reshape(-1), len(weights))
    if base.is_classifier(estimator):
        weights, intercepts = _for_both(estimator, weights, axis=0), _for_both(estimator, intercepts, axis=0)

    def compute(features: Values, classes: Values) -> tuple[Values, Values]:
        return features * weights[classes], intercepts[classes]

    if base.is_classifier(estimator):
        return Margin(compute, "decision", 1)
    return Margin(compute, "raw" if _has_link(estimator) else "number", 1)


def _has_link(estimator: Any) -> bool:
    """Return whether a generalized linear model applies exp to its sum."""
    if not isinstance(estimator, linear_model.TweedieRegressor):
        return isinstance(estimator, WITH_LINK)
    return bool(estimator.link == "log" or (estimator.link == "auto" and estimator.power > 0))


def _of_pls(estimator: Any) -> Margin:
    weights = np.asarray(estimator.coef_, dtype=np.float64)[0]
    means, intercept = np.asarray(estimator._x_mean, dtype=np.float64), float(np.ravel(estimator.intercept_)[0])

    def compute(features: Values, classes: Values) -> tuple[Values, Values]:
        return (features - means) * weights, np.full(len(classes), intercept)

    return Margin(compute, "number", 1)


def _of_light_gbm(estimator: Any) -> Margin:
    """Let LightGBM take its own trees apart, which it does by the same rule as SHAP."""
    classes = getattr(estimator, "classes_", ())
    outputs = len(classes) if len(classes) > 2 else 1

    def compute(features: Values, classes: Values) -> tuple[Values, Values]:
        parts = estimator.booster_.predict(features, pred_contrib=True, num_threads=estimator.n_jobs or 1)
        parts = np.asarray(parts, dtype=np.float64).reshape(len(features), outputs, features.shape[1] + 1)
        chosen = _choose(estimator, parts.transpose(0, 2, 1), classes)
        return chosen[:, :-1], chosen[:, -1]

    objective = _OBJECTIVE.search(estimator.model_text_)
    has_link = objective is None or objective[1] in LINKED_OBJECTIVES or "sqrt" in objective[0]
    return Margin(compute, "decision" if len(classes) else "raw" if has_link else "number", outputs)


def _of_trees(estimator: Any) -> Margin:
    """Let SHAP take trees of scikit-learn apart, once it is asked to; it is loaded then."""
    classes = getattr(estimator, "classes_", ())
    if isinstance(estimator, ensemble.GradientBoostingClassifier) and len(classes) > 2:
        raise errors.BadModelError("SHAP takes GradientBoostingClassifier apart for two classes only")
    if importlib.util.find_spec("shap") is None:
        raise errors.BadModelError(
            f"SHAP, which takes {type(estimator).__name__} apart, isn't installed here: install the extra `{EXTRA}`"
        )
    explainer = _Trees(estimator)
    scale: Scale = "number"
    if base.is_classifier(estimator):
        scale = "probability" if isinstance(estimator, AVERAGES) else "decision"
    elif getattr(estimator, "loss", "") in ("gamma", "poisson"):
        scale = "raw"
    return Margin(explainer.compute, scale, max(1, len(classes)))


class _Trees:
    """SHAP's explainer of trees, which is made once it is needed, since that takes as long as loading the model."""

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self._explainer: Any = None
        self._lock = threading.Lock()

    def compute(self, features: Values, classes: Values) -> tuple[Values, Values]:
        # It keeps what it computed last, so that threads take turns.
        with self._lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self._explainer is None:
                self._explainer = importlib.import_module("shap").TreeExplainer(self._estimator)
            parts = np.asarray(self._explainer.shap_values(features, check_additivity=False), dtype=np.float64)
            expected = np.asarray(self._explainer.expected_value, dtype=np.float64).reshape(1, -1)
        parts = parts.reshape(*parts.shape[:2], -1)
        chosen = _choose(self._estimator, parts, classes)
        return chosen, _choose(self._estimator, expected.repeat(len(features), axis=0)[:, None, :], classes)[:, 0]


def _choose(estimator: Any, parts: Values, classes: Values) -> Values:
    """Choose from parts, (rows, features, outputs), those of each row's class."""
    if base.is_classifier(estimator):
        parts = _for_both(estimator, parts, axis=2)
    chosen: Values = np.take_along_axis(parts, classes[:, None, None], axis=2)[:, :, 0]
    return chosen


def _for_both(estimator: Any, values: Values, *, axis: int) -> Values:
    """Return the values of both classes, where an estimator has one margin for two: of the first it is the negative."""
    if len(estimator.classes_) == 2 and values.shape[axis] == 1:
        return np.concatenate([-values, values], axis=axis)
    return values
