"""Which metrics each problem has, and whether greater or smaller values are better: plain data, for the API too."""

from collections.abc import Mapping

GREATEST, LEAST = True, False
_LABELS = {
    "accuracy": GREATEST,
    "balanced_accuracy": GREATEST,
    "f1_macro": GREATEST,
    "f1_weighted": GREATEST,
    "matthews_corrcoef": GREATEST,
    "f1": GREATEST,
    "precision": GREATEST,
    "recall": GREATEST,
    "roc_auc": GREATEST,
    "roc_auc_ovr_weighted": GREATEST,
    "average_precision": GREATEST,
    "log_loss": LEAST,
}
_NUMBERS = {
    "r2": GREATEST,
    "explained_variance": GREATEST,
    "mean_absolute_error": LEAST,
    "median_absolute_error": LEAST,
    "root_mean_squared_error": LEAST,
    "max_error": LEAST,
    "mean_absolute_percentage_error": LEAST,
}
_MANY_LABELS = {
    "f1_macro": GREATEST,
    "f1_micro": GREATEST,
    "f1_samples": GREATEST,
    "jaccard_samples": GREATEST,
    "precision_micro": GREATEST,
    "recall_micro": GREATEST,
    "accuracy": GREATEST,
    "hamming_loss": LEAST,
    "roc_auc_macro": GREATEST,
    "average_precision_macro": GREATEST,
}
_CLUSTERS = {"silhouette": GREATEST, "calinski_harabasz": GREATEST, "davies_bouldin": LEAST}
_ANOMALIES = dict.fromkeys(("roc_auc", "average_precision", "f1", "precision", "recall"), GREATEST)
# Each problem's default metric comes first. Values that only describe, such as how many rows are anomalous, are missing
# here, because models are not ranked by them.
METRICS: Mapping[str, Mapping[str, bool]] = {
    "classification": {"roc_auc": GREATEST, **_LABELS},
    "multilabel": _MANY_LABELS,
    "regression": _NUMBERS,
    "quantile": {"mean_pinball_loss": LEAST, **_NUMBERS},
    "clustering": _CLUSTERS,
    "anomaly": _ANOMALIES,
}


def default_metric(problem: str) -> str:
    """Return the metric by which a problem's models are ranked if none is chosen."""
    return next(iter(METRICS[problem]))


def greater_is_better(metric: str, *, problem: str) -> bool:
    """Return whether greater values are better."""
    return METRICS[problem][metric]


def require_metric(metric: str, *, problem: str) -> None:
    """Raise ValueError for a metric that the problem doesn't have; its message lists those that it has."""
    if metric not in METRICS[problem]:
        raise ValueError(f"{problem} has no metric {metric[:100]!r}; these are: {', '.join(METRICS[problem])}")
