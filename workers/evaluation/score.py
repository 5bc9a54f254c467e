"""Scores a model on a dataset that has the truth, reading the dataset batch by batch."""

import dataclasses
from pathlib import Path
from typing import Any, cast

import numpy as np

from shared import errors
from shared.ml import frames, inference, signatures, targets, unexpected_values
from shared.ml.metrics import measuring
from shared.progress import Progress, no_progress
from workers.evaluation import scored_rows


@dataclasses.dataclass(frozen=True)
class Scores:
    """A model's predictions with the truth, a mask of the dataset's rows that have one, and warnings."""

    scored_rows: scored_rows.ScoredRows
    has_truth: targets.Mask
    warnings: list[str]

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics, by scikit-learn's names."""
        return self.scored_rows.measure()

    @property
    def rows(self) -> int:
        """The number of rows that were scored."""
        return self.scored_rows.rows

    @property
    def skipped_rows(self) -> int:
        """The number of rows without a truth."""
        return int(np.sum(~self.has_truth))


def score_model(
    model_path: Path,
    *,
    sha256: str,
    dataset: Path,
    signature: signatures.Signature,
    target: str | None,
    problem: str,
    progress: Progress = no_progress,
) -> Scores:
    """Score a model on the rows whose target is known; BadDataError when the target can't serve as the truth.

    Clusters have no target, nor have labels that are columns of their own. For anomalies it may be left out, which
    leaves only the fraction of rows that are predicted anomalous as a metric.
    """
    model = inference.Model(model_path, sha256=sha256, signature=signature, problem=problem)
    truth, has_truth = _read_truth(dataset, target=target, model=model)
    unexpected = unexpected_values.UnexpectedValues(signature)
    predictions, done = [], 0
    needed = signatures.list_columns(signature)
    for frame in frames.iterate_frames(dataset, batch_rows=model.batch_rows, columns=needed):
        rows = frame[has_truth[done : done + len(frame)]]
        done += len(frame)
        if len(rows):
            predictions.append(model.predict(rows))
            unexpected.observe(rows)
        progress(done / len(has_truth), f"{done} of {len(has_truth)} rows predicted")
    result = scored_rows.ScoredRows(
        model.problem,
        truth=truth,
        predictions=measuring.Predictions.concatenate(predictions),
        classes=model.classes,
        levels=model.levels,
    )
    skipped = int(np.sum(~has_truth))
    warnings = [f"{skipped} of {len(has_truth)} rows have no target and were skipped."] if skipped else []
    return Scores(result, has_truth=has_truth, warnings=warnings + unexpected.warnings())


def _read_truth(
    dataset: Path, *, target: str | None, model: inference.Model
) -> tuple[targets.Values | None, targets.Mask]:
    """Read the truth of the rows that have one, and a mask of these rows."""
    if model.problem == "multilabel":
        return _read_labels(dataset, target=target, model=model)
    if target is None:
        rows = frames.count_rows(dataset)
        if not rows:
            raise errors.BadDataError("the dataset has no rows; there is nothing to score")
        return None, np.ones(rows, dtype=bool)
    truth, has_truth = targets.read_target(dataset, target=target, problem=model.problem)
    if not len(truth):
        raise errors.BadDataError(f"the target {target!r} has no value in any of the {len(has_truth)} rows")
    if model.classes is not None:
        _require_classes(truth, target=target, classes=model.classes)
    return truth, has_truth


def _read_labels(dataset: Path, *, target: str | None, model: inference.Model) -> tuple[targets.Values, targets.Mask]:
    signature = cast(dict[str, Any], model.signature)
    columns = signature.get("targets") or [target]
    truth, has_truth, _ = targets.to_label_sets(
        frames.read_table(dataset, columns=columns),
        columns=columns,
        separator=signature.get("separator"),
        labels=signature["classes"],
    )
    if not len(truth):
        raise errors.BadDataError(f"the targets {columns} have no value in any of the {len(has_truth)} rows")
    return truth, has_truth


def _require_classes(truth: targets.Values, *, target: str, classes: list[targets.Label]) -> None:
    present = targets.to_json(targets.encode(truth).labels)
    trained = [f"{label!r}" for label in classes]
    unseen = [f"{label!r}" for label in present if f"{label!r}" not in trained]
    if unseen:
        raise errors.BadDataError(
            f"the target {target!r} holds {', '.join(unseen[:10])}, which the model never saw; "
            f"it knows {', '.join(trained[:10])}"
        )
    if len(present) < 2:
        raise errors.BadDataError(
            f"the target {target!r} holds one class only, {present[0]!r}; a classifier is scored on at least two"
        )
