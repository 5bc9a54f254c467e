"""Makes the scikit-learn transformer of each step."""

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
from shared.recipe import language, plans

BINS = {"ordinal": "ordinal", "one_hot": "onehot-dense"}
UNSEEN = {"zeros": "ignore", "rare": "infrequent_if_exist", "fail": "error"}
QUARTILES = (0.25, 0.75)


def build(step: language.AnyStep, *, seen: list[plans.Slot]) -> list[Any]:
    """Make the transformers that do a step to the columns as it finds them, to be done one after the other."""
    match step:
        case language.Impute():
            return [_imputer(step)]
        case language.Scale():
            return [_scaler(step)]
        case language.Projection():
            return _projection(step)
        case language.SelectFeatures():
            return [_selection(step)]
        case language.Clip():
            return [_clip(step)]
        case language.Cast() | language.Derive():
            return [_typed(step, {slot.name: slot.type for slot in seen})]
        case language.DateParts():
            return [transformers.DateParts(tuple(dict.fromkeys(step.parts)), *_zone(step, seen))]
        case language.CyclicTime():
            return [transformers.CyclicTime(tuple(dict.fromkeys(step.parts)), *_zone(step, seen))]
        case (
            language.OneHot()
            | language.Ordinal()
            | language.TargetEncode()
            | language.HashEncode()
            | language.FrequencyEncode()
        ):
            return [_encoder(step, width=len(seen))]
    return [_plain(step)]


def _plain(step: language.AnyStep) -> Any:
    match step:
        case language.Rename():
            return column_transformers.Rename(dict(step.names))
        case language.Log1p():
            return transformers.Log1p()
        case language.Bin():
            return preprocessing.KBinsDiscretizer(
                step.bins, encode=BINS[step.encode], strategy=step.strategy, random_state=step.seed
            )
        case language.Polynomial():
            return powers(step)
        case language.Tfidf():
            return texts.Tfidf(**_terms(step), **step.model_dump(include={"max_features", "min_texts", "max_share"}))
        case language.TextHash():
            return texts.TextHash(**_terms(step), features=step.features)
    raise AssertionError(f"{step.op} has no transformer")


def _terms(step: language.TextStep) -> dict[str, Any]:
    return {"analyzer": step.analyzer, "ngrams": (step.ngrams[0], step.ngrams[1]), "lowercase": step.lowercase}


def _imputer(step: language.Impute) -> Any:
    if step.strategy == "knn":
        return imputers.KnnImputer(n_neighbors=step.neighbours, keep_empty_features=True)
    if step.strategy == "iterative":
        return impute.IterativeImputer(max_iter=step.rounds, random_state=step.seed, keep_empty_features=True)
    value = float(step.value) if isinstance(step.value, int) else step.value
    return impute.SimpleImputer(strategy=step.strategy, fill_value=value, keep_empty_features=True)


def _scaler(step: language.Scale) -> Any:
    match step.method:
        case "min_max":
            return preprocessing.MinMaxScaler()
        case "robust":
            return preprocessing.RobustScaler()
        case "quantile":
            return preprocessing.QuantileTransformer(
                n_quantiles=step.quantiles, output_distribution=step.distribution, random_state=step.seed
            )
        case "yeo_johnson" | "box_cox":
            return preprocessing.PowerTransformer(step.method.replace("_", "-"))
    return preprocessing.StandardScaler()


def _encoder(step: language.AnyStep, *, width: int) -> Any:
    match step:
        case language.OneHot():
            return preprocessing.OneHotEncoder(
                max_categories=step.max_categories,
                min_frequency=step.min_frequency,
                handle_unknown=UNSEEN[step.unseen],
                sparse_output=False,
            )
        case language.Ordinal():
            return preprocessing.OrdinalEncoder(
                categories="auto" if step.categories is None else [[*step.categories, np.nan]] * width,
                handle_unknown="use_encoded_value",
                unknown_value=-1,
            )
        case language.TargetEncode():
            return encoders.TargetEncode(step.smooth, step.folds, step.seed)
        case language.HashEncode():
            return encoders.HashEncode(step.features)
    return encoders.FrequencyEncode()


def _typed(step: language.Cast | language.Derive, types: dict[str, Any]) -> Any:
    if isinstance(step, language.Cast):
        return column_transformers.Cast(step.to, step.on_error, types)
    return column_transformers.Derive(step.name, expressions.with_plain_dates(step.expression, types=types), types)


def _zone(step: language.DateParts | language.CyclicTime, seen: list[plans.Slot]) -> tuple[str, tuple[str, ...]]:
    """Give the zone to read times in, and which columns are dates; where all are, no zone is left to ask for."""
    times.zone_of(step.zone)
    dates = tuple(slot.name for slot in seen if slot.type == "date")
    return "UTC" if len(dates) == len(seen) else step.zone, dates


def _projection(step: language.Projection) -> list[Any]:
    if isinstance(step, language.Pca):
        made_by = decomposition.PCA(step.components, whiten=step.whiten, random_state=step.seed)
    else:
        made_by = decomposition.TruncatedSVD(step.model_dump()["components"], random_state=step.seed)
    return [made_by] if step.prefix is None else [made_by, column_transformers.Numbered(step.prefix)]


def _selection(step: language.SelectFeatures) -> Any:
    match step.method:
        case "variance":
            return feature_selection.VarianceThreshold(step.threshold)
        case "mutual_information":
            return selection.MutualInformation(step.keep, step.seed)
    return selection.Importance(step.keep, step.seed)


def _clip(step: language.Clip) -> Any:
    match step.method:
        case "fixed":
            return transformers.Clip("fixed", step.least, step.most)
        case "iqr":
            return transformers.Clip("iqr", *QUARTILES, step.factor)
    return transformers.Clip("quantile", step.low_quantile, step.high_quantile)


def powers(step: language.Polynomial) -> preprocessing.PolynomialFeatures:
    """Make the transformer of a polynomial step; `shared/recipe/outputs.py` gives the names of what it makes."""
    return preprocessing.PolynomialFeatures(step.degree, interaction_only=step.interaction_only, include_bias=False)
