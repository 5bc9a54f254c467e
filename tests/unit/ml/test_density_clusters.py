"""DBSCAN's own labels come back for the rows that it was fitted on, and new rows join the nearest core."""

from typing import Any

import numpy as np
import pytest
from sklearn import cluster

from shared.ml import density_clusters

random = np.random.default_rng(0)
X = np.concatenate([random.normal(size=(60, 2)) * 0.3 + place for place in ([0, 0], [4, 4], [0, 5])] + [[[20.0, 20.0]]])


@pytest.mark.parametrize(
    "given",
    [{}, {"metric": "manhattan"}, {"metric": "minkowski"}, {"metric": "minkowski", "p": 1.0}, {"algorithm": "brute"}],
)
def test_core_rows_and_noise_keep_their_labels(given: dict[str, Any]) -> None:
    made = density_clusters.DensityClusters(eps=0.5, min_samples=4, **given).fit(X)
    direct = cluster.DBSCAN(eps=0.5, min_samples=4, **({"p": 2} | given)).fit(X)
    np.testing.assert_array_equal(made.labels_, direct.labels_)
    said = made.predict(X)
    settled = np.isin(np.arange(len(X)), direct.core_sample_indices_) | (direct.labels_ == -1)
    assert settled.sum() > 100
    np.testing.assert_array_equal(said[settled], direct.labels_[settled])
    assert set(said[~settled]) <= set(direct.labels_)


def test_new_rows_join_the_cluster_that_they_are_close_to() -> None:
    made = density_clusters.DensityClusters(eps=0.5, min_samples=4).fit(X)
    near = made.predict([[0.0, 0.1], [4.1, 4.0], [0.0, 5.1], [10.0, -10.0]])
    assert near.tolist() == [made.labels_[0], made.labels_[60], made.labels_[120], -1]


def test_without_a_core_everything_is_noise() -> None:
    made = density_clusters.DensityClusters(eps=0.001).fit(X)
    assert made.predict(X[:3]).tolist() == [-1, -1, -1]


def test_weights_make_cores() -> None:
    few = np.array([[0.0, 0.0], [0.1, 0.0], [9.0, 9.0]])
    assert density_clusters.DensityClusters(min_samples=3).fit(few).predict(few).tolist() == [-1, -1, -1]
    heavy = density_clusters.DensityClusters(min_samples=3).fit(few, sample_weight=np.array([2, 2, 1]))
    assert heavy.predict(few).tolist() == [0, 0, -1]
