"""Clusters of the final model are measured on all rows, by scikit-learn's formulas, beside those of the folds."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import cluster, datasets, metrics, preprocessing

from shared.figures import curves
from shared.ml.metrics import clustering, undefined
from shared.ml.predictions import Predictions
from shared.recipe.language import Recipe
from shared.recipe.numbers import Scale
from shared.training.validations import HoldOut
from tests.unit.training import tables
from workers.training import fit

pytestmark = pytest.mark.slow

SCALED = Recipe(steps=[Scale(op="scale", columns=["a", "b"])])
VALIDATION = HoldOut(method="hold_out", test_fraction=0.4)


def blobs(*, rows: int = 200, noise: int = 0) -> pd.DataFrame:
    """Make rows in three heaps of different sizes, and some far from all."""
    sizes = [rows // 2, rows // 3, rows - rows // 2 - rows // 3]
    points, _ = datasets.make_blobs(sizes, centers=[[0, 0], [6, 0], [0, 6]], cluster_std=0.6, random_state=1)
    far = np.random.default_rng(2).uniform(20, 90, size=(noise, 2))
    return pd.DataFrame(np.vstack([points, far]), columns=["a", "b"]).sample(frac=1, random_state=3)


def train(frame: pd.DataFrame, folder: Path, *, name: str, **params: Any) -> fit.TrainedArtifact:
    """Train a clustering."""
    return tables.train(
        frame, folder, name=name, params=params, problem="clustering", wanted=SCALED, validation=VALIDATION
    )


def all_rows_of(trained: fit.TrainedArtifact) -> curves.ClusteredRows:
    """Return what is told of all rows."""
    return curves.ClusteredRows.model_validate(trained.details["all_rows"])


def test_they_are_scikit_learns_on_every_row_and_apart_from_the_folds(tmp_path: Path) -> None:
    frame = blobs()
    trained = train(frame, tmp_path, name="KMeans", n_clusters=3)
    found = all_rows_of(trained)
    features = preprocessing.StandardScaler().fit_transform(frame)
    labels = cluster.KMeans(3, random_state=0).fit_predict(features)
    assert found.metrics == pytest.approx(
        {
            "silhouette": metrics.silhouette_score(features, labels),
            "davies_bouldin": metrics.davies_bouldin_score(features, labels),
            "calinski_harabasz": metrics.calinski_harabasz_score(features, labels),
            "clusters": 3,
            "noise_fraction": 0,
        },
        rel=1e-9,
    )
    assert (found.rows, found.silhouette_rows, found.silhouette_seed, found.undefined) == (200, 200, None, {})
    assert {one.cluster: one.rows for one in found.clusters} == dict(enumerate(np.bincount(labels).tolist()))
    held_out: Any = trained.details["clusters"]
    assert sum(one["rows"] for one in held_out) == 80
    [silhouette] = trained.metrics["silhouette"].folds
    assert silhouette is not None
    assert not math.isclose(silhouette, found.metrics["silhouette"], rel_tol=1e-6)


def test_rows_of_no_cluster_are_counted_and_left_out_of_the_metrics(tmp_path: Path) -> None:
    frame = blobs(noise=20)
    found = all_rows_of(train(frame, tmp_path, name="DBSCAN", eps=0.08))
    features = preprocessing.StandardScaler().fit_transform(frame)
    labels = cluster.DBSCAN(eps=0.08).fit_predict(features)
    inside = labels >= 0
    assert found.metrics["noise_fraction"] == pytest.approx(np.mean(~inside))
    assert not inside.all()
    assert (found.rows, found.silhouette_rows) == (220, int(inside.sum()))
    assert found.metrics["silhouette"] == pytest.approx(metrics.silhouette_score(features[inside], labels[inside]))
    assert {one.cluster: one.rows for one in found.clusters} == {
        int(label): int(np.sum(labels == label)) for label in np.unique(labels)
    }


def test_the_silhouette_of_many_rows_is_a_sample_that_is_told_of(tmp_path: Path) -> None:
    frame = blobs(rows=4_500)
    found = all_rows_of(train(frame, tmp_path, name="KMeans", n_clusters=3))
    features = preprocessing.StandardScaler().fit_transform(frame)
    labels = cluster.KMeans(3, random_state=0).fit_predict(features)
    assert (found.rows, found.silhouette_rows, found.silhouette_seed) == (4_500, clustering.SILHOUETTE_ROWS, 0)
    assert found.metrics["silhouette"] == pytest.approx(
        metrics.silhouette_score(features, labels, sample_size=found.silhouette_rows, random_state=0)
    )
    assert found.metrics["davies_bouldin"] == pytest.approx(metrics.davies_bouldin_score(features, labels))


def test_a_single_cluster_says_why_it_has_no_metrics(tmp_path: Path) -> None:
    found = all_rows_of(train(blobs(rows=60), tmp_path, name="DBSCAN", eps=50.0))
    assert found.metrics == {"clusters": 1, "noise_fraction": 0}
    assert set(found.undefined) == {"silhouette", "davies_bouldin", "calinski_harabasz"}
    assert found.undefined["silhouette"] == "60 rows in 1 cluster can't be compared"
    assert (found.silhouette_rows, found.silhouette_seed) == (None, None)
    assert [(one.cluster, one.rows) for one in found.clusters] == [(0, 60)]


def test_a_sample_of_one_cluster_is_told_of() -> None:
    predicted = Predictions(np.array([0] * 5_000 + [1]), features=np.zeros((5_001, 1)))
    told = undefined.explain(
        "clustering", metrics={"davies_bouldin": 1.0, "calinski_harabasz": 1.0}, truth=None, predicted=predicted,
        classes=None,
    )  # fmt: skip
    assert told == {"silhouette": "4,000 of 5,001 rows are compared, and these are of one cluster"}


def test_other_problems_have_no_clusters(tmp_path: Path) -> None:
    frame = tables.small(rows=80)[["size", "amount"]]
    assert "all_rows" not in tables.train(frame, tmp_path, name="Ridge", target="amount", problem="regression").details
