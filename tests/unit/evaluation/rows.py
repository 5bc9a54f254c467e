"""Rows with a truth, and the predictions of models for them."""

from typing import Any

import numpy as np

from shared.ml.metrics import measuring
from workers.evaluation import scored_rows


def classified(*, rows: int = 400, noise: float = 1.0, seed: int = 0) -> scored_rows.ScoredRows:
    """Make labels of a binary problem and a classifier's predictions; less noise makes a better classifier."""
    generator = np.random.default_rng(7)
    signal = generator.normal(size=rows)
    truth = np.where(signal + generator.normal(scale=0.3, size=rows) > 0, "yes", "no").astype(object)
    chance = 1 / (1 + np.exp(-(signal + np.random.default_rng(seed).normal(scale=noise, size=rows))))
    predictions = measuring.Predictions(
        np.where(chance > 0.5, "yes", "no").astype(object), probability=np.column_stack([1 - chance, chance])
    )
    return scored_rows.ScoredRows("classification", truth=truth, predictions=predictions, classes=["no", "yes"])


def numbered(*, rows: int = 200, noise: float = 1.0) -> scored_rows.ScoredRows:
    """Make numbers and a regressor's predictions."""
    generator = np.random.default_rng(3)
    truth = generator.normal(size=rows)
    predictions = measuring.Predictions(truth + np.random.default_rng(5).normal(scale=noise, size=rows))
    return scored_rows.ScoredRows("regression", truth=truth, predictions=predictions)


def labelled(truth: list[Any], predicted: list[Any]) -> scored_rows.ScoredRows:
    """Make the predictions of a classifier of two classes, 0 and 1, without probabilities."""
    return scored_rows.ScoredRows(
        "classification", truth=np.array(truth), predictions=measuring.Predictions(np.array(predicted)), classes=[0, 1]
    )
