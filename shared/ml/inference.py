"""Loads a fitted model and predicts frames of any size."""

from pathlib import Path
from typing import Any, cast

import pandas as pd

from shared import errors
from shared.ml import artifacts, integers, predictions, signatures, targets
from shared.ml.values import unusable_values

# Frames are cut so that no table that is made from one has many more cells than this (16 MiB of float64).
CELLS_PER_BATCH = 1 << 21
MAX_BATCH_ROWS = 1 << 16


class Model:
    """A stored model with its signature."""

    def __init__(self, path: Path, *, sha256: str, signature: signatures.Signature, problem: str) -> None:
        """Load the model; UnsafeArtifactError when its file isn't the one that was stored."""
        self._pipeline = artifacts.load(path, sha256=sha256)
        self.signature = signature
        self.problem = cast(predictions.Problem, problem)

    @property
    def pipeline(self) -> Any:
        """The fitted pipeline itself, for scikit-learn's tools; `predict` is what predicts."""
        return self._pipeline

    @property
    def onnx(self) -> bytes | None:
        """The bytes of a model that came as ONNX, with inputs and outputs as in exports; None for any other."""
        return getattr(self._pipeline[-1], "onnx_bytes", None)

    @property
    def classes(self) -> list[targets.Label] | None:
        """The labels in the order of the probabilities; None where there are none."""
        if self.problem == "multilabel":
            return cast(list[targets.Label], self.signature["classes"])
        return targets.to_json(self._pipeline.classes_) if self.problem == "classification" else None

    @property
    def levels(self) -> list[float]:
        """The quantiles that are predicted."""
        return cast(list[float], self.signature.get("quantiles", []))

    @property
    def has_probability(self) -> bool:
        """Whether the model predicts a probability for each class, label or cluster."""
        return self.problem in ("classification", "multilabel", "clustering") and hasattr(
            self._pipeline, "predict_proba"
        )

    @property
    def has_interval(self) -> bool:
        """Whether the model predicts an interval for each row."""
        return hasattr(self._pipeline[-1], "predict_interval")

    @property
    def clusters(self) -> int:
        """How many clusters have a probability."""
        return int(self._pipeline[-1].n_components) if self.problem == "clustering" and self.has_probability else 0

    @property
    def batch_rows(self) -> int:
        """How many rows to predict at a time."""
        features = int(getattr(self._pipeline[-1], "n_features_in_", 1))
        return compute_batch_rows(max(features, len(signatures.list_columns(self.signature)), len(self.classes or [])))

    def predict(self, frame: pd.DataFrame) -> predictions.Predictions:
        """Predict every row of a frame with at least the signature's columns; BadDataError when they don't fit."""
        conformed = signatures.conform(frame, signature=self.signature)
        try:
            with integers.ignore_rounding():
                return predictions.predict(self._pipeline, conformed, problem=self.problem)
        except ValueError as error:
            unusable = unusable_values.describe_in_prediction(self._pipeline, conformed, error)
            raise errors.BadDataError(
                f"this model {unusable}" if unusable else f"the model can't take this data: {error}"
            ) from error


def compute_batch_rows(width: int) -> int:
    """Compute how many rows of `width` columns to hold in memory at a time."""
    return max(1, min(MAX_BATCH_ROWS, CELLS_PER_BATCH // max(width, 1)))
