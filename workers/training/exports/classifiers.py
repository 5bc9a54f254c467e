"""ONNX of classifiers; what is made of others is said by our own rules, in which skl2onnx is wrong or has none.

Its isotonic calibration takes the next step where scikit-learn interpolates, and it knows neither voting as
scikit-learn does it by default nor thresholds.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn import calibration, ensemble, isotonic, model_selection, multioutput, svm

from shared import errors
from workers.training.exports.graph import DOUBLE, INT64, STRING, Graph
from workers.training.exports.outputs import Answer, Answers, inline


def convert(graph: Graph, estimator: Any, features: str, element: int) -> Answers:
    """Add a classifier that computes in `element`: its label and, where it has some, its probabilities."""
    match estimator:
        case model_selection.FixedThresholdClassifier():
            return _above_threshold(graph, estimator, features, element)
        case calibration.CalibratedClassifierCV():
            return _calibrated(graph, estimator, features, element)
        case ensemble.VotingClassifier():
            return _voted(graph, estimator, features, element)
    # Without probabilities the label is all that is taken, and not every converter knows the option.
    options = {"zipmap": False} if hasattr(estimator, "predict_proba") else {}
    label, scores, *_ = inline(graph, estimator, features, element, **options)
    answers = {"prediction": Answer(label, _kind(estimator.classes_))}
    if hasattr(estimator, "predict_proba"):
        answers["probability"] = Answer(scores, element, len(estimator.classes_))
    return answers


def _kind(classes: Any) -> int:
    return STRING if np.asarray(classes).dtype.kind in "OU" else INT64


def _label(graph: Graph, places: str, classes: Any) -> Answer:
    """Give the classes that stand at these places."""
    kind = _kind(classes)
    labels = graph.constant(np.asarray(classes, dtype=object if kind == STRING else np.int64))
    return Answer(graph.node("Gather", labels, places, axis=0), kind)


def _most_probable(graph: Graph, table: str, classes: Any, element: int) -> Answers:
    """Answer by a table of float64 probabilities, one column a class."""
    label = _label(graph, graph.node("ArgMax", table, axis=1, keepdims=0), classes)
    return {"prediction": label, "probability": Answer(graph.node("Cast", table, to=element), element, len(classes))}


def _column(graph: Graph, table: str, place: int) -> str:
    """Give one column of a table as float64, (rows, 1)."""
    return graph.node("Cast", graph.node("Gather", table, graph.constant([place], np.int64), axis=1), to=DOUBLE)


def _decisions(graph: Graph, estimator: Any, features: str, element: int) -> str:
    """Give decisions, (rows, classes) also for two; BadModelError when its converter can't."""
    # LinearSVC's converter refuses an option that the others need.
    options = {} if isinstance(estimator, svm.LinearSVC) else {"zipmap": False}
    return inline(graph, estimator, features, element, raw_scores=True, **options)[1]


def _above_threshold(graph: Graph, estimator: Any, features: str, element: int) -> Answers:
    """Let a threshold on the second class's probability, or else decision, say the label."""
    inner = getattr(estimator, "estimator_", estimator.estimator)
    if hasattr(inner, "predict_proba"):
        answers = convert(graph, inner, features, element)
        scores = answers["probability"].tensor
    else:
        answers, scores = {}, _decisions(graph, inner, features, element)
    is_above = graph.node("GreaterOrEqual", _column(graph, scores, 1), graph.floats(estimator.threshold))
    flat = graph.node("Reshape", is_above, graph.constant([-1], np.int64))
    return {**answers, "prediction": _label(graph, graph.node("Cast", flat, to=INT64), estimator.classes_)}


def _calibrated(graph: Graph, estimator: Any, features: str, element: int) -> Answers:
    """Calibrate each class's scores; of more than two classes the probabilities are made to sum up to 1."""
    [fitted] = estimator.calibrated_classifiers_
    inner, classes = fitted.estimator, estimator.classes_
    if hasattr(inner, "decision_function"):
        scores = _decisions(graph, inner, features, element)
    else:
        scores = convert(graph, inner, features, element)["probability"].tensor
    # Two classes have one calibrator, for the second one's scores.
    places = range(len(classes)) if len(classes) > 2 else [1]
    made = [
        _calibrate(graph, calibrator, _column(graph, scores, place))
        for place, calibrator in zip(places, fitted.calibrators, strict=True)
    ]
    if len(made) == 1:
        table = graph.node("Concat", graph.node("Sub", graph.floats(1.0), made[0]), made[0], axis=1)
        return _most_probable(graph, table, classes, element)
    table = graph.node("Concat", *made, axis=1)
    total = graph.node("ReduceSum", table, graph.constant([1], np.int64), keepdims=1)
    is_zero = graph.node("Equal", total, graph.floats(0.0))
    shares = graph.node("Where", is_zero, graph.floats(1 / len(classes)), graph.node("Div", table, total))
    return _most_probable(graph, shares, classes, element)


