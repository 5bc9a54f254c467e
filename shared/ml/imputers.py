"""scikit-learn's KNNImputer, with the names of columns that it forgets."""

from typing import Any

import numpy as np
from sklearn import impute


class KnnImputer(impute.KNNImputer):  # type: ignore[misc]  # scikit-learn has no types.
    """Names all columns, including those without any value, which scikit-learn keeps as zeros but doesn't name."""

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return the columns' names, which stay."""
        return np.asarray(self.feature_names_in_ if input_features is None else input_features, dtype=object)
