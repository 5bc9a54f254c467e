"""Converts a fitted estimator to ONNX; its outputs have the names of the fields of `predictions.Predictions`."""

from typing import Any

import numpy as np
from sklearn import ensemble

from shared import errors
from shared.ml import light_gbm, quantile_models
from workers.training.exports import boosters, centering, classifiers, trees
from workers.training.exports.graph import BOOL, DOUBLE, INT64, Graph
from workers.training.exports.outputs import Output, Outputs, inline


def convert(
    graph: Graph, estimator: Any, features: str, *, problem: str, element_type: int, offset: float = 0.0
) -> Outputs:
    """Add an estimator that computes in `element_type`; BadModelError, which names it, when that can't be done.

    With an `offset`, regressors that `centering` knows compute numbers that are less by it, and it is added in float64.
    """
    match problem:
        case "classification":
            return classifiers.convert(graph, estimator, features, element_type)
        case "multilabel":
            return classifiers.convert_multilabel(graph, estimator, features, element_type)
        case "regression" | "quantile":
            return _convert_regressor(graph, estimator, features, element_type, offset)
        case "clustering":
            return _convert_clustering(graph, estimator, features, element_type)
        case "anomaly":
            return _convert_anomaly(graph, estimator, features, element_type)
    raise errors.BadModelError(f"models of the problem {problem!r} can't be exported to ONNX")


def _convert_regressor(graph: Graph, estimator: Any, features: str, element_type: int, offset: float) -> Outputs:
    if isinstance(estimator, quantile_models.ConformalModel):
        return _convert_interval(graph, estimator, features, element_type, offset)
    if isinstance(estimator, quantile_models.QuantileModels):
        return _convert_quantiles(graph, estimator, features, element_type, offset)
    if isinstance(estimator, ensemble.VotingRegressor):
        return _convert_voting(graph, estimator, features, element_type, offset)
    if isinstance(estimator, light_gbm.LGBMRegressor):
        return {"prediction": Output(boosters.compute_numbers(graph, estimator, features), DOUBLE)}
    if element_type == DOUBLE and isinstance(estimator, trees.REGRESSORS):
        return {"prediction": Output(trees.compute_numbers(graph, estimator, features), DOUBLE)}
    centered = centering.subtract(estimator, offset) if offset else None
    (number,) = inline(graph, estimator if centered is None else centered, features, element_type)
    flat = graph.node("Cast", graph.node("Reshape", number, graph.constant([-1], np.int64)), to=DOUBLE)
    prediction = flat if centered is None else graph.node("Add", flat, graph.floats(offset))
    return {"prediction": Output(prediction, DOUBLE)}


def _convert_voting(graph: Graph, estimator: Any, features: str, element_type: int, offset: float) -> Outputs:
    members = [
        _convert_regressor(graph, member, features, element_type, offset)["prediction"].tensor
        for member in estimator.estimators_
    ]
    weights = np.ones(len(members)) if estimator.weights is None else estimator.weights
    return {"prediction": Output(classifiers.average(graph, members, weights), DOUBLE)}


def _convert_quantiles(graph: Graph, estimator: Any, features: str, element_type: int, offset: float) -> Outputs:
    axis = graph.constant([1], np.int64)
    columns = [
        graph.node(
            "Unsqueeze", _convert_regressor(graph, fitted, features, element_type, offset)["prediction"].tensor, axis
        )
        for fitted in estimator.estimators_
    ]
    table = graph.node("Concat", *columns, axis=1)
    nearest = int(np.argmin([abs(quantile - 0.5) for quantile in estimator.quantiles]))
    middle = graph.node("Gather", table, graph.constant(nearest, np.int64), axis=1)
    return {"prediction": Output(middle, DOUBLE), "quantiles": Output(table, DOUBLE, len(columns))}


def _convert_interval(graph: Graph, estimator: Any, features: str, element_type: int, offset: float) -> Outputs:
    outputs = _convert_regressor(graph, estimator.estimator, features, element_type, offset)
    prediction = outputs["prediction"].tensor
    low = high = prediction
    if "quantiles" in outputs:
        table = outputs["quantiles"].tensor
        low, high = (graph.node("Gather", table, graph.constant(index, np.int64), axis=1) for index in (0, -1))
    return {
        **outputs,
        "lower": Output(graph.node("Sub", low, graph.floats(estimator.below_)), DOUBLE),
        "upper": Output(graph.node("Add", high, graph.floats(estimator.above_)), DOUBLE),
    }


def _convert_clustering(graph: Graph, estimator: Any, features: str, element_type: int) -> Outputs:
    label, *_ = inline(graph, estimator, features, element_type)
    # Mixtures give a column.
    flat = graph.node("Reshape", label, graph.constant([-1], np.int64))
    return {"prediction": Output(graph.node("Cast", flat, to=INT64), INT64)}


def _convert_anomaly(graph: Graph, estimator: Any, features: str, element_type: int) -> Outputs:
    _, decision, *_ = inline(graph, estimator, features, element_type)
    flat = graph.node("Reshape", decision, graph.constant([-1], np.int64))
    score = graph.node("Neg", graph.node("Cast", flat, to=DOUBLE))
    is_anomaly = graph.node("Greater", score, graph.floats(0.0))
    return {"prediction": Output(is_anomaly, BOOL), "decision": Output(score, DOUBLE)}
