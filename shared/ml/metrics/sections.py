"""Draws all curves and tables that a problem has, for training and for evaluations alike, capped in size.

docs/decisions/evaluation.md, "An evaluation draws what training draws, by the same code".
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, cast

from pydantic import JsonValue

from shared.figures import curves
from shared.ml import predictions, targets
from shared.ml.metrics import drawing

Values = targets.Values
Sections = dict[str, Any]
"""Parts of the details of a version or an evaluation, by the names of the document's fields."""
# The order in which sections are left out when the details would be too large.
LARGEST_FIRST = ("shap", "partial_dependence", "roc", "precision_recall", "confusion", "clusters", "labels")


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """Predictions of rows that the model wasn't fitted on, with the rows' true values; in training out of fold.

    `truth` is None for clusters, and for anomalies without a target; with one, -1 marks a row whose truth is unknown.
    """

    problem: predictions.Problem
    truth: Values | None
    predicted: predictions.Predictions
    classes: Sequence[targets.Label] | None = None
    positive: targets.Label | None = None
    levels: Sequence[float] = ()
    weights: Values | None = None


def draw(held_out: HeldOut) -> Sections:
    """Draw the curves and tables that a problem has."""
    predicted, truth = held_out.predicted, held_out.truth
    match held_out.problem:
        case "classification":
            return _draw_classification(held_out)
        case "multilabel":
            return _draw_multilabel(held_out)
        case "clustering":
            return {"clusters": drawing.count_clusters(predicted.prediction)}
        case "anomaly":
            return _draw_anomaly(held_out)
        case _:
            sections: Sections = {"residuals": drawing.summarize_residuals(cast(Values, truth), predicted.prediction)}
            if predicted.quantiles is not None and truth is not None:
                sections["quantiles"] = drawing.check_quantiles(truth, predicted.quantiles, quantiles=held_out.levels)
            return sections


def _draw_classification(held_out: HeldOut) -> Sections:
    predicted, truth, classes = held_out.predicted, cast(Values, held_out.truth), held_out.classes or []
    class_scores = drawing.select_class_scores(
        truth,
        classes=classes,
        probability=predicted.probability,
        decision=predicted.decision,
        positive=held_out.positive,
        weights=held_out.weights,
    )
    confusion = drawing.compute_confusion(truth, predicted.prediction, classes=classes, weights=held_out.weights)
    return {"confusion": confusion, **_draw_score_curves(class_scores)}


def _draw_multilabel(held_out: HeldOut) -> Sections:
    predicted, truth, labels = held_out.predicted, cast(Values, held_out.truth), list(held_out.classes or [])
    counts = drawing.count_labels(truth, predicted.prediction, labels=labels, weights=held_out.weights)
    if predicted.probability is None:
        return {"labels": counts}
    class_scores = [
        drawing.ClassScores(
            label, truth[:, index] == 1, predicted.probability[:, index], held_out.weights, is_probability=True
        )
        for index, label in enumerate(labels[: curves.MAX_CURVES])
    ]
    return {"labels": counts, **_draw_score_curves(class_scores)}


def _draw_anomaly(held_out: HeldOut) -> Sections:
    scores, truth = cast(Values, held_out.predicted.decision), held_out.truth
    sections: Sections = {"scores": drawing.summarize_scores(scores)}
    if truth is None:
        return sections
    has_truth = truth >= 0
    weights = None if held_out.weights is None else held_out.weights[has_truth]
    return sections | _draw_score_curves(
        [drawing.ClassScores(label=True, positive=truth[has_truth] == 1, scores=scores[has_truth], weights=weights)]
    )


def _draw_score_curves(class_scores: list[drawing.ClassScores]) -> Sections:
    defined = [scored for scored in class_scores if scored.has_both]
    sections: Sections = {}
    if defined:
        sections["roc"] = [drawing.compute_roc(scored) for scored in defined]
        sections["precision_recall"] = [drawing.compute_precision_recall(scored) for scored in defined]
    if any(scored.is_probability for scored in defined):
        sections["calibration_curve"] = [drawing.compute_calibration_curve(scored) for scored in defined]
    return sections


def cap_size(sections: Sections, *, document: type[curves.Curves]) -> dict[str, JsonValue]:
    """Convert the sections to JSON; while they are larger than a mebibyte, the largest are left out and named."""
    kept = dict(sections)
    for name in (None, *LARGEST_FIRST):
        if name is not None and kept.pop(name, None) is None:
            continue
        left_out = [
            f"{dropped}: the details would be more than {curves.MAX_BYTES:,} bytes"
            for dropped in sections.keys() - kept
        ]
        capped = document.model_validate({**kept, "left_out": sorted(left_out)})
        if len(capped.model_dump_json(exclude_none=True)) <= curves.MAX_BYTES:
            break
    return cast(dict[str, JsonValue], capped.model_dump(mode="json", exclude_none=True, exclude_defaults=True))
