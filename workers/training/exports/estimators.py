"""Turns a fitted estimator into ONNX: what it answers is named as `predictions.Predictions` names it."""

import dataclasses
from typing import Any

import numpy as np
from sklearn import model_selection

from shared import errors
from shared.ml import quantile_models
from workers.training.exports import skl2onnx_parts
from workers.training.exports.graph import BOOL, DOUBLE, INT64, STRING, Graph


@dataclasses.dataclass(frozen=True)
class Answer:
    """A tensor that answers something: (rows,) where `width` is None, else (rows, width)."""

    tensor: str
    element: int
    width: int | None = None


Answers = dict[str, Answer]


def convert(graph: Graph, estimator: Any, features: str, *, problem: str, element: int) -> Answers:
    """Add an estimator that computes in `element`; BadModelError, which names it, when that can't be done."""
    match problem:
        case "classification":
            return _classes(graph, estimator, features, element)
        case "regression" | "quantile":
            return _numbers(graph, estimator, features, element)
        case "clustering":
            return _clusters(graph, estimator, features, element)
        case "anomaly":
            return _anomalies(graph, estimator, features, element)
    raise errors.BadModelError(f"models of the problem {problem!r} can't be exported to ONNX")


def _inline(graph: Graph, estimator: Any, features: str, element: int, **options: Any) -> list[str]:
    model = skl2onnx_parts.convert(estimator, element=element, options=options)
    given = features if element == DOUBLE else graph.node("Cast", features, to=element)
    return graph.inline(model, given)


def _classes(graph: Graph, estimator: Any, features: str, element: int) -> Answers:
    if isinstance(estimator, model_selection.FixedThresholdClassifier):
        return _above_threshold(graph, estimator, features, element)
    # Without probabilities the label is all that is taken, and not every converter knows the option.
    options = {"zipmap": False} if hasattr(estimator, "predict_proba") else {}
    label, scores, *_ = _inline(graph, estimator, features, element, **options)
    is_text = estimator.classes_.dtype.kind in "OU"
    answers = {"prediction": Answer(label, STRING if is_text else INT64)}
    if hasattr(estimator, "predict_proba"):
        answers["probability"] = Answer(scores, element, len(estimator.classes_))
    return answers


def _above_threshold(graph: Graph, estimator: Any, features: str, element: int) -> Answers:
    """Let a threshold on the second class's probability say the label, as FixedThresholdClassifier does."""
    answers = _classes(graph, getattr(estimator, "estimator_", estimator.estimator), features, element)
    if "probability" not in answers:
        raise errors.BadModelError("a threshold on decisions can't be exported to ONNX, only one on probabilities")
    scores = graph.node("Gather", answers["probability"].tensor, graph.constant(1, np.int64), axis=1)
    is_above = graph.node("GreaterOrEqual", graph.node("Cast", scores, to=DOUBLE), graph.floats(estimator.threshold))
    kind = object if answers["prediction"].element == STRING else np.int64
    below, above = (graph.constant(np.asarray(label, dtype=kind)) for label in estimator.classes_)
    label = graph.node("Where", is_above, above, below)
    return {**answers, "prediction": Answer(label, answers["prediction"].element)}


def _numbers(graph: Graph, estimator: Any, features: str, element: int) -> Answers:
    if isinstance(estimator, quantile_models.ConformalModel):
        return _interval(graph, estimator, features, element)
    if isinstance(estimator, quantile_models.QuantileModels):
        return _quantiles(graph, estimator, features, element)
    (number,) = _inline(graph, estimator, features, element)
    flat = graph.node("Reshape", number, graph.constant([-1], np.int64))
    return {"prediction": Answer(graph.node("Cast", flat, to=DOUBLE), DOUBLE)}


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
    label, *_ = _inline(graph, estimator, features, element)
    return {"prediction": Answer(graph.node("Cast", label, to=INT64), INT64)}


def _anomalies(graph: Graph, estimator: Any, features: str, element: int) -> Answers:
    _, decision, *_ = _inline(graph, estimator, features, element)
    flat = graph.node("Reshape", decision, graph.constant([-1], np.int64))
    score = graph.node("Neg", graph.node("Cast", flat, to=DOUBLE))
    strange = graph.node("Greater", score, graph.floats(0.0))
    return {"prediction": Answer(strange, BOOL), "decision": Answer(score, DOUBLE)}
