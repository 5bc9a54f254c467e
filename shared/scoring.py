"""Which metrics each problem has, and whether greater or smaller values are better: plain data, for the API too.

Besides these a classification has `precision_<class>`, `recall_<class>` and `f1_<class>` for each of its classes.
"""

import math
from collections.abc import Iterable, Mapping

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

OF_POSITIVE = ("precision", "recall", "f1", "average_precision")
"""The metrics that are another number when the other one of two classes is positive."""
OF_CLASSES = ("precision", "recall", "f1")
"""The metrics that a classification also has for each class, with the class in their names."""


def name_for_class(metric: str, label: str) -> str:
    """Name a metric of one class, such as `recall_fraud`."""
    return f"{metric}_{label}"


def is_for_class(metric: str, *, problem: str) -> bool:
    """Return whether a metric is, by its name, that of one class of a classification."""
    begins = any(metric.startswith(name_for_class(name, "")) for name in OF_CLASSES)
    return problem == "classification" and begins and metric not in METRICS[problem]


def list_metrics(problem: str, *, classes: Iterable[str] = ()) -> list[str]:
    """List the metrics of a problem, those of these classes last."""
    named = [name_for_class(name, label) for label in classes for name in OF_CLASSES]
    return [*dict.fromkeys([*METRICS[problem], *(named if problem == "classification" else [])])]


def default_metric(problem: str) -> str:
    """Return the metric by which a problem's models are ranked if none is chosen."""
    return next(iter(METRICS[problem]))


def greater_is_better(metric: str, *, problem: str) -> bool:
    """Return whether greater values are better."""
    return GREATEST if is_for_class(metric, problem=problem) else METRICS[problem][metric]


def require_metric(metric: str, *, problem: str) -> None:
    """Raise ValueError for a metric that the problem doesn't have; its message lists those that it has.

    Whether there is a class of that name, as in `recall_fraud`, is known with the data only.
    """
    if metric not in METRICS[problem] and not is_for_class(metric, problem=problem):
        raise ValueError(f"{problem} has no metric {metric[:100]!r}; these are: {', '.join(METRICS[problem])}")


def choose_metric(metrics: Mapping[str, float], *, problem: str) -> str:
    """Choose the metric that explanations use: the problem's default one, or the next that could be computed."""
    return next((name for name in METRICS[problem] if name in metrics), default_metric(problem))


def to_gain(metric: str, metrics: Mapping[str, float], *, problem: str) -> float:
    """Return a metric such that more is better, with errors negated; NaN when it is undefined on these rows."""
    value = metrics.get(metric, math.nan)
    return value if greater_is_better(metric, problem=problem) else -value
