"""Converts a fitted recipe to ONNX, in float64 as scikit-learn computes it, each transformer by its own rule."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn import compose, decomposition, feature_selection, impute, pipeline, preprocessing

from shared import errors
from shared.ml import column_transformers, encoders, imputers, selection, texts, transformers
from workers.training.exports import dates, derived, lookups, numbers, skl2onnx_parts, terms
from workers.training.exports.graph import DOUBLE, MISSING_INSTANT, Block, Graph

NUMBER_RULES: dict[type, Callable[[Graph, Any, str], str]] = {
    decomposition.PCA: numbers.project,
    decomposition.TruncatedSVD: numbers.decompose,
    impute.SimpleImputer: numbers.impute,
    imputers.IntegerImputer: numbers.impute,
    preprocessing.MaxAbsScaler: numbers.scale_max_abs,
    preprocessing.MinMaxScaler: numbers.scale_min_max,
    preprocessing.RobustScaler: numbers.scale_robustly,
    preprocessing.StandardScaler: numbers.standardize,
    preprocessing.KBinsDiscretizer: numbers.discretize,
    preprocessing.PolynomialFeatures: numbers.expand_powers,
    column_transformers.Cast: numbers.cast,
    selection.Importance: numbers.select_kept,
    selection.MutualInformation: numbers.select_kept,
    transformers.Clip: numbers.clip,
    transformers.Log1p: numbers.take_log1p,
    transformers.Missing: numbers.flag_missing,
}
ENCODERS = (
    encoders.FrequencyEncode,
    preprocessing.OneHotEncoder,
    preprocessing.OrdinalEncoder,
    preprocessing.TargetEncoder,
)
RENAMERS = (column_transformers.Numbered, column_transformers.Rename)
# ONNX has float64 for all numbers; encoders refuse what it can't tell apart.
OF_EXACT_INTEGERS = (encoders.IntegerCategories, transformers.Floats)
# skl2onnx takes time without bound for these: it walks the whole graph again for each of a thousand quantiles.
UNBOUNDED = (preprocessing.QuantileTransformer,)
ONE_TO_ONE = (column_transformers.Cast, column_transformers.Rename, transformers.Missing)


def convert(graph: Graph, fitted: Any, blocks: list[Block]) -> list[Block]:
    """Add what a fitted transformer computes of some columns; BadModelError, which names it, when there is no rule."""
    if fitted == "passthrough" or _is_identity(fitted) or isinstance(fitted, OF_EXACT_INTEGERS):
        return blocks
    if isinstance(fitted, pipeline.Pipeline):
        for _, step in fitted.steps:
            blocks = convert(graph, step, blocks)
        return blocks
    if isinstance(fitted, compose.ColumnTransformer):
        return [
            block
            for transformer, columns in _list_transformers(fitted, blocks)
            for block in convert(graph, transformer, graph.select(blocks, columns))
        ]
    if isinstance(fitted, column_transformers.Derive):
        return [derived.compute(graph, fitted, blocks)]
    if isinstance(fitted, ONE_TO_ONE):
        return _convert_one_to_one(graph, fitted, blocks)
    names = _name_outputs(fitted, blocks)
    encoder = fitted.encoder_ if isinstance(fitted, encoders.TargetEncode) else fitted
    if isinstance(encoder, ENCODERS):
        return [Block(names, lookups.encode(graph, encoder, blocks), "number")]
    return [_convert_leaf(graph, fitted, _require_one_kind(fitted, blocks), names)]


def _name_outputs(fitted: Any, blocks: Sequence[Block]) -> tuple[str, ...]:
    names = np.asarray([name for block in blocks for name in block.names], dtype=object)
    return tuple(str(name) for name in fitted.get_feature_names_out(names))


def _convert_one_to_one(graph: Graph, fitted: Any, blocks: Sequence[Block]) -> list[Block]:
    """Convert a transformer that makes one column of each, whatever their kinds."""
    names, converted = list(_name_outputs(fitted, blocks)), []
    for block in blocks:
        block_names, names = names[: len(block.names)], names[len(block.names) :]
        converted.append(_convert_leaf(graph, fitted, block, tuple(block_names)))
    return converted


def _is_identity(fitted: Any) -> bool:
    return isinstance(fitted, preprocessing.FunctionTransformer) and fitted.func is None


def _list_transformers(fitted: Any, blocks: Sequence[Block]) -> list[tuple[Any, list[str]]]:
    """List a fitted ColumnTransformer's transformers, each with the names of its columns."""
    names = [name for block in blocks for name in block.names]
    return [
        (transformer, [column if isinstance(column, str) else names[column] for column in columns])
        for _, transformer, columns in fitted.transformers_
        if not (isinstance(transformer, str) and transformer == "drop") and len(columns)
    ]


