"""An imputer that scikit-learn has, but for one fault."""

from typing import Any

import numpy as np
from sklearn import impute


class KnnImputer(impute.KNNImputer):  # type: ignore[misc]  # scikit-learn has no types.
    """Keeps columns without any value, as zeros, and also names them, which scikit-learn's own forgets."""

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Name the columns as they were."""
        return np.asarray(self.feature_names_in_ if input_features is None else input_features, dtype=object)
