"""Text features by scikit-learn's vectorizers, as dense frames with names."""

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.feature_extraction import text

from shared.ml import transformers

ANALYZERS = {"words": "word", "characters": "char_wb"}


class Tfidf(transformers.FrameTransformer):
    """Weighs terms by scikit-learn's TfidfVectorizer, each column by itself; a missing text counts as an empty one.

    docs/decisions/models.md, "Stored text models hold only terms and weights".
    """

    def __init__(
        self,
        analyzer: str = "words",
        ngrams: tuple[int, int] = (1, 1),
        lowercase: bool = True,  # noqa: FBT001, FBT002  # scikit-learn's way of giving parameters.
        max_features: int = 500,
        min_texts: int = 1,
        max_share: float = 1.0,
    ) -> None:
        """Take which terms to count, and which to leave out."""
        self.analyzer = analyzer
        self.ngrams = ngrams
        self.lowercase = lowercase
        self.max_features = max_features
        self.min_texts = min_texts
        self.max_share = max_share

    def fit(self, frame: pd.DataFrame, y: Any = None) -> Self:
        """Learn the terms of each column, and the weight of each: the rarer, the more."""
        super().fit(frame, y)
        vectorizers = [self._build_vectorizer().fit(frame[name].fillna("")) for name in frame.columns]
        # Only terms and weights are kept: a stored vectorizer could be one that reads texts as names of files.
        self.terms_ = [[str(term) for term in vectorizer.get_feature_names_out()] for vectorizer in vectorizers]
        self.weights_ = [np.asarray(vectorizer.idf_) for vectorizer in vectorizers]
        return self

    def _build_vectorizer(self, terms: list[str] | None = None) -> text.TfidfVectorizer:
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
        blocks = []
        for terms, weights, name in zip(self.terms_, self.weights_, frame.columns, strict=True):
            vectorizer = self._build_vectorizer(terms)
            vectorizer.idf_ = weights
            blocks.append(vectorizer.transform(frame[name].fillna("")).toarray())
        return pd.DataFrame(np.hstack(blocks), index=frame.index, columns=self.get_feature_names_out())

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Name the columns `<column>_<term>`."""
        pairs = zip(self.terms_, self.feature_names_in_, strict=True)
        return np.asarray([f"{name}_{term}" for terms, name in pairs for term in terms], dtype=object)


class TextHash(transformers.FrameTransformer):
    """Hashes terms into columns by scikit-learn's HashingVectorizer; a missing text counts as an empty one."""

    def __init__(
        self,
        analyzer: str = "words",
        ngrams: tuple[int, int] = (1, 1),
        lowercase: bool = True,  # noqa: FBT001, FBT002  # scikit-learn's way of giving parameters.
        features: int = 256,
    ) -> None:
        """Take which terms to count, and how many columns to make of each column."""
        self.analyzer = analyzer
        self.ngrams = ngrams
        self.lowercase = lowercase
        self.features = features

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Hash the terms of each text."""
        vectorizer = text.HashingVectorizer(
            n_features=self.features,
            analyzer=ANALYZERS[self.analyzer],
            ngram_range=self.ngrams,
            lowercase=self.lowercase,
        )
        blocks = [vectorizer.transform(frame[name].fillna("")).toarray() for name in frame.columns]
        return pd.DataFrame(np.hstack(blocks), index=frame.index, columns=self.get_feature_names_out())

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Name the columns `<column>_<n>`."""
        names = [f"{name}_{number}" for name in self.feature_names_in_ for number in range(self.features)]
        return np.asarray(names, dtype=object)
