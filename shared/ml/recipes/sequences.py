"""Counts what steps on texts would count, without counting it all."""

import numpy as np
import pandas as pd
from sklearn.feature_extraction import text

from shared.ml.texts import ANALYZERS
from shared.recipe.texts import TextStep

# scikit-learn's own pattern of words.
_WORD = r"(?u)\b\w\w+\b"


def bound(step: TextStep, values: pd.Series) -> int:
    """Bound what `count` would count, by the lengths of texts alone: a word has two characters and one behind it."""
    texts = values.dropna()
    if texts.dtype != object or step.analyzer != "words":
        return count(step, values)
    return int((texts.str.len() + 1).sum()) // 3 * (step.ngrams[1] - step.ngrams[0] + 1)


def count(step: TextStep, values: pd.Series) -> int:
    """Count the sequences of words or characters in texts, repeated ones too; for characters a bound."""
    texts = values.dropna()
    if texts.dtype != object:
        return 0
    low, high = step.ngrams
    if step.analyzer == "words":
        lengths = texts.str.count(_WORD).to_numpy(dtype=np.int64)
        return int(sum(np.maximum(lengths - size + 1, 0).sum() for size in range(low, high + 1)))
    # Each word has a space before and after it, and a sequence for each of its characters at most.
    return int(2 * texts.str.len().sum()) * (high - low + 1)


def count_terms(step: TextStep, values: pd.Series, *, most: int) -> int:
    """Count the different terms of texts, up to `most`."""
    vectorizer = text.CountVectorizer(
        analyzer=ANALYZERS[step.analyzer], ngram_range=(step.ngrams[0], step.ngrams[1]), lowercase=step.lowercase
    )
    analyze = vectorizer.build_analyzer()
    terms: set[str] = set()
    for value in values.dropna():
        terms.update(analyze(value))
        if len(terms) >= most:
            return most
    return max(len(terms), 1)
