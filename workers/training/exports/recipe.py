"""Turns a fitted recipe into ONNX, in float64 as scikit-learn computes it, each transformer by its own rule."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn import compose, decomposition, feature_selection, impute, pipeline, preprocessing

from shared import errors
from shared.ml import column_transformers, encoders, selection, transformers
from workers.training.exports import dates, lookups, numbers, skl2onnx_parts
from workers.training.exports.graph import DOUBLE, MISSING_INSTANT, Block, Graph

NUMBER_RULES: dict[type, Callable[[Graph, Any, str], str]] = {
    decomposition.PCA: numbers.project,
    decomposition.TruncatedSVD: numbers.decompose,
    impute.SimpleImputer: numbers.impute,
    preprocessing.MaxAbsScaler: numbers.max_abs,
    preprocessing.MinMaxScaler: numbers.min_max,
    preprocessing.RobustScaler: numbers.robust,
    preprocessing.StandardScaler: numbers.standardize,
    preprocessing.KBinsDiscretizer: numbers.bins,
    preprocessing.PolynomialFeatures: numbers.powers,
    column_transformers.Cast: numbers.cast,
    selection.Importance: numbers.kept,
    selection.MutualInformation: numbers.kept,
    transformers.Clip: numbers.clip,
    transformers.Log1p: numbers.log1p,
    transformers.Missing: numbers.missing_numbers,
}
ENCODERS = (
    encoders.FrequencyEncode,
    preprocessing.OneHotEncoder,
    preprocessing.OrdinalEncoder,
    preprocessing.TargetEncoder,
)
RENAMERS = (column_transformers.Numbered, column_transformers.Rename)
ONE_TO_ONE = (column_transformers.Cast, column_transformers.Rename, transformers.Missing)


def convert(graph: Graph, fitted: Any, blocks: list[Block]) -> list[Block]:
    """Add what a fitted transformer does to some columns; BadModelError, which names it, when there is no rule."""
    if fitted == "passthrough" or _is_identity(fitted):
        return blocks
    if isinstance(fitted, pipeline.Pipeline):
        for _, step in fitted.steps:
            blocks = convert(graph, step, blocks)
        return blocks
    if isinstance(fitted, compose.ColumnTransformer):
        return [
            made for part in _parts(fitted, blocks) for made in convert(graph, part[0], graph.select(blocks, part[1]))
        ]
    if isinstance(fitted, ONE_TO_ONE):
        return _each(graph, fitted, blocks)
    names = _names_out(fitted, blocks)
    encoder = fitted.encoder_ if isinstance(fitted, encoders.TargetEncode) else fitted
    if isinstance(encoder, ENCODERS):
        return [Block(names, lookups.encode(graph, encoder, blocks), "number")]
    return [_leaf(graph, fitted, _one_kind(fitted, blocks), names)]


def _names_out(fitted: Any, blocks: Sequence[Block]) -> tuple[str, ...]:
    names = np.asarray([name for block in blocks for name in block.names], dtype=object)
    return tuple(str(name) for name in fitted.get_feature_names_out(names))


def _each(graph: Graph, fitted: Any, blocks: Sequence[Block]) -> list[Block]:
    """Convert what makes one column of each, whatever kinds they are of."""
    names, made = list(_names_out(fitted, blocks)), []
    for block in blocks:
        own, names = names[: len(block.names)], names[len(block.names) :]
        made.append(_leaf(graph, fitted, block, tuple(own)))
    return made


def _is_identity(fitted: Any) -> bool:
    return isinstance(fitted, preprocessing.FunctionTransformer) and fitted.func is None


def _parts(fitted: Any, blocks: Sequence[Block]) -> list[tuple[Any, list[str]]]:
    """Give a fitted ColumnTransformer's parts with the names of their columns."""
    names = [name for block in blocks for name in block.names]
    return [
        (part, [column if isinstance(column, str) else names[column] for column in columns])
        for _, part, columns in fitted.transformers_
        if not (isinstance(part, str) and part == "drop") and len(columns)
    ]


def _one_kind(fitted: Any, blocks: list[Block]) -> Block:
    if len(blocks) != 1:
        kinds = ", ".join(sorted({block.kind for block in blocks}))
        raise errors.BadModelError(f"{type(fitted).__name__} takes columns of several kinds ({kinds}) at once")
    return blocks[0]


def _leaf(graph: Graph, fitted: Any, block: Block, names: tuple[str, ...]) -> Block:
    if isinstance(fitted, impute.SimpleImputer) and (fitted.add_indicator or len(names) != len(block.names)):
        raise errors.BadModelError("SimpleImputer is exported without its own indicator, and with no column dropped")
    if isinstance(fitted, RENAMERS):
        return Block(names, block.tensor, block.kind)
    if block.kind == "text":
        return _of_texts(graph, fitted, block, names)
    if block.kind == "instant":
        return _of_instants(graph, fitted, block, names)
    if isinstance(fitted, feature_selection.SelectorMixin):
        return Block(names, numbers.supported(graph, fitted, block.tensor), "number")
    rule = NUMBER_RULES.get(type(fitted))
    if rule is None and type(fitted).__module__.startswith("shared."):
        raise unknown(fitted, "numbers")
    rule = rule or skl2onnx_parts.transform
    return Block(names, rule(graph, fitted, block.tensor), "number")


def _of_texts(graph: Graph, fitted: Any, block: Block, names: tuple[str, ...]) -> Block:
    """Convert what takes texts; a missing text is an empty one."""
    is_missing = graph.node("Equal", block.tensor, graph.constant([[""]], object))
    if isinstance(fitted, impute.SimpleImputer):
        learnt = graph.constant([[str(value) for value in fitted.statistics_]], object)
        return Block(names, graph.node("Where", is_missing, learnt, block.tensor), "text")
    if isinstance(fitted, transformers.Missing):
        return Block(names, graph.node("Cast", is_missing, to=DOUBLE), "number")
    if isinstance(fitted, column_transformers.Cast) and fitted.to == "string":
        return Block(names, block.tensor, "text")
    raise unknown(fitted, "texts")


def _of_instants(graph: Graph, fitted: Any, block: Block, names: tuple[str, ...]) -> Block:
    """Convert what takes dates."""
    if isinstance(fitted, transformers.DateParts):
        return Block(names, dates.parts(graph, fitted, block.tensor), "number")
    if isinstance(fitted, transformers.CyclicTime):
        return Block(names, dates.circles(graph, fitted, block.tensor), "number")
    if isinstance(fitted, transformers.Missing):
        is_missing = graph.node("Equal", block.tensor, graph.constant(MISSING_INSTANT, np.int64))
        return Block(names, graph.node("Cast", is_missing, to=DOUBLE), "number")
    raise unknown(fitted, "dates")


def unknown(fitted: Any, of: str) -> errors.BadModelError:
    """Say that there is no rule for a transformer."""
    return errors.BadModelError(f"{type(fitted).__name__} of {of} can't be said in ONNX by this version of Millrace")
