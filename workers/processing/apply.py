"""Applies a stored feature set to a dataset that it wasn't fitted on."""

import dataclasses
from pathlib import Path

from shared import contract
from shared.ml import frames
from shared.progress import Progress, no_progress
from workers.processing import feature_set


@dataclasses.dataclass(frozen=True)
class AppliedFeatures:
    """The file that was written, and what was noticed."""

    columns: list[contract.Column]
    rows: int
    bytes: int
    sha256: str
    notes: list[str]


def apply_features(
    dataset: Path,
    *,
    transformer: Path,
    sha256: str,
    output_path: Path,
    batch_rows: int | None = None,
    progress: Progress = no_progress,
) -> AppliedFeatures:
    """Apply a feature set to a dataset and write the result, which has the same columns as when it was fitted.

    BadDataError when a column that the recipe uses is missing or of another type; extra columns are left out and
    noted. The target is passed on when the dataset has it.
    """
    fitted = feature_set.FeatureSet.load(transformer, sha256=sha256)
    present = frames.read_columns(dataset)
    written = fitted.transform(dataset, output_path=output_path, batch_rows=batch_rows, progress=progress)
    notes = _write_notes(fitted, present) + fitted.note_rounding(output_path)
    return AppliedFeatures(written.columns, written.rows, written.bytes, written.sha256, notes)


def _write_notes(fitted: feature_set.FeatureSet, present: list[contract.Column]) -> list[str]:
    used = {column.name for column in fitted.inputs} | ({fitted.target.name} if fitted.target else set())
    extra = [repr(column.name) for column in present if column.name not in used]
    notes = [f"Left out, because the recipe doesn't use them: {', '.join(extra)}."] if extra else []
    if fitted.target and fitted.target.name not in {column.name for column in present}:
        notes.append(f"The target {fitted.target.name!r} is not in this dataset.")
    return notes
