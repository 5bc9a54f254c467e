"""ONNX of transformers that do arithmetic on numbers, in the order in which scikit-learn does it."""

from typing import Any

import numpy as np

from shared import errors
from workers.training.exports.graph import DOUBLE, Graph


def impute(graph: Graph, fitted: Any, tensor: str) -> str:
    """Put what the imputer has learnt where a number is missing."""
    return graph.node("Where", graph.node("IsNaN", tensor), graph.floats([fitted.statistics_]), tensor)


def standardize(graph: Graph, fitted: Any, tensor: str) -> str:
    """Do as StandardScaler does."""
    moved = graph.node("Sub", tensor, graph.floats([fitted.mean_])) if fitted.with_mean else tensor
    return graph.node("Div", moved, graph.floats([fitted.scale_])) if fitted.with_std else moved


def robust(graph: Graph, fitted: Any, tensor: str) -> str:
    """Do as RobustScaler does."""
    moved = graph.node("Sub", tensor, graph.floats([fitted.center_])) if fitted.with_centering else tensor
    return graph.node("Div", moved, graph.floats([fitted.scale_])) if fitted.with_scaling else moved


def min_max(graph: Graph, fitted: Any, tensor: str) -> str:
    """Do as MinMaxScaler does."""
    moved = graph.node("Mul", tensor, graph.floats([fitted.scale_]))
    moved = graph.node("Add", moved, graph.floats([fitted.min_]))
    if not fitted.clip:
        return moved
    low, high = fitted.feature_range
    return graph.node("Clip", moved, graph.floats(low), graph.floats(high))


def max_abs(graph: Graph, fitted: Any, tensor: str) -> str:
    """Do as MaxAbsScaler does."""
    return graph.node("Div", tensor, graph.floats([fitted.scale_]))


def log1p(graph: Graph, _fitted: Any, tensor: str) -> str:
    """Take log(1 + x); what is below 0, which Millrace refuses, becomes NaN."""
    below = graph.node("Less", tensor, graph.floats(0.0))
    logarithm = graph.node("Log", graph.node("Add", tensor, graph.floats(1.0)))
    return graph.node("Where", below, graph.floats(np.nan), logarithm)


def missing_numbers(graph: Graph, _fitted: Any, tensor: str) -> str:
    """Say with 1 which numbers are missing."""
    return graph.node("Cast", graph.node("IsNaN", tensor), to=DOUBLE)


def supported(graph: Graph, fitted: Any, tensor: str) -> str:
    """Keep the columns that a selector has chosen."""
    return graph.node("Gather", tensor, graph.constant(fitted.get_support(indices=True), np.int64), axis=1)


def project(graph: Graph, fitted: Any, tensor: str) -> str:
    """Do as PCA does, which moves the columns, then turns them."""
    moved = graph.node("Sub", tensor, graph.floats([fitted.mean_])) if fitted.mean_ is not None else tensor
    turned = graph.node("MatMul", moved, graph.floats(fitted.components_.T))
    if not fitted.whiten:
        return turned
    return graph.node("Div", turned, graph.floats([np.sqrt(fitted.explained_variance_)]))


def decompose(graph: Graph, fitted: Any, tensor: str) -> str:
    """Do as TruncatedSVD does."""
    return graph.node("MatMul", tensor, graph.floats(fitted.components_.T))


def clip(graph: Graph, fitted: Any, tensor: str) -> str:
    """Do as Clip does; what is missing stays missing."""
    if fitted.method == "fixed":
        low, high = fitted.low, fitted.high
    else:
        low, high = [fitted.lower_], [fitted.upper_]
    lower = np.nan_to_num(np.asarray(-np.inf if low is None else low, np.float64), nan=-np.inf, neginf=-np.inf)
    upper = np.nan_to_num(np.asarray(np.inf if high is None else high, np.float64), nan=np.inf, posinf=np.inf)
    bounded = graph.node("Min", graph.node("Max", tensor, graph.floats(lower)), graph.floats(upper))
    return graph.node("Where", graph.node("IsNaN", tensor), tensor, bounded)


def kept(graph: Graph, fitted: Any, tensor: str) -> str:
    """Keep the columns that one of our own selections has chosen."""
    return graph.node("Gather", tensor, graph.constant(np.flatnonzero(fitted.kept_), np.int64), axis=1)


def powers(graph: Graph, fitted: Any, tensor: str) -> str:
    """Do as PolynomialFeatures does: each product's factors are columns to some power."""
    deep = graph.node("Unsqueeze", tensor, graph.constant([1], np.int64))
    factors = graph.node("Pow", deep, graph.floats([fitted.powers_]))
    return graph.node("ReduceProd", factors, graph.constant([2], np.int64), keepdims=0)


def bins(graph: Graph, fitted: Any, tensor: str) -> str:
    """Do as KBinsDiscretizer does: count the inner edges that a number has reached."""
    made = []
    for place, edges in enumerate(fitted.bin_edges_):
        column = graph.node("Gather", tensor, graph.constant([place], np.int64), axis=1)
        reached = graph.node("GreaterOrEqual", column, graph.floats([edges[1:-1]]))
        count = graph.node("Cast", reached, to=DOUBLE)
        number = graph.node("ReduceSum", count, graph.constant([1], np.int64), keepdims=1)
        if fitted.encode != "ordinal":
            same = graph.node("Equal", number, graph.floats([np.arange(len(edges) - 1)]))
            number = graph.node("Cast", same, to=DOUBLE)
        made.append(number)
    return graph.node("Concat", *made, axis=1)


def cast(graph: Graph, fitted: Any, tensor: str) -> str:
    """Do as Cast does from numbers to numbers; what can't be converted is missing."""
    blank = graph.floats(np.nan)
    match fitted.to:
        case "number":
            return tensor
        case "integer":
            return graph.node("Where", graph.node("Equal", tensor, graph.node("Floor", tensor)), tensor, blank)
        case "boolean":
            flags = [graph.node("Equal", tensor, graph.floats(value)) for value in (0.0, 1.0)]
            return graph.node("Where", graph.node("Or", *flags), tensor, blank)
    raise errors.BadModelError(f"Cast of numbers to {fitted.to} can't be said in ONNX")
