"""Converts transformers of numbers to ONNX, with the arithmetic in the order in which scikit-learn does it."""

from typing import Any

import numpy as np

from shared import errors
from workers.training.exports import arithmetic
from workers.training.exports.graph import DOUBLE, Graph


def impute(graph: Graph, fitted: Any, tensor: str) -> str:
    """Add what SimpleImputer computes: the learned statistic where a number is missing."""
    return graph.node("Where", graph.node("IsNaN", tensor), graph.floats([fitted.statistics_]), tensor)


def standardize(graph: Graph, fitted: Any, tensor: str) -> str:
    """Add what StandardScaler computes."""
    centered = graph.node("Sub", tensor, graph.floats([fitted.mean_])) if fitted.with_mean else tensor
    return graph.node("Div", centered, graph.floats([fitted.scale_])) if fitted.with_std else centered


def scale_robustly(graph: Graph, fitted: Any, tensor: str) -> str:
    """Add what RobustScaler computes."""
    centered = graph.node("Sub", tensor, graph.floats([fitted.center_])) if fitted.with_centering else tensor
    return graph.node("Div", centered, graph.floats([fitted.scale_])) if fitted.with_scaling else centered


def scale_min_max(graph: Graph, fitted: Any, tensor: str) -> str:
    """Add what MinMaxScaler computes."""
    scaled = graph.node("Mul", tensor, graph.floats([fitted.scale_]))
    scaled = graph.node("Add", scaled, graph.floats([fitted.min_]))
    if not fitted.clip:
        return scaled
    low, high = fitted.feature_range
    return graph.node("Clip", scaled, graph.floats(low), graph.floats(high))


def scale_max_abs(graph: Graph, fitted: Any, tensor: str) -> str:
    """Add what MaxAbsScaler computes."""
    return graph.node("Div", tensor, graph.floats([fitted.scale_]))


def take_log1p(graph: Graph, _fitted: Any, tensor: str) -> str:
    """Add log(1 + x); numbers below 0, which Millrace refuses, become NaN."""
    below = graph.node("Less", tensor, graph.floats(0.0))
    return graph.node("Where", below, graph.floats(np.nan), arithmetic.take_log1p(graph, tensor))


def flag_missing(graph: Graph, _fitted: Any, tensor: str) -> str:
    """Add flags: 1 where a number is missing, else 0."""
    return graph.node("Cast", graph.node("IsNaN", tensor), to=DOUBLE)


def select_supported(graph: Graph, fitted: Any, tensor: str) -> str:
    """Select the columns that a scikit-learn selector has chosen."""
    return graph.node("Gather", tensor, graph.constant(fitted.get_support(indices=True), np.int64), axis=1)


def project(graph: Graph, fitted: Any, tensor: str) -> str:
    """Add what PCA computes: it centres the columns, then projects them."""
    centered = graph.node("Sub", tensor, graph.floats([fitted.mean_])) if fitted.mean_ is not None else tensor
    projected = graph.node("MatMul", centered, graph.floats(fitted.components_.T))
    if not fitted.whiten:
        return projected
    return graph.node("Div", projected, graph.floats([np.sqrt(fitted.explained_variance_)]))


def decompose(graph: Graph, fitted: Any, tensor: str) -> str:
    """Add what TruncatedSVD computes."""
    return graph.node("MatMul", tensor, graph.floats(fitted.components_.T))


def clip(graph: Graph, fitted: Any, tensor: str) -> str:
    """Add what Clip computes; a missing number stays missing."""
    if fitted.method == "fixed":
        low, high = fitted.low, fitted.high
    else:
        low, high = [fitted.lower_], [fitted.upper_]
    lower = np.nan_to_num(np.asarray(-np.inf if low is None else low, np.float64), nan=-np.inf, neginf=-np.inf)
    upper = np.nan_to_num(np.asarray(np.inf if high is None else high, np.float64), nan=np.inf, posinf=np.inf)
    bounded = graph.node("Min", graph.node("Max", tensor, graph.floats(lower)), graph.floats(upper))
    return graph.node("Where", graph.node("IsNaN", tensor), tensor, bounded)


def select_kept(graph: Graph, fitted: Any, tensor: str) -> str:
    """Select the columns that one of our own selectors has chosen."""
    return graph.node("Gather", tensor, graph.constant(np.flatnonzero(fitted.kept_), np.int64), axis=1)


def expand_powers(graph: Graph, fitted: Any, tensor: str) -> str:
    """Add what PolynomialFeatures computes: products of columns, each to some power."""
    broadcastable = graph.node("Unsqueeze", tensor, graph.constant([1], np.int64))
    factors = graph.node("Pow", broadcastable, graph.floats([fitted.powers_]))
    return graph.node("ReduceProd", factors, graph.constant([2], np.int64), keepdims=0)


def discretize(graph: Graph, fitted: Any, tensor: str) -> str:
    """Add what KBinsDiscretizer computes: a bin's number counts the inner edges at or below the value."""
    outputs = []
    for index, edges in enumerate(fitted.bin_edges_):
        column = graph.node("Gather", tensor, graph.constant([index], np.int64), axis=1)
        reached = graph.node("GreaterOrEqual", column, graph.floats([edges[1:-1]]))
        count = graph.node("Cast", reached, to=DOUBLE)
        number = graph.node("ReduceSum", count, graph.constant([1], np.int64), keepdims=1)
        if fitted.encode != "ordinal":
            matches = graph.node("Equal", number, graph.floats([np.arange(len(edges) - 1)]))
            number = graph.node("Cast", matches, to=DOUBLE)
        outputs.append(number)
    return graph.node("Concat", *outputs, axis=1)


def cast(graph: Graph, fitted: Any, tensor: str) -> str:
    """Add what Cast computes from numbers to numbers; what can't be converted becomes missing."""
    missing = graph.floats(np.nan)
    match fitted.to:
        case "number":
            return tensor
        case "integer":
            return graph.node("Where", graph.node("Equal", tensor, graph.node("Floor", tensor)), tensor, missing)
        case "boolean":
            flags = [graph.node("Equal", tensor, graph.floats(value)) for value in (0.0, 1.0)]
            return graph.node("Where", graph.node("Or", *flags), tensor, missing)
    raise errors.BadModelError(f"Cast of numbers to {fitted.to} can't be exported to ONNX")
