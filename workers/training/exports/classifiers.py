"""Converts classifiers to ONNX; those that combine others by our own rules, because skl2onnx's are wrong or missing.

Its isotonic calibration takes the next step where scikit-learn interpolates, and it supports neither voting as
scikit-learn does it by default nor thresholds: docs/decisions/exports.md, "Calibration, voting, thresholds and many
labels are written as ONNX by rules of our own".
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn import calibration, ensemble, isotonic, model_selection, multioutput, svm

from shared import errors
from shared.ml import light_gbm
from workers.training.exports import boosters, trees
from workers.training.exports.graph import DOUBLE, INT64, STRING, Graph
from workers.training.exports.outputs import Output, Outputs, inline


def convert(graph: Graph, estimator: Any, features: str, element_type: int) -> Outputs:
    """Add a classifier that computes in `element_type`; its outputs are the label and probabilities if it has some."""
    match estimator:
        case model_selection.FixedThresholdClassifier():
            return _convert_threshold(graph, estimator, features, element_type)
        case calibration.CalibratedClassifierCV():
            return _convert_calibrated(graph, estimator, features, element_type)
        case ensemble.VotingClassifier():
            return _convert_voting(graph, estimator, features, element_type)
        case light_gbm.LGBMClassifier():
            table = boosters.compute_probabilities(graph, estimator, features)
            return _pick_most_probable(graph, table, estimator.classes_, element_type)
    if element_type == DOUBLE and isinstance(estimator, trees.CLASSIFIERS):
        table = trees.compute_probabilities(graph, estimator, features)
        return _pick_most_probable(graph, table, estimator.classes_, element_type)
    # Without probabilities only the label is used, and not every converter has the option.
    options = {"zipmap": False} if hasattr(estimator, "predict_proba") else {}
    label, scores, *_ = inline(graph, estimator, features, element_type, **options)
    outputs = {"prediction": Output(label, _label_type(estimator.classes_))}
    if hasattr(estimator, "predict_proba"):
        outputs["probability"] = Output(scores, element_type, len(estimator.classes_))
    return outputs


def _label_type(classes: Any) -> int:
    return STRING if np.asarray(classes).dtype.kind in "OU" else INT64


def _gather_labels(graph: Graph, indices: str, classes: Any) -> Output:
    """Add the lookup of the classes at these indices."""
    label_type = _label_type(classes)
    labels = graph.constant(np.asarray(classes, dtype=object if label_type == STRING else np.int64))
    return Output(graph.node("Gather", labels, indices, axis=0), label_type)


def _pick_most_probable(graph: Graph, table: str, classes: Any, element_type: int) -> Outputs:
    """Add the label and the probabilities, from a table of float64 probabilities with one column per class."""
    label = _gather_labels(graph, graph.node("ArgMax", table, axis=1, keepdims=0), classes)
    return {
        "prediction": label,
        "probability": Output(graph.node("Cast", table, to=element_type), element_type, len(classes)),
    }


def _take_column(graph: Graph, table: str, index: int) -> str:
    """Add one column of a table as float64, (rows, 1)."""
    return graph.node("Cast", graph.node("Gather", table, graph.constant([index], np.int64), axis=1), to=DOUBLE)


def _convert_decisions(graph: Graph, estimator: Any, features: str, element_type: int) -> str:
    """Add decisions, (rows, classes) also for two classes; BadModelError when the converter can't."""
    # LinearSVC's converter rejects an option that the others need.
    options = {} if isinstance(estimator, svm.LinearSVC) else {"zipmap": False}
    return inline(graph, estimator, features, element_type, raw_scores=True, **options)[1]


def _convert_threshold(graph: Graph, estimator: Any, features: str, element_type: int) -> Outputs:
    """Add the label by a threshold on the positive class's probability, or else on its decision."""
    inner = getattr(estimator, "estimator_", estimator.estimator)
    if hasattr(inner, "predict_proba"):
        outputs = convert(graph, inner, features, element_type)
        scores = outputs["probability"].tensor
    else:
        outputs, scores = {}, _convert_decisions(graph, inner, features, element_type)
    # Without a label the positive class is the second one, as in models of earlier releases.
    positive = 1 if estimator.pos_label is None else int(np.flatnonzero(estimator.classes_ == estimator.pos_label)[0])
    is_above = graph.node("GreaterOrEqual", _take_column(graph, scores, positive), graph.floats(estimator.threshold))
    flat = graph.node("Reshape", is_above, graph.constant([-1], np.int64))
    labels = np.asarray(estimator.classes_)[[1 - positive, positive]]
    return {**outputs, "prediction": _gather_labels(graph, graph.node("Cast", flat, to=INT64), labels)}


