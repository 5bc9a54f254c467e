"""scikit-learn's KNNImputer with the names of columns that it forgets, and its SimpleImputer with exact integers."""

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn import impute

from shared.ml import integers


class KnnImputer(impute.KNNImputer):  # type: ignore[misc]  # scikit-learn has no types.
    """Names all columns, including those without any value, which scikit-learn keeps as zeros but doesn't name."""

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return the columns' names, which stay."""
        return np.asarray(self.feature_names_in_ if input_features is None else input_features, dtype=object)


class IntegerImputer(impute.SimpleImputer):  # type: ignore[misc]  # scikit-learn has no types.
    """Fills gaps with the most frequent value or a constant, and keeps integers exact that float64 would merge."""

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:  # noqa: N803  # scikit-learn's name.
        """Learn what to fill with, of exact columns the smallest of the most frequent integers."""
        super().fit(integers.to_floats(X), y)
        self.exact_ = {
            str(name): int(X[name].mode().iloc[0])
            for name in X.columns
            if self.strategy == "most_frequent" and integers.is_exact(X[name])
        }
        if isinstance(self.fill_value, int) and abs(self.fill_value) >= integers.LIMIT:
            self.exact_ = dict.fromkeys(map(str, X.columns), self.fill_value)
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:  # noqa: N803
        """Fill the gaps."""
        filled = pd.DataFrame(super().transform(integers.to_floats(X)), index=X.index, columns=X.columns)
        for position, name in enumerate(X.columns):
            fill = self.exact_.get(str(name), self.statistics_[position])
            if integers.is_exact(X[name]) or (str(name) in self.exact_ and X[name].isna().any()):
                numbers = integers.to_objects(X[name])
                numbers[X[name].isna().to_numpy()] = fill
                filled[name] = integers.from_objects(numbers, index=X.index)
        return filled

    def fit_transform(self, X: pd.DataFrame, y: Any = None, **options: Any) -> pd.DataFrame:  # noqa: ARG002, N803
        """Learn what to fill with, and fill."""
        return self.fit(X, y).transform(X)
