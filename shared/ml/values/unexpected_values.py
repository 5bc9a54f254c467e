"""Counts values in new data that a model never saw in training, which deserve a warning but are no error."""

import collections
from collections.abc import Mapping
from typing import Any

import pandas as pd

from shared.ml import signatures


class UnexpectedValues:
    """Counts, over any number of frames, the rows with unseen categories and with values that were never missing."""

    def __init__(self, signature: signatures.Signature) -> None:
        """Take the signature, which lists the values that the model saw in training."""
        self._categories = signatures.list_categories(signature)
        self._never_missing = signatures.list_never_missing(signature)
        self._unseen: collections.Counter[str] = collections.Counter()
        self._missing: collections.Counter[str] = collections.Counter()
        self._examples: dict[str, str] = {}

    def observe(self, frame: pd.DataFrame) -> None:
        """Count the rows of one frame."""
        for name in self._never_missing:
            self._missing[name] += int(frame[name].isna().sum())
        for name, categories in self._categories.items():
            values = frame[name].dropna()
            unseen = values[~values.isin(categories)]
            self._unseen[name] += len(unseen)
            if len(unseen):
                self._examples.setdefault(name, str(unseen.iloc[0]))

    def to_document(self) -> dict[str, Any]:
        """Describe the counts in JSON."""
        return {"unseen": dict(self._unseen), "missing": dict(self._missing), "examples": self._examples}

    def add(self, document: Mapping[str, Any]) -> None:
        """Add the counts of later frames, as `to_document` has described them."""
        self._unseen.update(document["unseen"])
        self._missing.update(document["missing"])
        for name, example in document["examples"].items():
            self._examples.setdefault(name, example)

    def warnings(self) -> list[str]:
        """List the warnings, a sentence for each column."""
        unseen = [
            f"Column {name!r} holds in {_rows(count)} a category unseen in training, such as {self._examples[name]!r}."
            for name, count in self._unseen.items()
            if count
        ]
        missing = [
            f"Column {name!r} has no value in {_rows(count)}; in training it always had one."
            for name, count in self._missing.items()
            if count
        ]
        return unseen + missing


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
