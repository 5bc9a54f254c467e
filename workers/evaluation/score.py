"""Scores a model on a dataset that holds the truth, reading the dataset a part at a time."""

import dataclasses
from pathlib import Path
from typing import Any, cast

import numpy as np

from shared import errors
from shared.ml import frames, inference, signatures, surprises, targets
from shared.ml.metrics import measuring
from shared.progress import Progress, no_progress
from workers.evaluation import scored


@dataclasses.dataclass(frozen=True)
class Scores:
    """A model's predictions beside the truth, which of the dataset's rows these are, and what looked wrong."""

    scored: scored.Scored
    known: targets.Mask
    warnings: list[str]

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics by scikit-learn's names."""
        return self.scored.measure()

    @property
    def rows(self) -> int:
        """How many rows were scored."""
        return self.scored.rows

    @property
    def skipped_rows(self) -> int:
        """How many rows have no truth."""
        return int(np.sum(~self.known))


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

    Clusters have no target, nor have labels that are columns of their own; for anomalies it may be left out, which
    leaves only the part of the rows that are called strange.
    """
    model = inference.Model(model_path, sha256=sha256, signature=signature, problem=problem)
    truth, known = _read_truth(dataset, target=target, model=model)
    noticed = surprises.Surprises(signature)
    made, done = [], 0
    needed = signatures.column_names(signature)
    for frame in frames.iterate_frames(dataset, batch_rows=model.batch_rows, columns=needed):
        rows = frame[known[done : done + len(frame)]]
        done += len(frame)
        if len(rows):
            made.append(model.predict(rows))
            noticed.observe(rows)
        progress(done / len(known), f"{done} of {len(known)} rows predicted")
    result = scored.Scored(
        model.problem,
        truth=truth,
        made=measuring.Predictions.joined(made),
        classes=model.classes,
        levels=model.levels,
    )
    skipped = int(np.sum(~known))
    warnings = [f"{skipped} of {len(known)} rows have no target and were skipped."] if skipped else []
    return Scores(result, known=known, warnings=warnings + noticed.warnings())


def _read_truth(
    dataset: Path, *, target: str | None, model: inference.Model
) -> tuple[targets.Values | None, targets.Mask]:
    """Give the truth of the rows where it is known, and which these are."""
    if model.problem == "multilabel":
        return _read_labels(dataset, target=target, model=model)
    if target is None:
        rows = frames.count_rows(dataset)
        if not rows:
            raise errors.BadDataError("the dataset has no rows; there is nothing to score")
        return None, np.ones(rows, dtype=bool)
    truth, known = targets.read_target(dataset, target=target, problem=model.problem)
    if not len(truth):
        raise errors.BadDataError(f"the target {target!r} has no value in any of the {len(known)} rows")
    if model.classes is not None:
        _require_classes(truth, target=target, classes=model.classes)
    return truth, known


def _read_labels(dataset: Path, *, target: str | None, model: inference.Model) -> tuple[targets.Values, targets.Mask]:
    signature = cast(dict[str, Any], model.signature)
    columns = signature.get("targets") or [target]
    truth, known, _ = targets.to_label_sets(
        frames.read_table(dataset, columns=columns),
        columns=columns,
        separator=signature.get("separator"),
        labels=signature["classes"],
    )
    if not len(truth):
        raise errors.BadDataError(f"the targets {columns} have no value in any of the {len(known)} rows")
    return truth, known


def _require_classes(truth: targets.Values, *, target: str, classes: list[targets.Label]) -> None:
    present = targets.to_json(targets.encode(truth).labels)
    known = [f"{label!r}" for label in classes]
    unseen = [f"{label!r}" for label in present if f"{label!r}" not in known]
    if unseen:
        raise errors.BadDataError(
            f"the target {target!r} holds {', '.join(unseen[:10])}, which the model never saw; "
            f"it knows {', '.join(known[:10])}"
        )
    if len(present) < 2:
        raise errors.BadDataError(
            f"the target {target!r} holds one class only, {present[0]!r}; a classifier is scored on two at least"
        )
