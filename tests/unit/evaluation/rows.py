"""Rows with a truth and what two models say of them."""

from typing import Any

import numpy as np

from shared.ml.metrics import measuring
from workers.evaluation import scored


def classified(*, rows: int = 400, noise: float = 1.0, seed: int = 0) -> scored.Scored:
    """Make labels of a binary problem and what a classifier says; less noise makes a better one."""
    dice = np.random.default_rng(7)
    signal = dice.normal(size=rows)
    truth = np.where(signal + dice.normal(scale=0.3, size=rows) > 0, "yes", "no").astype(object)
    chance = 1 / (1 + np.exp(-(signal + np.random.default_rng(seed).normal(scale=noise, size=rows))))
    made = measuring.Predictions(
        np.where(chance > 0.5, "yes", "no").astype(object), probability=np.column_stack([1 - chance, chance])
    )
    return scored.Scored("classification", truth=truth, made=made, classes=["no", "yes"])


def numbered(*, rows: int = 200, noise: float = 1.0) -> scored.Scored:
    """Make numbers and what a regressor says."""
    dice = np.random.default_rng(3)
    truth = dice.normal(size=rows)
    made = measuring.Predictions(truth + np.random.default_rng(5).normal(scale=noise, size=rows))
    return scored.Scored("regression", truth=truth, made=made)


def labelled(truth: list[Any], said: list[Any]) -> scored.Scored:
    """Make a classifier without probabilities of two classes, 0 and 1."""
    return scored.Scored(
        "classification", truth=np.array(truth), made=measuring.Predictions(np.array(said)), classes=[0, 1]
    )