def _calibrate(graph: Graph, calibrator: Any, scores: str) -> str:
    """Turn a column of scores into probabilities."""
    if isinstance(calibrator, isotonic.IsotonicRegression):
        return _interpolate(graph, calibrator.X_thresholds_, calibrator.y_thresholds_, scores)
    moved = graph.node("Add", graph.node("Mul", scores, graph.floats(calibrator.a_)), graph.floats(calibrator.b_))
    return graph.node("Sigmoid", graph.node("Neg", moved))


def _interpolate(graph: Graph, known: Any, values: Any, scores: str) -> str:
    """Join points by straight lines, flat beyond the ends: the first value, and what each line before has added."""
    first = graph.floats(values[0])
    if len(known) == 1:
        return graph.node("Add", graph.node("Mul", scores, graph.floats(0.0)), first)
    lengths = np.diff(known)
    beyond = graph.node("Sub", scores, graph.floats([known[:-1]]))
    covered = graph.node("Min", graph.node("Max", beyond, graph.floats(0.0)), graph.floats([lengths]))
    # Shares of each line, because a steep one would make much of the last bit of its length.
    shares = graph.node("Div", covered, graph.floats([lengths]))
    return graph.node("Add", graph.node("MatMul", shares, graph.floats(np.diff(values)[:, None])), first)


def _voted(graph: Graph, estimator: Any, features: str, element: int) -> Answers:
    """Let members vote: by the mean of their probabilities, or each for the class that it says."""
    members = [convert(graph, member, features, element) for member in estimator.estimators_]
    classes = estimator.classes_
    weights = np.ones(len(members)) if estimator.weights is None else np.asarray(estimator.weights, dtype=np.float64)
    if estimator.voting == "soft":
        tables = [graph.node("Cast", member["probability"].tensor, to=DOUBLE) for member in members]
        return _most_probable(graph, weighted_mean(graph, tables, weights), classes, element)
    places = graph.constant([np.arange(len(classes))], np.int64)
    axis = graph.constant([1], np.int64)
    # Members say the places of the classes.
    votes = [
        graph.node(
            "Cast", graph.node("Equal", graph.node("Unsqueeze", one["prediction"].tensor, axis), places), to=DOUBLE
        )
        for one in members
    ]
    most = graph.node("ArgMax", weighted_mean(graph, votes, weights), axis=1, keepdims=0)
    return {"prediction": _label(graph, most, classes)}


def weighted_mean(graph: Graph, tensors: Sequence[str], weights: Any) -> str:
    """Give the weighted mean of float64 tensors of one shape."""
    shares = np.asarray(weights, dtype=np.float64) / np.sum(weights)
    return graph.node("Sum", *(graph.node("Mul", one, graph.floats(w)) for one, w in zip(tensors, shares, strict=True)))


def of_many_labels(graph: Graph, estimator: Any, features: str, element: int) -> Answers:
    """Add a classifier for each label, side by side; BadModelError for one that learns all labels at once."""
    if not isinstance(estimator, multioutput.MultiOutputClassifier):
        raise errors.BadModelError(f"{type(estimator).__name__} of many labels at once can't be said in ONNX")
    members = [convert(graph, member, features, element) for member in estimator.estimators_]
    axis = graph.constant([1], np.int64)
    labels = [graph.node("Unsqueeze", member["prediction"].tensor, axis) for member in members]
    answers = {"prediction": Answer(graph.node("Concat", *labels, axis=1), INT64, len(members))}
    if all("probability" in member for member in members):
        columns = [_column(graph, member["probability"].tensor, 1) for member in members]
        answers["probability"] = Answer(graph.node("Concat", *columns, axis=1), DOUBLE, len(members))
    return answers
