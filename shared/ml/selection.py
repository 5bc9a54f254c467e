"""Keeps the columns that are most informative of the target; only which ones is stored."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn import ensemble, feature_selection

from shared.ml import integers, step_targets, transformers

TREES = 100


class Selection(transformers.FrameTransformer):
    """Keeps the columns of the highest scores, in their order; of equal scores the first column."""

    def __init__(self, keep: int = 10, seed: int = 0) -> None:
        """Take how many columns to keep, and the seed of the scoring."""
        self.keep = keep
        self.seed = seed

    def fit(self, frame: pd.DataFrame, y: Any = None) -> Self:
        """Score the columns."""
        super().fit(frame, y)
        scores = self.score(frame, step_targets.require(y, step="select_features"))
        best = np.argsort(-scores, kind="stable")[: self.keep]
        self.kept_ = np.isin(np.arange(len(scores)), best)
        return self

    def score(self, frame: pd.DataFrame, y: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Compute each column's score."""
        raise NotImplementedError

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Drop the other columns."""
        return frame.loc[:, self.kept_]

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Return the names of the columns that are kept."""
        return self.feature_names_in_[self.kept_]


class MutualInformation(Selection):
    """Scores each column by its mutual information with the target."""

    def score(self, frame: pd.DataFrame, y: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Estimate the mutual information of each column and the target, in nats."""
        is_number = step_targets.is_number(y)
        estimate = feature_selection.mutual_info_regression if is_number else feature_selection.mutual_info_classif
        return np.asarray(estimate(integers.to_floats(frame).to_numpy(), y, random_state=self.seed))


class Importance(Selection):
    """Scores columns by their importance to extremely randomized trees."""

    def score(self, frame: pd.DataFrame, y: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Fit the trees, and return each column's mean decrease in impurity."""
        is_number = step_targets.is_number(y)
        estimator = ensemble.ExtraTreesRegressor if is_number else ensemble.ExtraTreesClassifier
        trees = estimator(n_estimators=TREES, random_state=self.seed).fit(integers.to_floats(frame).to_numpy(), y)
        return np.asarray(trees.feature_importances_)
