"""Metrics of clusters without a truth: how close rows are to their own cluster and how far from the others."""

import numpy as np
from sklearn import metrics

from shared.ml import targets

Values = targets.Values
# The silhouette compares all pairs of rows, so it looks at a sample.
SILHOUETTE_ROWS = 4_000
SILHOUETTE_SEED = 0


def measure_clusters(features: Values, labels: Values) -> dict[str, float]:
    """Measure the clusters (`labels`) of (rows, features); rows in no cluster (-1) are counted and left out."""
    inside = labels >= 0
    features, labels = features[inside], labels[inside]
    results = {"clusters": float(len(np.unique(labels))), "noise_fraction": float(1 - np.mean(inside))}
    # A single cluster can't be compared with another, and neither can clusters of one row each.
    if not 2 <= results["clusters"] < len(labels):
        return results
    results["davies_bouldin"] = metrics.davies_bouldin_score(features, labels)
    results["calinski_harabasz"] = metrics.calinski_harabasz_score(features, labels)
    sample = SILHOUETTE_ROWS if len(labels) > SILHOUETTE_ROWS else None
    try:
        results["silhouette"] = metrics.silhouette_score(
            features, labels, sample_size=sample, random_state=SILHOUETTE_SEED
        )
    except ValueError:
        # The sample may be of one cluster only; the metric is then undefined, and left out.
        return results
    return results