def _require_one_kind(fitted: Any, blocks: list[Block]) -> Block:
    if len(blocks) != 1:
        kinds = ", ".join(sorted({block.kind for block in blocks}))
        raise errors.BadModelError(f"{type(fitted).__name__} takes columns of several kinds ({kinds}) at once")
    return blocks[0]


def _convert_leaf(graph: Graph, fitted: Any, block: Block, names: tuple[str, ...]) -> Block:
    if isinstance(fitted, impute.SimpleImputer) and (fitted.add_indicator or len(names) != len(block.names)):
        raise errors.BadModelError("SimpleImputer is exported without its own indicator, and with no column dropped")
    if isinstance(fitted, RENAMERS):
        return Block(names, block.tensor, block.kind)
    if block.kind == "text":
        return _convert_texts(graph, fitted, block, names)
    if block.kind == "instant":
        return _convert_instants(graph, fitted, block, names)
    if isinstance(fitted, feature_selection.SelectorMixin):
        return Block(names, numbers.select_supported(graph, fitted, block.tensor), "number")
    rule = NUMBER_RULES.get(type(fitted))
    if isinstance(fitted, UNBOUNDED) or (rule is None and type(fitted).__module__.startswith("shared.")):
        raise unsupported(fitted, "numbers")
    rule = rule or skl2onnx_parts.transform
    return Block(names, rule(graph, fitted, block.tensor), "number")


def _convert_texts(graph: Graph, fitted: Any, block: Block, names: tuple[str, ...]) -> Block:
    """Convert a transformer of texts; a missing text is an empty one."""
    is_missing = graph.node("Equal", block.tensor, graph.constant([[""]], object))
    if isinstance(fitted, impute.SimpleImputer):
        fill = graph.constant([[str(value) for value in fitted.statistics_]], object)
        return Block(names, graph.node("Where", is_missing, fill, block.tensor), "text")
    if isinstance(fitted, transformers.Missing):
        return Block(names, graph.node("Cast", is_missing, to=DOUBLE), "number")
    if isinstance(fitted, texts.Tfidf):
        return Block(names, terms.weigh(graph, fitted, block), "number")
    if isinstance(fitted, column_transformers.Cast) and fitted.to == "string":
        return Block(names, block.tensor, "text")
    raise unsupported(fitted, "texts")


def _convert_instants(graph: Graph, fitted: Any, block: Block, names: tuple[str, ...]) -> Block:
    """Convert a transformer of dates."""
    if isinstance(fitted, transformers.DateParts):
        return Block(names, dates.extract_parts(graph, fitted, block.tensor), "number")
    if isinstance(fitted, transformers.CyclicTime):
        return Block(names, dates.encode_cyclic(graph, fitted, block.tensor), "number")
    if isinstance(fitted, transformers.Missing):
        is_missing = graph.node("Equal", block.tensor, graph.constant(MISSING_INSTANT, np.int64))
        return Block(names, graph.node("Cast", is_missing, to=DOUBLE), "number")
    raise unsupported(fitted, "dates")


def unsupported(fitted: Any, kind: str) -> errors.BadModelError:
    """Make the error for a transformer without a rule."""
    return errors.BadModelError(
        f"{type(fitted).__name__} of {kind} can't be exported to ONNX by this version of Millrace"
    )