def _convert_calibrated(graph: Graph, estimator: Any, features: str, element_type: int) -> Outputs:
    """Add the calibration of each class's scores; with more than two classes the probabilities are normalised."""
    [fitted] = estimator.calibrated_classifiers_
    inner, classes = fitted.estimator, estimator.classes_
    if hasattr(inner, "decision_function"):
        scores = _convert_decisions(graph, inner, features, element_type)
    else:
        scores = convert(graph, inner, features, element_type)["probability"].tensor
    # Two classes have one calibrator, for the second one's scores.
    columns = range(len(classes)) if len(classes) > 2 else [1]
    calibrated = [
        _calibrate(graph, calibrator, _take_column(graph, scores, column))
        for column, calibrator in zip(columns, fitted.calibrators, strict=True)
    ]
    if len(calibrated) == 1:
        table = graph.node("Concat", graph.node("Sub", graph.floats(1.0), calibrated[0]), calibrated[0], axis=1)
        return _pick_most_probable(graph, table, classes, element_type)
    table = graph.node("Concat", *calibrated, axis=1)
    total = graph.node("ReduceSum", table, graph.constant([1], np.int64), keepdims=1)
    is_zero = graph.node("Equal", total, graph.floats(0.0))
    shares = graph.node("Where", is_zero, graph.floats(1 / len(classes)), graph.node("Div", table, total))
    return _pick_most_probable(graph, shares, classes, element_type)


def _calibrate(graph: Graph, calibrator: Any, scores: str) -> str:
    """Add the calibration of one column of scores to probabilities."""
    if isinstance(calibrator, isotonic.IsotonicRegression):
        return _interpolate(graph, calibrator.X_thresholds_, calibrator.y_thresholds_, scores)
    linear = graph.node("Add", graph.node("Mul", scores, graph.floats(calibrator.a_)), graph.floats(calibrator.b_))
    return graph.node("Sigmoid", graph.node("Neg", linear))


def _interpolate(graph: Graph, points: Any, values: Any, scores: str) -> str:
    """Add linear interpolation between points, constant beyond the ends.

    The result is the first value plus what each line segment contributes up to the score.
    """
    first = graph.floats(values[0])
    if len(points) == 1:
        return graph.node("Add", graph.node("Mul", scores, graph.floats(0.0)), first)
    lengths = np.diff(points)
    beyond = graph.node("Sub", scores, graph.floats([points[:-1]]))
    covered = graph.node("Min", graph.node("Max", beyond, graph.floats(0.0)), graph.floats([lengths]))
    # Fractions of each segment, because a steep one would magnify the rounding error of its length.
    fractions = graph.node("Div", covered, graph.floats([lengths]))
    return graph.node("Add", graph.node("MatMul", fractions, graph.floats(np.diff(values)[:, None])), first)


def _convert_voting(graph: Graph, estimator: Any, features: str, element_type: int) -> Outputs:
    """Add the members' vote: soft, by the mean of their probabilities, or hard, each for the class that it predicts."""
    members = [convert(graph, member, features, element_type) for member in estimator.estimators_]
    classes = estimator.classes_
    weights = np.ones(len(members)) if estimator.weights is None else np.asarray(estimator.weights, dtype=np.float64)
    if estimator.voting == "soft":
        tables = [graph.node("Cast", member["probability"].tensor, to=DOUBLE) for member in members]
        return _pick_most_probable(graph, average(graph, tables, weights), classes, element_type)
    class_indices = graph.constant([np.arange(len(classes))], np.int64)
    axis = graph.constant([1], np.int64)
    # The members predict the indices of the classes.
    votes = [
        graph.node(
            "Cast",
            graph.node("Equal", graph.node("Unsqueeze", voter["prediction"].tensor, axis), class_indices),
            to=DOUBLE,
        )
        for voter in members
    ]
    most = graph.node("ArgMax", average(graph, votes, weights), axis=1, keepdims=0)
    return {"prediction": _gather_labels(graph, most, classes)}


def average(graph: Graph, tensors: Sequence[str], weights: Any) -> str:
    """Add the weighted mean of float64 tensors of the same shape."""
    shares = np.asarray(weights, dtype=np.float64) / np.sum(weights)
    return graph.node(
        "Sum", *(graph.node("Mul", tensor, graph.floats(share)) for tensor, share in zip(tensors, shares, strict=True))
    )


def convert_multilabel(graph: Graph, estimator: Any, features: str, element_type: int) -> Outputs:
    """Add a classifier for each label, side by side; BadModelError for one that learns all labels at once."""
    if not isinstance(estimator, multioutput.MultiOutputClassifier):
        raise errors.BadModelError(f"{type(estimator).__name__} for many labels at once can't be exported to ONNX")
    members = [convert(graph, member, features, element_type) for member in estimator.estimators_]
    axis = graph.constant([1], np.int64)
    labels = [graph.node("Unsqueeze", member["prediction"].tensor, axis) for member in members]
    outputs = {"prediction": Output(graph.node("Concat", *labels, axis=1), INT64, len(members))}
    if all("probability" in member for member in members):
        columns = [_take_column(graph, member["probability"].tensor, 1) for member in members]
        outputs["probability"] = Output(graph.node("Concat", *columns, axis=1), DOUBLE, len(members))
    return outputs
