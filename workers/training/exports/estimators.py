"""Turns a fitted estimator into ONNX: what it answers is named as `predictions.Predictions` names it."""

from typing import Any

import numpy as np
from sklearn import ensemble

from shared import errors
from shared.ml import quantile_models
from workers.training.exports import classifiers
from workers.training.exports.graph import BOOL, DOUBLE, INT64, Graph
from workers.training.exports.outputs import Answer, Answers, inline


def convert(graph: Graph, estimator: Any, features: str, *, problem: str, element: int) -> Answers:
    """Add an estimator that computes in `element`; BadModelError, which names it, when that can't be done."""
    match problem:
        case "classification":
            return classifiers.convert(graph, estimator, features, element)
        case "multilabel":
            return classifiers.of_many_labels(graph, estimator, features, element)
        case "regression" | "quantile":
            return _numbers(graph, estimator, features, element)
        case "clustering":
            return _clusters(graph, estimator, features, element)
        case "anomaly":
            return _anomalies(graph, estimator, features, element)
    raise errors.BadModelError(f"models of the problem {problem!r} can't be exported to ONNX")


def _numbers(graph: Graph, estimator: Any, features: str, element: int) -> Answers:
    if isinstance(estimator, quantile_models.ConformalModel):
        return _interval(graph, estimator, features, element)
    if isinstance(estimator, quantile_models.QuantileModels):
        return _quantiles(graph, estimator, features, element)
    if isinstance(estimator, ensemble.VotingRegressor):
        return _mean(graph, estimator, features, element)
    (number,) = inline(graph, estimator, features, element)
    flat = graph.node("Reshape", number, graph.constant([-1], np.int64))
    return {"prediction": Answer(graph.node("Cast", flat, to=DOUBLE), DOUBLE)}


def _mean(graph: Graph, estimator: Any, features: str, element: int) -> Answers:
    members = [_numbers(graph, member, features, element)["prediction"].tensor for member in estimator.estimators_]
    weights = np.ones(len(members)) if estimator.weights is None else estimator.weights
    return {"prediction": Answer(classifiers.weighted_mean(graph, members, weights), DOUBLE)}


def _quantiles(graph: Graph, estimator: Any, features: str, element: int) -> Answers:
    axis = graph.constant([1], np.int64)
    columns = [
        graph.node("Unsqueeze", _numbers(graph, fitted, features, element)["prediction"].tensor, axis)
        for fitted in estimator.estimators_
    ]
    table = graph.node("Concat", *columns, axis=1)
    nearest = int(np.argmin([abs(quantile - 0.5) for quantile in estimator.quantiles]))
    middle = graph.node("Gather", table, graph.constant(nearest, np.int64), axis=1)
    return {"prediction": Answer(middle, DOUBLE), "quantiles": Answer(table, DOUBLE, len(columns))}


def _interval(graph: Graph, estimator: Any, features: str, element: int) -> Answers:
    answers = _numbers(graph, estimator.estimator, features, element)
    inner = answers["prediction"].tensor
    low = high = inner
    if "quantiles" in answers:
        table = answers["quantiles"].tensor
        low, high = (graph.node("Gather", table, graph.constant(place, np.int64), axis=1) for place in (0, -1))
    return {
        **answers,
        "lower": Answer(graph.node("Sub", low, graph.floats(estimator.below_)), DOUBLE),
        "upper": Answer(graph.node("Add", high, graph.floats(estimator.above_)), DOUBLE),
    }


def _clusters(graph: Graph, estimator: Any, features: str, element: int) -> Answers:
    label, *_ = inline(graph, estimator, features, element)
    return {"prediction": Answer(graph.node("Cast", label, to=INT64), INT64)}


def _anomalies(graph: Graph, estimator: Any, features: str, element: int) -> Answers:
    _, decision, *_ = inline(graph, estimator, features, element)
    flat = graph.node("Reshape", decision, graph.constant([-1], np.int64))
    score = graph.node("Neg", graph.node("Cast", flat, to=DOUBLE))
    strange = graph.node("Greater", score, graph.floats(0.0))
    return {"prediction": Answer(strange, BOOL), "decision": Answer(score, DOUBLE)}
