"""ONNX of single estimators and transformers, as skl2onnx writes it."""

import copy
import warnings
from typing import Any

import numpy as np
import onnx
import skl2onnx
from onnxruntime import InferenceSession, SessionOptions
from skl2onnx.common import data_types, exceptions
from sklearn import discriminant_analysis, ensemble, linear_model

from shared import errors
from workers.training.exports import trees
from workers.training.exports.graph import DOUBLE, FLOAT, MAIN_OPSET, ML_OPSET, Graph

TENSORS = {FLOAT: data_types.FloatTensorType, DOUBLE: data_types.DoubleTensorType}


def transform(graph: Graph, fitted: Any, tensor: str) -> str:
    """Add a transformer of numbers, in float64 where skl2onnx and the runtime can, else in float32."""
    for element in (DOUBLE, FLOAT):
        try:
            model = convert(fitted, element=element, options={})
        except errors.BadModelError:
            if element != DOUBLE:
                raise
            continue
        (made,) = graph.inline(model, tensor if element == DOUBLE else graph.node("Cast", tensor, to=element))
        return graph.node("Cast", made, to=DOUBLE)
    raise AssertionError("the last type either converts or raises")


def convert(fitted: Any, *, element: int, options: dict[str, Any]) -> onnx.ModelProto:
    """Convert a part that takes one table of numbers; BadModelError, which names it, when it can't be done or run."""
    name = type(fitted).__name__
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            twin = _as_converters_like_it(fitted)
            model: onnx.ModelProto = skl2onnx.convert_sklearn(
                twin,
                initial_types=[("X", TENSORS[element]([None, int(fitted.n_features_in_)]))],
                options={id(twin): options} if options else None,
                target_opset={"": MAIN_OPSET, "ai.onnx.ml": ML_OPSET},
            )
            if trees.is_histogram(fitted):
                trees.compare_in_float64(model, fitted)
            load(model)
    except Exception as fault:
        # A converter meets what its authors have not thought of by any exception there is.
        raise errors.BadModelError(f"{name} can't be said in ONNX: {_reason(fault)}") from fault
    if model.functions:
        raise errors.BadModelError(f"{name} can't be said in ONNX: its converter writes functions of its own")
    return model


def load(model: onnx.ModelProto) -> InferenceSession:
    """Load a model into the runtime, on one thread and without its talk."""
    chosen = SessionOptions()
    chosen.intra_op_num_threads = chosen.inter_op_num_threads = 1
    chosen.log_severity_level = 4
    return InferenceSession(model.SerializeToString(), chosen, providers=["CPUExecutionProvider"])


def _as_converters_like_it(fitted: Any) -> Any:
    """Give what answers as the fitted part does, and has a converter that is right."""
    if isinstance(fitted, discriminant_analysis.LinearDiscriminantAnalysis):
        return _as_logistic_regression(fitted)
    if isinstance(fitted, ensemble.StackingClassifier | ensemble.StackingRegressor):
        stack = copy.copy(fitted)
        stack.estimators_ = [_as_converters_like_it(member) for member in fitted.estimators_]
        stack.final_estimator_ = _as_converters_like_it(fitted.final_estimator_)
        return stack
    return _with_near_thresholds(fitted) if trees.is_histogram(fitted) else fitted


def _as_logistic_regression(fitted: Any) -> Any:
    """Give the logistic regression of the same coefficients: skl2onnx's discriminant analysis gives other numbers."""
    twin = linear_model.LogisticRegression()
    for name in ("coef_", "intercept_", "classes_", "n_features_in_"):
        setattr(twin, name, getattr(fitted, name))
    return twin


def _with_near_thresholds(fitted: Any) -> Any:
    """Give a copy of a histogram booster whose thresholds are the nearest float32 numbers.

    skl2onnx rounds thresholds down, as forests need it, which round their features by themselves. A booster's features
    are rounded to the nearest number only here, and a threshold that is one of the data's own values must go with
    them: whatever was on its left stays there.
    """
    rounded = copy.copy(fitted)
    rounded._predictors = [[_near(tree) for tree in trees] for trees in fitted._predictors]
    return rounded


def _near(tree: Any) -> Any:
    near = copy.copy(tree)
    near.nodes = tree.nodes.copy()
    near.nodes["num_threshold"] = tree.nodes["num_threshold"].astype(np.float32)
    return near


def _reason(fault: Exception) -> str:
    if isinstance(fault, exceptions.MissingShapeCalculator | exceptions.MissingConverter):
        return "skl2onnx has no converter for it"
    return f"{type(fault).__name__}: {' '.join(f'{fault}'.split())[:300]}"
