"""Encoders of categories that scikit-learn lacks, or has in a form that a pipeline of frames can't use."""

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn import compose, feature_extraction, model_selection, pipeline, preprocessing

from shared import errors
from shared.ml import integers, row_numbers, step_targets, transformers
from shared.ml.expression_functions import format_number, to_text

CATEGORY_ENCODERS = (preprocessing.OneHotEncoder, preprocessing.OrdinalEncoder)
MAX_EXAMPLES = 5


class FrequencyEncode(transformers.FrameTransformer):
    """Replaces each category by its share of the rows that it was fitted on; missing counts as a category."""

    def fit(self, frame: pd.DataFrame, y: Any = None) -> Self:
        """Count the categories of each column."""
        super().fit(frame, y)
        self.shares_: list[dict[str, Any]] = []
        for name in frame.columns:
            shares = frame[name].value_counts(normalize=True, dropna=False)
            present = shares[shares.index.notna()]
            self.shares_.append(
                {
                    "categories": present.index.tolist(),
                    "shares": present.to_numpy(dtype=np.float64),
                    "missing": float(1.0 - present.sum()) if len(present) < len(shares) else 0.0,
                }
            )
        return self

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Replace each value by its share; 0 for a category that was unseen in fitting."""
        columns = {}
        for name, learned in zip(frame.columns, self.shares_, strict=True):
            share_of = dict(zip(learned["categories"], learned["shares"], strict=True))
            if integers.is_exact(frame[name]):
                known = [share_of.get(category, 0.0) for category in integers.to_objects(frame[name]).tolist()]
                shares = pd.Series(known, index=frame.index, dtype=np.float64)
            else:
                shares = frame[name].map(share_of).astype(np.float64).fillna(0.0)
            columns[name] = shares.where(frame[name].notna(), learned["missing"])
        return pd.DataFrame(columns, index=frame.index, columns=frame.columns)

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Return the columns' names, which stay."""
        return self.feature_names_in_


class HashEncode(transformers.FrameTransformer):
    """Hashes categories into a fixed number of columns by scikit-learn's FeatureHasher; missing is all zeros."""

    def __init__(self, features: int = 16) -> None:
        """Take how many columns to make of each."""
        self.features = features

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Hash the categories of each column."""
        hasher = feature_extraction.FeatureHasher(self.features, input_type="string")
        blocks = [hasher.transform(_to_words(frame[name])).toarray() for name in frame.columns]
        return pd.DataFrame(np.hstack(blocks), index=frame.index, columns=self.get_feature_names_out())

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Name the columns `<column>_<n>`."""
        names = [f"{name}_{number}" for name in self.feature_names_in_ for number in range(self.features)]
        return np.asarray(names, dtype=object)


def _to_words(values: pd.Series) -> list[list[str]]:
    kind = "text" if values.dtype == object else "number"
    array = integers.to_objects(values) if integers.is_exact(values) else values.to_numpy()
    return [[word] if isinstance(word, str) else [] for word in to_text(array, kind)]


class IntegerCategories(transformers.FrameTransformer):
    """Lets scikit-learn's encoders tell integers apart: those that were exact in fitting become Python's integers.

    All others become float64, so that encoders find the types again that they were fitted on. docs/decisions/models.md,
    "Integers that float64 would merge are exact".
    """

    def fit(self, frame: pd.DataFrame, y: Any = None) -> Self:
        """Remember which columns are exact."""
        super().fit(frame, y)
        self.exact_ = [str(name) for name in frame.columns if integers.is_exact(frame[name])]
        return self

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Convert the columns of integers."""
        columns = {
            name: pd.Series(integers.to_objects(frame[name]), index=frame.index, dtype=object) for name in self.exact_
        }
        return integers.to_floats(frame).assign(**columns)

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Return the columns' names, which stay."""
        return self.feature_names_in_


