"""Metrics of clusters without a truth: how close rows are to their own cluster and how far from the others."""

import numpy as np
from sklearn import metrics

from shared.ml import targets

Values = targets.Values
# The silhouette compares all pairs of rows, so it looks at a sample.
SILHOUETTE_ROWS = 4_000


def of_clusters(features: Values, labels: Values) -> dict[str, float]:
    """Score (rows, features) and each row's cluster; rows of no cluster (-1) are counted and left out."""
    inside = labels >= 0
    features, labels = features[inside], labels[inside]
    found = {"clusters": float(len(np.unique(labels))), "noise_fraction": float(1 - np.mean(inside))}
    # A single cluster has no other to be compared with, and rows that are all alone have no cluster.
    if not 2 <= found["clusters"] < len(labels):
        return found
    found["davies_bouldin"] = metrics.davies_bouldin_score(features, labels)
    found["calinski_harabasz"] = metrics.calinski_harabasz_score(features, labels)
    sample = SILHOUETTE_ROWS if len(labels) > SILHOUETTE_ROWS else None
    try:
        found["silhouette"] = metrics.silhouette_score(features, labels, sample_size=sample, random_state=0)
    except ValueError:
        # The sample may have met one cluster only; the metric is then undefined, as others are for other reasons.
        return found
    return found
