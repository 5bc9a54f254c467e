"""Traces the features that a fitted recipe makes back to the columns that they are made of.

docs/decisions/serving.md, "Contributions are of the columns that a caller knows".
"""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

from sklearn import compose, decomposition, feature_selection, impute, pipeline, preprocessing
from sklearn.experimental import enable_iterative_imputer  # noqa: F401  # It adds IterativeImputer to sklearn.impute.

from shared import errors
from shared.ml import column_transformers, encoders, imputers, selection, texts, transformers

Origin = frozenset[str]
"""The columns that a feature is made of: mostly one."""


def trace_features(recipe: Any, columns: Sequence[str]) -> list[Origin]:
    """Return the origin of each feature that a recipe makes of columns; BadModelError for a step that isn't known."""
    return trace(recipe, [frozenset({name}) for name in columns])


@functools.singledispatch
def trace(fitted: Any, inputs: list[Origin]) -> list[Origin]:
    """Return the origin of each output of a fitted transformer, given those of its inputs."""
    if isinstance(fitted, str) and fitted == "passthrough":
        return inputs
    raise errors.BadModelError(f"it isn't known which columns the outputs of {type(fitted).__name__} are made of")


@trace.register
def _pipeline(fitted: pipeline.Pipeline, inputs: list[Origin]) -> list[Origin]:
    for _, step in fitted.steps:
        inputs = trace(step, inputs)
    return inputs


@trace.register
def _by_columns(fitted: compose.ColumnTransformer, inputs: list[Origin]) -> list[Origin]:
    position = {name: index for index, name in enumerate(getattr(fitted, "feature_names_in_", ()))}
    outputs: list[Origin] = []
    for _, transformer, columns in fitted.transformers_:
        if len(columns) and not (isinstance(transformer, str) and transformer == "drop"):
            chosen = [position[column] if isinstance(column, str) else int(column) for column in columns]
            outputs += trace(transformer, [inputs[index] for index in chosen])
    return outputs


@trace.register(column_transformers.Cast)
@trace.register(column_transformers.FormatDates)
@trace.register(column_transformers.Numbered)
@trace.register(column_transformers.ParseDates)
@trace.register(column_transformers.Rename)
@trace.register(encoders.FrequencyEncode)
@trace.register(encoders.IntegerCategories)
@trace.register(imputers.KnnImputer)
@trace.register(impute.IterativeImputer)
@trace.register(impute.SimpleImputer)
@trace.register(preprocessing.FunctionTransformer)
@trace.register(preprocessing.MaxAbsScaler)
@trace.register(preprocessing.MinMaxScaler)
@trace.register(preprocessing.OrdinalEncoder)
@trace.register(preprocessing.PowerTransformer)
@trace.register(preprocessing.QuantileTransformer)
@trace.register(preprocessing.RobustScaler)
@trace.register(preprocessing.StandardScaler)
@trace.register(transformers.Clip)
@trace.register(transformers.Floats)
@trace.register(transformers.Log1p)
@trace.register(transformers.Missing)
def _one_of_each(fitted: Any, inputs: list[Origin]) -> list[Origin]:
    """Keep the origins: a value that is filled in from other columns still stands for its own."""
    is_plain = not isinstance(fitted, preprocessing.FunctionTransformer) or fitted.func is None
    if not is_plain or getattr(fitted, "add_indicator", False):
        raise errors.BadModelError(f"it isn't known which columns this {type(fitted).__name__} makes")
    return inputs


@trace.register
def _one_hot(fitted: preprocessing.OneHotEncoder, inputs: list[Origin]) -> list[Origin]:
    infrequent = fitted.infrequent_categories_
    counts = [
        len(known) - (0 if rare is None else len(rare) - 1)
        for known, rare in zip(fitted.categories_, infrequent, strict=True)
    ]
    return _repeat(inputs, counts)


@trace.register
def _bins(fitted: preprocessing.KBinsDiscretizer, inputs: list[Origin]) -> list[Origin]:
    return inputs if fitted.encode == "ordinal" else _repeat(inputs, fitted.n_bins_)


@trace.register
def _tfidf(fitted: texts.Tfidf, inputs: list[Origin]) -> list[Origin]:
    return _repeat(inputs, [len(terms) for terms in fitted.terms_])


@trace.register(encoders.HashEncode)
@trace.register(encoders.TargetEncode)
@trace.register(texts.TextHash)
@trace.register(transformers.CyclicTime)
@trace.register(transformers.DateParts)
def _equally_many_of_each(fitted: Any, inputs: list[Origin]) -> list[Origin]:
    return _repeat(inputs, [len(fitted.get_feature_names_out()) // len(inputs)] * len(inputs))


@trace.register
def _supported(fitted: feature_selection.VarianceThreshold, inputs: list[Origin]) -> list[Origin]:
    return [inputs[index] for index in fitted.get_support(indices=True)]


@trace.register
def _selected(fitted: selection.Selection, inputs: list[Origin]) -> list[Origin]:
    return [origin for origin, is_kept in zip(inputs, fitted.kept_, strict=True) if is_kept]


@trace.register
def _powers(fitted: preprocessing.PolynomialFeatures, inputs: list[Origin]) -> list[Origin]:
    return [_join(inputs[index] for index in row.nonzero()[0]) for row in fitted.powers_]


@trace.register(decomposition.PCA)
@trace.register(decomposition.TruncatedSVD)
def _projection(fitted: Any, inputs: list[Origin]) -> list[Origin]:
    return [_join(inputs)] * len(fitted.components_)


@trace.register
def _derived(fitted: column_transformers.Derive, inputs: list[Origin]) -> list[Origin]:  # noqa: ARG001 - as the others.
    return [_join(inputs)]


def _repeat(inputs: list[Origin], counts: Iterable[int]) -> list[Origin]:
    return [origin for origin, count in zip(inputs, counts, strict=True) for _ in range(count)]


def _join(inputs: Iterable[Origin]) -> Origin:
    return frozenset[str]().union(*inputs)