class TargetEncode(transformers.FrameTransformer):
    """Encodes by scikit-learn's TargetEncoder, with seeded folds and the type of its target passed explicitly."""

    def __init__(self, smooth: float | str = "auto", folds: int = 5, seed: int = 0) -> None:
        """Take the weight of the mean of all rows, and the number and seed of the folds to cross-fit with."""
        self.smooth = smooth
        self.folds = folds
        self.seed = seed

    def fit(self, frame: pd.DataFrame, y: Any = None) -> Self:
        """Learn from all rows; their own encodings come from `fit_transform`."""
        self.fit_transform(frame, y)
        return self

    def fit_transform(self, frame: pd.DataFrame, y: Any = None) -> pd.DataFrame:
        """Learn from all rows, and encode each fold by what was learned from the others."""
        super().fit(frame, y)
        labels = step_targets.require(y, step="target_encode")
        is_number = step_targets.is_number(labels)
        folds = model_selection.KFold if is_number else model_selection.StratifiedKFold
        self.encoder_ = preprocessing.TargetEncoder(
            target_type="continuous" if is_number else "auto",
            smooth=self.smooth,
            cv=folds(self.folds, shuffle=True, random_state=self.seed),
        )
        return self._frame(self.encoder_.fit_transform(frame, labels), frame)

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Encode rows that it was not fitted on."""
        return self._frame(self.encoder_.transform(frame), frame)

    def _frame(self, values: Any, frame: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame(values, index=frame.index, columns=self.get_feature_names_out())

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Return the columns' names, or `<column>_<class>` for three classes or more."""
        return np.asarray(self.encoder_.get_feature_names_out(), dtype=object)


def transform(fitted: Any, frame: pd.DataFrame) -> pd.DataFrame:
    """Apply a fitted recipe; BadDataError for categories that are unseen by a one_hot whose `unseen` is `fail`."""
    try:
        features: pd.DataFrame = fitted.transform(frame)
    except ValueError as error:
        if "unknown categories" in str(error):
            _refuse_unseen(fitted, frame)
        raise
    return features


def find_unlisted(fitted: Any, frame: pd.DataFrame) -> dict[str, pd.Series]:
    """Find, by column, the values that are not missing and not among the `categories` of an ordinal step."""
    return {
        name: values
        for encoder, columns in _walk_encoders(fitted, frame)
        if isinstance(encoder, preprocessing.OrdinalEncoder) and encoder.categories != "auto"
        for name, values in _find_unseen(encoder, columns).items()
    }


def _refuse_unseen(fitted: Any, frame: pd.DataFrame) -> None:
    for encoder, columns in _walk_encoders(fitted, frame):
        if isinstance(encoder, preprocessing.OneHotEncoder) and encoder.handle_unknown == "error":
            for name, values in _find_unseen(encoder, columns).items():
                examples = ", ".join(map(_format_value, values.unique()[:MAX_EXAMPLES]))
                raise errors.BadDataError(
                    f"column {name!r} holds {examples}, which one_hot has not seen in fitting (first in "
                    f"{row_numbers.name_first(values)}); give `unseen`: `zeros` or `rare` to let such values pass"
                )


def _format_value(value: Any) -> str:
    if isinstance(value, str):
        return repr(value[:100])
    return "no value" if pd.isna(value) else format_number(value)


def _find_unseen(encoder: Any, frame: pd.DataFrame) -> dict[str, pd.Series]:
    """Find, by column, the values that an encoder has no category for."""
    columns = zip(frame.items(), encoder.categories_, strict=True)
    unseen = {str(name): values[~values.isin(categories)] for (name, values), categories in columns}
    return {name: values for name, values in unseen.items() if len(values)}


def _walk_encoders(fitted: Any, frame: pd.DataFrame) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Walk the encoders of a fitted recipe, each with its columns as they reach it."""
    if isinstance(fitted, CATEGORY_ENCODERS):
        yield fitted, frame
    elif isinstance(fitted, pipeline.Pipeline):
        for index, (_, step) in enumerate(fitted.steps):
            yield from _walk_encoders(step, frame)
            if any(map(_has_encoder, _list_children(fitted)[index + 1 :])):
                frame = step.transform(frame)
    elif isinstance(fitted, compose.ColumnTransformer):
        for _, transformer, columns in fitted.transformers_:
            if len(columns) and _has_encoder(transformer):
                names = [name if isinstance(name, str) else frame.columns[name] for name in columns]
                yield from _walk_encoders(transformer, frame[names])


def _has_encoder(fitted: Any) -> bool:
    return isinstance(fitted, CATEGORY_ENCODERS) or any(map(_has_encoder, _list_children(fitted)))


def _list_children(fitted: Any) -> list[Any]:
    if isinstance(fitted, compose.ColumnTransformer):
        return [transformer for _, transformer, _ in fitted.transformers_]
    return [step for _, step in fitted.steps] if isinstance(fitted, pipeline.Pipeline) else []
