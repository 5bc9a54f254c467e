"""Makes the scikit-learn transformers of each step."""

import functools
from typing import Any

import numpy as np
from sklearn import decomposition, feature_selection, impute, preprocessing
from sklearn.experimental import enable_iterative_imputer  # noqa: F401  # It adds IterativeImputer to sklearn.impute.

from shared.ml import (
    column_transformers,
    encoders,
    expressions,
    imputers,
    selection,
    texts,
    times,
    transformers,
)
from shared.recipe.categories import FrequencyEncode, HashEncode, OneHot, Ordinal, TargetEncode
from shared.recipe.columns import Cast, Derive, Rename
from shared.recipe.features import Pca, Projection, SelectFeatures, Svd
from shared.recipe.numbers import Bin, Clip, Impute, Log1p, Polynomial, Scale
from shared.recipe.slots import Slot
from shared.recipe.step import Step
from shared.recipe.texts import TextHash, TextStep, Tfidf
from shared.recipe.times import CyclicTime, DateParts

BINS = {"ordinal": "ordinal", "one_hot": "onehot-dense"}
UNSEEN = {"zeros": "ignore", "rare": "infrequent_if_exist", "fail": "error"}
QUARTILES = (0.25, 0.75)


@functools.singledispatch
def build(step: Step, seen: list[Slot]) -> list[Any]:
    """Make the transformers that do a step to the columns as it finds them, to be done one after the other.

    Steps that only choose columns, and those on whole tables, have none.
    """
    raise AssertionError(f"{step.op} has no transformer, and {len(seen)} columns to do it to")


@build.register
def _rename(step: Rename, seen: list[Slot]) -> list[Any]:  # noqa: ARG001 - Every builder is called alike.
    return [column_transformers.Rename(dict(step.names))]


@build.register
def _cast(step: Cast, seen: list[Slot]) -> list[Any]:
    return [column_transformers.Cast(step.to, step.on_error, _types(seen))]


@build.register
def _derive(step: Derive, seen: list[Slot]) -> list[Any]:
    types = _types(seen)
    expression = expressions.with_plain_dates(step.expression, types=types)
    return [column_transformers.Derive(step.name, expression, types)]


def _types(seen: list[Slot]) -> dict[str, Any]:
    return {slot.name: slot.type for slot in seen}


@build.register
def _impute(step: Impute, seen: list[Slot]) -> list[Any]:  # noqa: ARG001
    if step.strategy == "knn":
        return [imputers.KnnImputer(n_neighbors=step.neighbours, keep_empty_features=True)]
    if step.strategy == "iterative":
        return [impute.IterativeImputer(max_iter=step.rounds, random_state=step.seed, keep_empty_features=True)]
    value = float(step.value) if isinstance(step.value, int) else step.value
    return [impute.SimpleImputer(strategy=step.strategy, fill_value=value, keep_empty_features=True)]


@build.register
def _scale(step: Scale, seen: list[Slot]) -> list[Any]:  # noqa: ARG001
    match step.method:
        case "min_max":
            return [preprocessing.MinMaxScaler()]
        case "robust":
            return [preprocessing.RobustScaler()]
        case "quantile":
            return [
                preprocessing.QuantileTransformer(
                    n_quantiles=step.quantiles, output_distribution=step.distribution, random_state=step.seed
                )
            ]
        case "yeo_johnson" | "box_cox":
            return [preprocessing.PowerTransformer(step.method.replace("_", "-"))]
    return [preprocessing.StandardScaler()]


@build.register
def _bin(step: Bin, seen: list[Slot]) -> list[Any]:  # noqa: ARG001
    encode = BINS[step.encode]
    return [preprocessing.KBinsDiscretizer(step.bins, encode=encode, strategy=step.strategy, random_state=step.seed)]


@build.register
def _log1p(step: Log1p, seen: list[Slot]) -> list[Any]:  # noqa: ARG001
    return [transformers.Log1p()]


@build.register
def _clip(step: Clip, seen: list[Slot]) -> list[Any]:  # noqa: ARG001
    match step.method:
        case "fixed":
            return [transformers.Clip("fixed", step.least, step.most)]
        case "iqr":
            return [transformers.Clip("iqr", *QUARTILES, step.factor)]
    return [transformers.Clip("quantile", step.low_quantile, step.high_quantile)]


