"""Clusters of any shape that take in new rows."""

from typing import Any, Self

import numpy as np
from sklearn import base, cluster, neighbors

from shared.ml import targets

Values = targets.Values


class DensityClusters(base.ClusterMixin, base.BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types.
    """DBSCAN, with which a new row belongs to the cluster of its nearest core row if that is within `eps`.

    Each core row and each row of noise that it was fitted on gets DBSCAN's own label again; a border row between two
    clusters may get the nearer one.
    """

    def __init__(
        self,
        eps: float = 0.5,
        min_samples: int = 5,
        metric: str = "euclidean",
        algorithm: str = "auto",
        leaf_size: int = 30,
        p: float | None = None,
    ) -> None:
        """Take DBSCAN's parameters."""
        self.eps = eps
        self.min_samples = min_samples
        self.metric = metric
        self.algorithm = algorithm
        self.leaf_size = leaf_size
        self.p = p

    def fit(self, X: Any, y: Any = None, sample_weight: Values | None = None) -> Self:  # noqa: ARG002, N803
        """Find the clusters, and keep their core rows."""
        # None stands for 2, as scikit-learn says of it, though only here it works.
        found = cluster.DBSCAN(**self.get_params() | {"p": self.p or 2}).fit(X, sample_weight=sample_weight)
        self.labels_ = found.labels_
        self.n_features_in_ = found.n_features_in_
        self.core_labels_ = found.labels_[found.core_sample_indices_]
        self.nearest_ = None
        if len(found.components_):
            shared = {name: getattr(self, name) for name in ("metric", "algorithm", "leaf_size")}
            self.nearest_ = neighbors.NearestNeighbors(n_neighbors=1, p=self.p or 2, **shared).fit(found.components_)
        return self

    def predict(self, X: Any) -> Values:  # noqa: N803
        """Give each row's cluster, -1 for none."""
        if self.nearest_ is None:
            return np.full(len(X), -1, dtype=np.int64)
        distances, places = self.nearest_.kneighbors(X)
        return np.where(distances[:, 0] <= self.eps, self.core_labels_[places[:, 0]], -1).astype(np.int64)
