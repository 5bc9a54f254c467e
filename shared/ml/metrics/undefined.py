"""Explains why a metric has no value on some rows, because a mean that silently leaves folds out misleads."""

from collections.abc import Mapping, Sequence

import numpy as np

from shared import scoring
from shared.ml import predictions, targets
from shared.ml.metrics import clustering

Values = targets.Values
RANKINGS = frozenset({"roc_auc", "roc_auc_ovr_weighted", "average_precision"})
LABEL_RANKINGS = frozenset({"roc_auc_macro", "average_precision_macro"})
RELATIVE_TO_SPREAD = frozenset({"r2", "explained_variance"})


def explain(
    problem: predictions.Problem,
    *,
    metrics: Mapping[str, float],
    truth: Values | None,
    predicted: predictions.Predictions,
    classes: Sequence[targets.Label] | None,
    positive: targets.Label | None = None,
) -> dict[str, str]:
    """Explain which of the problem's metrics are missing among the measured ones although their predictions are there.

    Returns reasons by metric. `classes` are those that the model knows, for multilabel the labels; `positive` is one of
    two, the last when left out.
    """
    known = list(classes or [])
    reasons: dict[str, str] = {}
    for name in scoring.METRICS[problem]:
        reason = (
            None if name in metrics else _explain(name, problem, truth, predicted, classes=known, positive=positive)
        )
        if reason is not None:
            reasons[name] = reason
    return reasons


def _explain(
    name: str,
    problem: predictions.Problem,
    truth: Values | None,
    predicted: predictions.Predictions,
    *,
    classes: list[targets.Label],
    positive: targets.Label | None,
) -> str | None:
    if problem == "clustering":
        inside, rows = predicted.prediction[predicted.prediction >= 0], len(predicted.prediction)
        clusters = len(np.unique(inside))
        if name == "silhouette" and 2 <= clusters < len(inside):
            return f"{clustering.SILHOUETTE_ROWS:,} of {len(inside):,} rows are compared, and these are of one cluster"
        return f"{rows} rows in {clusters} {'cluster' if clusters == 1 else 'clusters'} can't be compared"
    if truth is None:
        return None
    match problem:
        case "regression" | "quantile":
            return _explain_numbers(name, truth)
        case "classification":
            return _explain_classes(name, truth, predicted, classes, positive=positive)
        case "multilabel":
            return (
                _explain_labels(truth, classes)
                if name in LABEL_RANKINGS and predicted.probability is not None
                else None
            )
    known = truth[truth >= 0]
    if not len(known):
        return "it is not known of any row whether it is anomalous"
    return f"{'every' if known[0] == 1 else 'no'} row is anomalous" if len(np.unique(known)) == 1 else None


def _explain_numbers(name: str, truth: Values) -> str | None:
    if name in RELATIVE_TO_SPREAD and np.ptp(truth) == 0:
        return "there is one row only" if len(truth) == 1 else f"the target is {truth[0]:g} in every row"
    if name == "mean_absolute_percentage_error":
        return f"the target is 0 in {int(np.sum(truth == 0))} of {len(truth)} rows"
    return None


def _explain_classes(
    name: str,
    truth: Values,
    predicted: predictions.Predictions,
    classes: list[targets.Label],
    *,
    positive: targets.Label | None,
) -> str | None:
    is_binary, has_scores = len(classes) == 2, predicted.probability is not None or predicted.decision is not None
    if name == "recall" and is_binary:
        return f"no row is of class {targets.format_label(classes[1] if positive is None else positive)!r}"
    if name == "log_loss" and predicted.probability is not None:
        unseen = [label for label in _list_present(truth) if label not in classes]
        return f"no row of class {targets.format_label(unseen[0])!r} was fitted on" if unseen else None
    # Not all of these metrics are measured of two classes, nor of more.
    measured = RANKINGS - {"roc_auc_ovr_weighted" if is_binary else "average_precision"}
    if has_scores and name in measured:
        present = _list_present(truth)
        return f"every row is of class {targets.format_label(present[0])!r}" if len(present) == 1 else None
    return None


def _list_present(truth: Values) -> list[targets.Label]:
    return targets.to_json(targets.encode(truth).labels)


def _explain_labels(truth: Values, labels: list[targets.Label]) -> str | None:
    for label, column in zip(labels, truth.T, strict=True):
        if np.ptp(column) == 0:
            return f"{'every' if column[0] == 1 else 'no'} row has the label {targets.format_label(label)!r}"
    return None