@build.register
def _polynomial(step: Polynomial, seen: list[Slot]) -> list[Any]:  # noqa: ARG001
    return [
        preprocessing.PolynomialFeatures(step.degree, interaction_only=step.interaction_only, include_bias=False),
    ]


@build.register
def _one_hot(step: OneHot, seen: list[Slot]) -> list[Any]:  # noqa: ARG001
    return [
        preprocessing.OneHotEncoder(
            max_categories=step.max_categories,
            min_frequency=step.min_frequency,
            handle_unknown=UNSEEN[step.unseen],
            sparse_output=False,
        )
    ]


@build.register
def _ordinal(step: Ordinal, seen: list[Slot]) -> list[Any]:
    categories = "auto" if step.categories is None else [[*step.categories, np.nan]] * len(seen)
    return [preprocessing.OrdinalEncoder(categories=categories, handle_unknown="use_encoded_value", unknown_value=-1)]


@build.register
def _target_encode(step: TargetEncode, seen: list[Slot]) -> list[Any]:  # noqa: ARG001
    return [encoders.TargetEncode(step.smooth, step.folds, step.seed)]


@build.register
def _hash_encode(step: HashEncode, seen: list[Slot]) -> list[Any]:  # noqa: ARG001
    return [encoders.HashEncode(step.features)]


@build.register
def _frequency_encode(step: FrequencyEncode, seen: list[Slot]) -> list[Any]:  # noqa: ARG001
    return [encoders.FrequencyEncode()]


@build.register
def _date_parts(step: DateParts, seen: list[Slot]) -> list[Any]:
    return [transformers.DateParts(tuple(dict.fromkeys(step.parts)), *_zone(step, seen))]


@build.register
def _cyclic_time(step: CyclicTime, seen: list[Slot]) -> list[Any]:
    return [transformers.CyclicTime(tuple(dict.fromkeys(step.parts)), *_zone(step, seen))]


def _zone(step: DateParts | CyclicTime, seen: list[Slot]) -> tuple[str, tuple[str, ...]]:
    """Choose the zone to read times in, and which columns are dates; where all are, no zone is left to ask for."""
    times.zone_of(step.zone)
    dates = tuple(slot.name for slot in seen if slot.type == "date")
    return "UTC" if len(dates) == len(seen) else step.zone, dates


@build.register
def _tfidf(step: Tfidf, seen: list[Slot]) -> list[Any]:  # noqa: ARG001
    bounds = step.model_dump(include={"max_features", "min_texts", "max_share"})
    return [texts.Tfidf(**_terms(step), **bounds)]


@build.register
def _text_hash(step: TextHash, seen: list[Slot]) -> list[Any]:  # noqa: ARG001
    return [texts.TextHash(**_terms(step), features=step.features)]


def _terms(step: TextStep) -> dict[str, Any]:
    return {"analyzer": step.analyzer, "ngrams": (step.ngrams[0], step.ngrams[1]), "lowercase": step.lowercase}


@build.register
def _select_features(step: SelectFeatures, seen: list[Slot]) -> list[Any]:  # noqa: ARG001
    match step.method:
        case "variance":
            return [feature_selection.VarianceThreshold(step.threshold)]
        case "mutual_information":
            return [selection.MutualInformation(step.keep, step.seed)]
    return [selection.Importance(step.keep, step.seed)]


@build.register
def _pca(step: Pca, seen: list[Slot]) -> list[Any]:  # noqa: ARG001
    projection = decomposition.PCA(step.components, whiten=step.whiten, random_state=step.seed)
    return _numbered(projection, step)


@build.register
def _svd(step: Svd, seen: list[Slot]) -> list[Any]:  # noqa: ARG001
    return _numbered(decomposition.TruncatedSVD(step.components, random_state=step.seed), step)


def _numbered(projection: Any, step: Projection) -> list[Any]:
    return [projection] if step.prefix is None else [projection, column_transformers.Numbered(step.prefix)]
