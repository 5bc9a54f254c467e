"""Measures the final model's clusters on all rows: the validation's figures are of other models on parts of them.

docs/decisions/models.md, "Clusters are measured on all rows too, beside the folds".
"""

from sklearn import pipeline

from shared.figures import curves
from shared.ml.metrics import clustering, drawing, measuring, undefined
from workers.training import models, tables
from workers.training.experiment import Experiment


def measure_all_rows(
    model: pipeline.Pipeline, table: tables.Table, *, experiment: Experiment
) -> curves.ClusteredRows | None:
    """Measure a model's clusters on the rows that it was fitted on; None for problems other than clustering."""
    if experiment.setup.problem != "clustering":
        return None
    predicted = models.predict_unseen(model, table.frame, experiment=experiment)
    with models.translate_errors(experiment.estimator.name):
        metrics = measuring.measure("clustering", truth=None, predicted=predicted)
    inside = int((predicted.prediction >= 0).sum())
    is_sample = inside > clustering.SILHOUETTE_ROWS
    has_silhouette = "silhouette" in metrics
    return curves.ClusteredRows(
        rows=len(table.frame),
        metrics=metrics,
        undefined=undefined.explain("clustering", metrics=metrics, truth=None, predicted=predicted, classes=None),
        silhouette_rows=min(inside, clustering.SILHOUETTE_ROWS) if has_silhouette else None,
        silhouette_seed=clustering.SILHOUETTE_SEED if has_silhouette and is_sample else None,
        clusters=drawing.count_clusters(predicted.prediction),
    )
