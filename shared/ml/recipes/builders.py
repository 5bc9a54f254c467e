"""Builds the scikit-learn transformers of each step."""

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
    integers,
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
from shared.recipe.times import CyclicTime, DateParts, FormatDates, ParseDates

BINS = {"ordinal": "ordinal", "one_hot": "onehot-dense"}
UNSEEN = {"zeros": "ignore", "rare": "infrequent_if_exist", "fail": "error"}
QUARTILES = (0.25, 0.75)


@functools.singledispatch
def build(step: Step, slots: list[Slot]) -> list[Any]:
    """Build the transformers that apply a step to the columns as it finds them, in their order.

    Steps that only choose columns, and those on whole tables, have none.
    """
    raise AssertionError(f"{step.op} has no transformer, but is applied to {len(slots)} columns")


@build.register
def _rename(step: Rename, slots: list[Slot]) -> list[Any]:  # noqa: ARG001 - All builders have the same parameters.
    return [column_transformers.Rename(dict(step.names))]


@build.register
def _cast(step: Cast, slots: list[Slot]) -> list[Any]:
    return [column_transformers.Cast(step.to, step.on_error, _types_of(slots))]


@build.register
def _derive(step: Derive, slots: list[Slot]) -> list[Any]:
    types = _types_of(slots)
    expression = expressions.with_plain_dates(step.expression, types=types)
    return [column_transformers.Derive(step.name, expression, types)]


def _types_of(slots: list[Slot]) -> dict[str, Any]:
    return {slot.name: slot.type for slot in slots}


@build.register
def _impute(step: Impute, slots: list[Slot]) -> list[Any]:
    if step.strategy == "knn":
        return [imputers.KnnImputer(n_neighbors=step.neighbours, keep_empty_features=True)]
    if step.strategy == "iterative":
        return [impute.IterativeImputer(max_iter=step.rounds, random_state=step.seed, keep_empty_features=True)]
    is_small = isinstance(step.value, int) and abs(step.value) < integers.LIMIT
    value = float(step.value) if isinstance(step.value, int) and is_small else step.value
    if step.fills_integers and any(slot.type == "integer" for slot in slots):
        return [imputers.IntegerImputer(strategy=step.strategy, fill_value=value, keep_empty_features=True)]
    return [impute.SimpleImputer(strategy=step.strategy, fill_value=value, keep_empty_features=True)]


@build.register
def _scale(step: Scale, slots: list[Slot]) -> list[Any]:  # noqa: ARG001
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
def _bin(step: Bin, slots: list[Slot]) -> list[Any]:  # noqa: ARG001
    encode = BINS[step.encode]
    return [preprocessing.KBinsDiscretizer(step.bins, encode=encode, strategy=step.strategy, random_state=step.seed)]


@build.register
def _log1p(step: Log1p, slots: list[Slot]) -> list[Any]:  # noqa: ARG001
    return [transformers.Log1p()]


@build.register
def _clip(step: Clip, slots: list[Slot]) -> list[Any]:  # noqa: ARG001
    match step.method:
        case "fixed":
            return [transformers.Clip("fixed", step.least, step.most)]
        case "iqr":
            return [transformers.Clip("iqr", *QUARTILES, step.factor)]
    return [transformers.Clip("quantile", step.low_quantile, step.high_quantile)]


@build.register
def _polynomial(step: Polynomial, slots: list[Slot]) -> list[Any]:  # noqa: ARG001
    return [
        preprocessing.PolynomialFeatures(step.degree, interaction_only=step.interaction_only, include_bias=False),
    ]


@build.register
def _one_hot(step: OneHot, slots: list[Slot]) -> list[Any]:  # noqa: ARG001
    return [
        preprocessing.OneHotEncoder(
            max_categories=step.max_categories,
            min_frequency=step.min_frequency,
            handle_unknown=UNSEEN[step.unseen],
            sparse_output=False,
        )
    ]


@build.register
def _ordinal(step: Ordinal, slots: list[Slot]) -> list[Any]:
    categories = "auto" if step.categories is None else [[*step.categories, np.nan]] * len(slots)
    return [preprocessing.OrdinalEncoder(categories=categories, handle_unknown="use_encoded_value", unknown_value=-1)]


@build.register
def _target_encode(step: TargetEncode, slots: list[Slot]) -> list[Any]:  # noqa: ARG001
    return [encoders.TargetEncode(step.smooth, step.folds, step.seed)]


@build.register
def _hash_encode(step: HashEncode, slots: list[Slot]) -> list[Any]:  # noqa: ARG001
    return [encoders.HashEncode(step.features)]


@build.register
def _frequency_encode(step: FrequencyEncode, slots: list[Slot]) -> list[Any]:  # noqa: ARG001
    return [encoders.FrequencyEncode()]


@build.register
def _date_parts(step: DateParts, slots: list[Slot]) -> list[Any]:
    return [transformers.DateParts(tuple(dict.fromkeys(step.parts)), *_choose_zone(step, slots))]


@build.register
def _cyclic_time(step: CyclicTime, slots: list[Slot]) -> list[Any]:
    return [transformers.CyclicTime(tuple(dict.fromkeys(step.parts)), *_choose_zone(step, slots))]


@build.register
def _parse_dates(step: ParseDates, slots: list[Slot]) -> list[Any]:  # noqa: ARG001
    times.find_zone(step.zone)
    return [column_transformers.ParseDates(step.format, step.zone, step.on_error)]


@build.register
def _format_dates(step: FormatDates, slots: list[Slot]) -> list[Any]:
    return [column_transformers.FormatDates(step.format, *_choose_zone(step, slots))]


def _choose_zone(step: DateParts | CyclicTime | FormatDates, slots: list[Slot]) -> tuple[str, tuple[str, ...]]:
    """Choose the zone to read times in, and which columns are dates; where all are dates, the zone is always UTC."""
    times.find_zone(step.zone)
    dates = tuple(slot.name for slot in slots if slot.type == "date")
    return "UTC" if len(dates) == len(slots) else step.zone, dates


@build.register
def _tfidf(step: Tfidf, slots: list[Slot]) -> list[Any]:  # noqa: ARG001
    bounds = step.model_dump(include={"max_features", "min_texts", "max_share"})
    return [texts.Tfidf(**_term_options(step), **bounds)]


@build.register
def _text_hash(step: TextHash, slots: list[Slot]) -> list[Any]:  # noqa: ARG001
    return [texts.TextHash(**_term_options(step), features=step.features)]


def _term_options(step: TextStep) -> dict[str, Any]:
    return {"analyzer": step.analyzer, "ngrams": (step.ngrams[0], step.ngrams[1]), "lowercase": step.lowercase}


@build.register
def _select_features(step: SelectFeatures, slots: list[Slot]) -> list[Any]:  # noqa: ARG001
    match step.method:
        case "variance":
            return [feature_selection.VarianceThreshold(step.threshold)]
        case "mutual_information":
            return [selection.MutualInformation(step.keep, step.seed)]
    return [selection.Importance(step.keep, step.seed)]


@build.register
def _pca(step: Pca, slots: list[Slot]) -> list[Any]:  # noqa: ARG001
    projection = decomposition.PCA(step.components, whiten=step.whiten, random_state=step.seed)
    return _with_prefix(projection, step)


@build.register
def _svd(step: Svd, slots: list[Slot]) -> list[Any]:  # noqa: ARG001
    return _with_prefix(decomposition.TruncatedSVD(step.components, random_state=step.seed), step)


def _with_prefix(projection: Any, step: Projection) -> list[Any]:
    return [projection] if step.prefix is None else [projection, column_transformers.Numbered(step.prefix)]
