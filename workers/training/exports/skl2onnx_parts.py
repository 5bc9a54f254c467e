"""Converts single estimators and transformers to ONNX by skl2onnx."""

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
    """Add a transformer of numbers, in float64 where skl2onnx and the runtime support it, else in float32."""
    for element_type in (DOUBLE, FLOAT):
        try:
            model = convert(fitted, element_type=element_type, options={})
        except errors.BadModelError:
            if element_type != DOUBLE:
                raise
            continue
        (output,) = graph.inline(
            model, tensor if element_type == DOUBLE else graph.node("Cast", tensor, to=element_type)
        )
        return graph.node("Cast", output, to=DOUBLE)
    raise AssertionError("the last type either converts or raises")


def convert(fitted: Any, *, element_type: int, options: dict[str, Any]) -> onnx.ModelProto:
    """Convert what takes one table of numbers; BadModelError, which names it, when it can't be converted or run."""
    name = type(fitted).__name__
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            convertible = _to_convertible(fitted)
            model: onnx.ModelProto = skl2onnx.convert_sklearn(
                convertible,
                initial_types=[("X", TENSORS[element_type]([None, int(fitted.n_features_in_)]))],
                options={id(convertible): options} if options else None,
                target_opset={"": MAIN_OPSET, "ai.onnx.ml": ML_OPSET},
            )
            if trees.is_histogram_booster(fitted):
                trees.compare_in_float64(model, fitted)
            load(model)
    except Exception as error:
        # Converters raise exceptions of any class for estimators that their authors have not thought of.
        raise errors.BadModelError(f"{name} can't be exported to ONNX: {_describe_error(error)}") from error
    if model.functions:
        raise errors.BadModelError(f"{name} can't be exported to ONNX: its converter writes functions of its own")
    return model


def load(model: onnx.ModelProto) -> InferenceSession:
    """Load a model into the runtime, on one thread and without log output."""
    options = SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _to_convertible(fitted: Any) -> Any:
    """Return an estimator that predicts the same as the fitted one, and has a correct converter."""
    if isinstance(fitted, discriminant_analysis.LinearDiscriminantAnalysis):
        return _to_logistic_regression(fitted)
    if isinstance(fitted, ensemble.StackingClassifier | ensemble.StackingRegressor):
        stack = copy.copy(fitted)
        stack.estimators_ = [_to_convertible(member) for member in fitted.estimators_]
        stack.final_estimator_ = _to_convertible(fitted.final_estimator_)
        return stack
    return _round_thresholds(fitted) if trees.is_histogram_booster(fitted) else fitted


def _to_logistic_regression(fitted: Any) -> Any:
    """Make the logistic regression of the same coefficients: skl2onnx converts discriminant analysis wrongly."""
    regression = linear_model.LogisticRegression()
    for name in ("coef_", "intercept_", "classes_", "n_features_in_"):
        setattr(regression, name, getattr(fitted, name))
    return regression


def _round_thresholds(fitted: Any) -> Any:
    """Copy a histogram booster with its thresholds rounded to the nearest float32 numbers.

    skl2onnx rounds thresholds down, as forests need it, which round their features themselves. A booster's features
    are rounded only here, to the nearest number, and a threshold that equals a value of the data must be rounded in the
    same way: whatever was on its left stays there.
    """
    rounded = copy.copy(fitted)
    rounded._predictors = [[_round_tree(tree) for tree in trees] for trees in fitted._predictors]
    return rounded


def _round_tree(tree: Any) -> Any:
    rounded = copy.copy(tree)
    rounded.nodes = tree.nodes.copy()
    rounded.nodes["num_threshold"] = tree.nodes["num_threshold"].astype(np.float32)
    return rounded


def _describe_error(error: Exception) -> str:
    if isinstance(error, exceptions.MissingShapeCalculator | exceptions.MissingConverter):
        return "skl2onnx has no converter for it"
    return f"{type(error).__name__}: {' '.join(f'{error}'.split())[:300]}"
