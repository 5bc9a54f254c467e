"""Encoders of categories that scikit-learn lacks, or has in a form that a pipeline of frames can't use."""

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn import compose, feature_extraction, model_selection, pipeline, preprocessing

from shared import errors
from shared.ml import targets_given, transformers
from shared.ml.expression_functions import number_text, to_text

NUMBERING = (preprocessing.OneHotEncoder, preprocessing.OrdinalEncoder)
MAX_SHOWN = 5


class FrequencyEncode(transformers.FrameTransformer):
    """Gives each category's share of the rows that it was fitted on; missing is a category too."""

    def fit(self, frame: pd.DataFrame, y: Any = None) -> Self:
        """Count the categories of each column."""
        super().fit(frame, y)
        self.shares_: list[dict[str, Any]] = []
        for name in frame.columns:
            shares = frame[name].value_counts(normalize=True, dropna=False)
            there = shares[shares.index.notna()]
            self.shares_.append(
                {
                    "categories": there.index.tolist(),
                    "shares": there.to_numpy(dtype=np.float64),
                    "missing": float(1.0 - there.sum()) if len(there) < len(shares) else 0.0,
                }
            )
        return self

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Give each value's share; 0 for a category that fitting has not seen."""
        made = {}
        for name, learned in zip(frame.columns, self.shares_, strict=True):
            known = dict(zip(learned["categories"], learned["shares"], strict=True))
            values = frame[name].map(known).astype(np.float64).fillna(0.0)
            made[name] = values.where(frame[name].notna(), learned["missing"])
        return pd.DataFrame(made, index=frame.index, columns=frame.columns)

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Name the columns as they were."""
        return self.feature_names_in_


class HashEncode(transformers.FrameTransformer):
    """Spreads categories over a fixed number of columns by scikit-learn's FeatureHasher; missing is all zeros."""

    def __init__(self, features: int = 16) -> None:
        """Take how many columns to make of one."""
        self.features = features

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Hash the categories of each column."""
        hasher = feature_extraction.FeatureHasher(self.features, input_type="string")
        parts = [hasher.transform(_words(frame[name])).toarray() for name in frame.columns]
        return pd.DataFrame(np.hstack(parts), index=frame.index, columns=self.get_feature_names_out())

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Name the columns `<column>_<n>`."""
        names = [f"{name}_{place}" for name in self.feature_names_in_ for place in range(self.features)]
        return np.asarray(names, dtype=object)


def _words(values: pd.Series) -> list[list[str]]:
    kind = "text" if values.dtype == object else "number"
    return [[word] if isinstance(word, str) else [] for word in to_text(values.to_numpy(), kind)]


class TargetEncode(transformers.FrameTransformer):
    """Encodes by scikit-learn's TargetEncoder, whose folds are seeded, and which is told what sort of target it has."""

    def __init__(self, smooth: float | str = "auto", folds: int = 5, seed: int = 0) -> None:
        """Take the weight of the mean of all, and the folds to cross-fit by."""
        self.smooth = smooth
        self.folds = folds
        self.seed = seed

    def fit(self, frame: pd.DataFrame, y: Any = None) -> Self:
        """Learn from all rows; their own encodings come from `fit_transform`."""
        self.fit_transform(frame, y)
        return self

    def fit_transform(self, frame: pd.DataFrame, y: Any = None) -> pd.DataFrame:
        """Learn from all rows, and encode each fold by what the others taught."""
        super().fit(frame, y)
        labels = targets_given.require(y, step="target_encode")
        is_number = targets_given.is_number(labels)
        folds = model_selection.KFold if is_number else model_selection.StratifiedKFold
        self.encoder_ = preprocessing.TargetEncoder(
            target_type="continuous" if is_number else "auto",
            smooth=self.smooth,
            cv=folds(self.folds, shuffle=True, random_state=self.seed),
        )
        return self._frame(self.encoder_.fit_transform(frame, labels), frame)

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Encode rows that fitting has not seen."""
        return self._frame(self.encoder_.transform(frame), frame)

    def _frame(self, values: Any, frame: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame(values, index=frame.index, columns=self.get_feature_names_out())

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Name the columns as they were, or `<column>_<class>` from three classes on."""
        return np.asarray(self.encoder_.get_feature_names_out(), dtype=object)


def transform(fitted: Any, frame: pd.DataFrame) -> pd.DataFrame:
    """Apply a fitted recipe; BadDataError for categories that a one_hot, which is to fail at these, has not seen."""
    try:
        made: pd.DataFrame = fitted.transform(frame)
    except ValueError as error:
        if "unknown categories" in str(error):
            _refuse_unseen(fitted, frame)
        raise
    return made


def unlisted(fitted: Any, frame: pd.DataFrame) -> dict[str, pd.Series]:
    """Give, by column, the values that are there but not among the `categories` of an ordinal step."""
    return {
        name: values
        for encoder, reached in _reached(fitted, frame)
        if isinstance(encoder, preprocessing.OrdinalEncoder) and encoder.categories != "auto"
        for name, values in _unseen(encoder, reached).items()
    }


def _refuse_unseen(fitted: Any, frame: pd.DataFrame) -> None:
    for encoder, reached in _reached(fitted, frame):
        if isinstance(encoder, preprocessing.OneHotEncoder) and encoder.handle_unknown == "error":
            for name, values in _unseen(encoder, reached).items():
                shown = ", ".join(map(_shown, values.unique()[:MAX_SHOWN]))
                raise errors.BadDataError(
                    f"column {name!r} holds {shown}, which one_hot has not seen in fitting; "
                    "give `unseen`: `zeros` or `rare` to let such values pass"
                )


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return repr(value[:100])
    return "no value" if pd.isna(value) else number_text(value)


def _unseen(encoder: Any, frame: pd.DataFrame) -> dict[str, pd.Series]:
    """Give, by column, the values that an encoder has no category for."""
    columns = zip(frame.items(), encoder.categories_, strict=True)
    unseen = {str(name): values[~values.isin(known)] for (name, values), known in columns}
    return {name: values for name, values in unseen.items() if len(values)}


def _reached(fitted: Any, frame: pd.DataFrame) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Give each encoder of a fitted recipe, and the columns as they reach it."""
    if isinstance(fitted, NUMBERING):
        yield fitted, frame
    elif isinstance(fitted, pipeline.Pipeline):
        for place, (_, step) in enumerate(fitted.steps):
            yield from _reached(step, frame)
            if any(map(_holds_encoder, _inside(fitted)[place + 1 :])):
                frame = step.transform(frame)
    elif isinstance(fitted, compose.ColumnTransformer):
        for _, part, columns in fitted.transformers_:
            if len(columns) and _holds_encoder(part):
                names = [name if isinstance(name, str) else frame.columns[name] for name in columns]
                yield from _reached(part, frame[names])


def _holds_encoder(fitted: Any) -> bool:
    return isinstance(fitted, NUMBERING) or any(map(_holds_encoder, _inside(fitted)))


def _inside(fitted: Any) -> list[Any]:
    if isinstance(fitted, compose.ColumnTransformer):
        return [part for _, part, _ in fitted.transformers_]
    return [step for _, step in fitted.steps] if isinstance(fitted, pipeline.Pipeline) else []
