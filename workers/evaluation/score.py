"""Scores a model on a dataset that holds the truth, reading the dataset a part at a time."""

import dataclasses
from pathlib import Path
from typing import cast

import numpy as np

from shared import errors
from shared.ml import frames, inference, metrics, progress, signatures, surprises, targets


@dataclasses.dataclass(frozen=True)
class Scores:
    """Metrics by scikit-learn's names, over how many rows, and what looked wrong."""

    metrics: dict[str, float]
    rows: int
    skipped_rows: int
    warnings: list[str]


def score_model(
    model_path: Path,
    *,
    sha256: str,
    dataset: Path,
    signature: signatures.Signature,
    target: str,
    problem: str,
    progress: progress.Progress = progress.ignore,
) -> Scores:
    """Score a model on the rows whose target is known; BadDataError when the target can't serve as the truth."""
    model = inference.Model(model_path, sha256=sha256, signature=signature, problem=problem)
    truth, known = _read_truth(dataset, target=target, problem=problem, classes=model.classes)
    noticed = surprises.Surprises(signature)
    made, done = [], 0
    needed = signatures.column_names(signature)
    for frame in frames.iterate_frames(dataset, batch_rows=model.batch_rows, columns=needed):
        scored = frame[known[done : done + len(frame)]]
        done += len(frame)
        if len(scored):
            made.append(model.predict(scored))
            noticed.observe(scored)
        progress(done / len(known), f"{done} of {len(known)} rows predicted")
    found = metrics.score(
        cast(metrics.Problem, problem),
        truth=truth,
        prediction=np.concatenate([part.prediction for part in made]),
        probability=_joined([part.probability for part in made]),
        decision=_joined([part.decision for part in made]),
        classes=model.classes,
    )
    skipped = len(known) - len(truth)
    warnings = [f"{skipped} of {len(known)} rows have no target and were skipped."] if skipped else []
    return Scores(found, rows=len(truth), skipped_rows=skipped, warnings=warnings + noticed.warnings())


def _read_truth(
    dataset: Path, *, target: str, problem: str, classes: list[targets.Label] | None
) -> tuple[targets.Values, targets.Mask]:
    truth, known = targets.read_target(dataset, target=target, problem=problem)
    if not len(truth):
        raise errors.BadDataError(f"the target {target!r} has no value in any of the {len(known)} rows")
    if classes is not None:
        _require_classes(truth, target=target, classes=classes)
    return truth, known


def _require_classes(truth: targets.Values, *, target: str, classes: list[targets.Label]) -> None:
    present = targets.to_json(np.unique(truth))
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


def _joined(parts: list[targets.Values | None]) -> targets.Values | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if known else None
