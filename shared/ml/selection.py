"""Keeps the columns that tell most of the target; what is stored is only which ones."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn import ensemble, feature_selection

from shared.ml import targets_given, transformers

TREES = 100


class Selection(transformers.FrameTransformer):
    """Keeps the columns of the highest scores, in their order; of equal ones the first."""

    def __init__(self, keep: int = 10, seed: int = 0) -> None:
        """Take how many columns to keep, and the seed of what is left to chance."""
        self.keep = keep
        self.seed = seed

    def fit(self, frame: pd.DataFrame, y: Any = None) -> Self:
        """Score the columns."""
        super().fit(frame, y)
        scores = self.score(frame, targets_given.require(y, step="select_features"))
        best = np.argsort(-scores, kind="stable")[: self.keep]
        self.kept_ = np.isin(np.arange(len(scores)), best)
        return self

    def score(self, frame: pd.DataFrame, y: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Give each column's score."""
        raise NotImplementedError

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Leave the other columns out."""
        return frame.loc[:, self.kept_]

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Give the names that are kept."""
        return self.feature_names_in_[self.kept_]


class MutualInformation(Selection):
    """Scores columns by what each by itself tells of the target."""

    def score(self, frame: pd.DataFrame, y: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Estimate the mutual information of each column and the target, in nats."""
        is_number = targets_given.is_number(y)
        of = feature_selection.mutual_info_regression if is_number else feature_selection.mutual_info_classif
        return np.asarray(of(frame.to_numpy(), y, random_state=self.seed))


class Importance(Selection):
    """Scores columns by how much extremely randomized trees make of them."""

    def score(self, frame: pd.DataFrame, y: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Fit the trees, and give their mean decrease in impurity."""
        is_number = targets_given.is_number(y)
        trees = ensemble.ExtraTreesRegressor if is_number else ensemble.ExtraTreesClassifier
        fitted = trees(n_estimators=TREES, random_state=self.seed).fit(frame.to_numpy(), y)
        return np.asarray(fitted.feature_importances_)
