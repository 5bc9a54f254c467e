"""What is noticed while rows are predicted, kept so that parts of a table may be predicted apart and told as one."""

import dataclasses
from typing import Any

import pandas as pd

from shared.ml import integer_texts, signatures
from shared.ml.values import lost_values, unexpected_values


class Observations:
    """What was noticed of the rows that one version predicted."""

    def __init__(self, signature: signatures.Signature) -> None:
        """Begin with nothing noticed."""
        self.texts = integer_texts.IntegerTexts.of_signature(signature)
        self.losses = lost_values.Losses()
        self._unexpected = unexpected_values.UnexpectedValues(signature)
        self._non_finite = 0

    def observe(self, frame: pd.DataFrame, *, non_finite: int) -> None:
        """Notice a frame, and how many of its rows were predicted with a number that is not finite."""
        self._unexpected.observe(frame)
        self._non_finite += non_finite

    def to_document(self) -> dict[str, Any]:
        """Describe what was noticed in JSON."""
        return {
            "texts": self.texts.to_document(),
            "losses": self.losses.to_document(),
            "unexpected": self._unexpected.to_document(),
            "non_finite": self._non_finite,
        }

    def add(self, document: dict[str, Any]) -> None:
        """Add what was noticed of later rows."""
        self.texts.add(document["texts"])
        self.losses.add_document(document["losses"])
        self._unexpected.add(document["unexpected"])
        self._non_finite += document["non_finite"]

    def warnings(self) -> list[str]:
        """List the warnings, a sentence each."""
        warnings = self.texts.notes() + self._unexpected.warnings() + self.losses.describe(in_batches=True)
        if self._non_finite:
            warnings.append(
                f"In {self._non_finite} rows a prediction or probability is not a finite number; it is left empty."
            )
        return warnings


@dataclasses.dataclass
class AllObservations:
    """What was noticed of the rows of all versions, in the order of the plan."""

    versions: list[Observations]
    labels: list[str]

    def to_documents(self) -> list[dict[str, Any]]:
        """Describe what was noticed in JSON."""
        return [observed.to_document() for observed in self.versions]

    def add(self, documents: list[dict[str, Any]]) -> None:
        """Add what was noticed of later rows."""
        for observed, document in zip(self.versions, documents, strict=True):
            observed.add(document)

    def warnings(self) -> list[str]:
        """List the warnings; of several versions each says of which it is."""
        if len(self.versions) == 1:
            return self.versions[0].warnings()
        return [
            f"{label}: {warning}"
            for label, observed in zip(self.labels, self.versions, strict=True)
            for warning in observed.warnings()
        ]
