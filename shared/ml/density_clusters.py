"""DBSCAN with a prediction for new rows."""

from typing import Any, Self

import numpy as np
from sklearn import base, cluster, neighbors

from shared.ml import targets

Values = targets.Values


class DensityClusters(base.ClusterMixin, base.BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types.
    """DBSCAN in which a new row belongs to the cluster of its nearest core row if that is within `eps`.

    Each core row and each noise row that it was fitted on is predicted to have DBSCAN's own label; a border row between
    two clusters may get the nearer one. docs/decisions/models.md, "Clusterings that can't label new rows are refused".
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
        # scikit-learn documents that None means 2, but DBSCAN itself fails on None for the Minkowski metric.
        clusters = cluster.DBSCAN(**self.get_params() | {"p": self.p or 2}).fit(X, sample_weight=sample_weight)
        self.labels_ = clusters.labels_
        self.n_features_in_ = clusters.n_features_in_
        self.core_labels_ = clusters.labels_[clusters.core_sample_indices_]
        self.nearest_ = None
        if len(clusters.components_):
            params = {name: getattr(self, name) for name in ("metric", "algorithm", "leaf_size")}
            self.nearest_ = neighbors.NearestNeighbors(n_neighbors=1, p=self.p or 2, **params).fit(clusters.components_)
        return self

    def predict(self, X: Any) -> Values:  # noqa: N803
        """Predict each row's cluster, -1 for none."""
        if self.nearest_ is None:
            return np.full(len(X), -1, dtype=np.int64)
        distances, neighbours = self.nearest_.kneighbors(X)
        return np.where(distances[:, 0] <= self.eps, self.core_labels_[neighbours[:, 0]], -1).astype(np.int64)
