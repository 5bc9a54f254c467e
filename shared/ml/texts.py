"""Text features by scikit-learn's vectorizers, as dense frames with names."""

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.feature_extraction import text

from shared.ml import transformers

ANALYZERS = {"words": "word", "characters": "char_wb"}


class Tfidf(transformers.FrameTransformer):
    """Weighs terms by scikit-learn's TfidfVectorizer, each column by itself; a missing text is an empty one."""

    def __init__(
        self,
        analyzer: str = "words",
        ngrams: tuple[int, int] = (1, 1),
        lowercase: bool = True,  # noqa: FBT001, FBT002  # scikit-learn's way of giving parameters.
        max_features: int = 500,
        min_texts: int = 1,
        max_share: float = 1.0,
    ) -> None:
        """Take what to count, and which terms to leave out."""
        self.analyzer = analyzer
        self.ngrams = ngrams
        self.lowercase = lowercase
        self.max_features = max_features
        self.min_texts = min_texts
        self.max_share = max_share

    def fit(self, frame: pd.DataFrame, y: Any = None) -> Self:
        """Learn the terms of each column, and how much weight each has: the rarer, the more."""
        super().fit(frame, y)
        fitted = [self._vectorizer().fit(frame[name].fillna("")) for name in frame.columns]
        # Only terms and weights are kept: a stored vectorizer could be one that takes texts for the names of files.
        self.terms_ = [[str(term) for term in one.get_feature_names_out()] for one in fitted]
        self.weights_ = [np.asarray(one.idf_) for one in fitted]
        return self

    def _vectorizer(self, terms: list[str] | None = None) -> text.TfidfVectorizer:
        return text.TfidfVectorizer(
            analyzer=ANALYZERS[self.analyzer],
            ngram_range=self.ngrams,
            lowercase=self.lowercase,
            max_features=self.max_features,
            min_df=self.min_texts,
            max_df=self.max_share,
            vocabulary=terms,
        )

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Weigh the terms of each text."""
        parts = []
        for terms, weights, name in zip(self.terms_, self.weights_, frame.columns, strict=True):
            vectorizer = self._vectorizer(terms)
            vectorizer.idf_ = weights
            parts.append(vectorizer.transform(frame[name].fillna("")).toarray())
        return pd.DataFrame(np.hstack(parts), index=frame.index, columns=self.get_feature_names_out())

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Name the columns `<column>_<term>`."""
        pairs = zip(self.terms_, self.feature_names_in_, strict=True)
        return np.asarray([f"{name}_{term}" for terms, name in pairs for term in terms], dtype=object)


class TextHash(transformers.FrameTransformer):
    """Counts terms under a hash by scikit-learn's HashingVectorizer; a missing text is an empty one."""

    def __init__(
        self,
        analyzer: str = "words",
        ngrams: tuple[int, int] = (1, 1),
        lowercase: bool = True,  # noqa: FBT001, FBT002  # scikit-learn's way of giving parameters.
        features: int = 256,
    ) -> None:
        """Take what to count, and how many columns to make of one."""
        self.analyzer = analyzer
        self.ngrams = ngrams
        self.lowercase = lowercase
        self.features = features

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Count the terms of each text."""
        vectorizer = text.HashingVectorizer(
            n_features=self.features,
            analyzer=ANALYZERS[self.analyzer],
            ngram_range=self.ngrams,
            lowercase=self.lowercase,
        )
        parts = [vectorizer.transform(frame[name].fillna("")).toarray() for name in frame.columns]
        return pd.DataFrame(np.hstack(parts), index=frame.index, columns=self.get_feature_names_out())

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Name the columns `<column>_<n>`."""
        names = [f"{name}_{place}" for name in self.feature_names_in_ for place in range(self.features)]
        return np.asarray(names, dtype=object)
