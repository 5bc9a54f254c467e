"""Applies a stored feature set to a dataset that it wasn't fitted on."""

import dataclasses
from pathlib import Path

from shared import contract
from shared.ml import frames, integer_texts, notices
from shared.ml.values import lost_values
from shared.progress import Progress, no_progress
from workers.processing import feature_set, history, reach


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
    earlier: history.History | None = None,
    batch_rows: int | None = None,
    progress: Progress = no_progress,
) -> AppliedFeatures:
    """Apply a feature set to a dataset and write the result, which has the same columns as when it was fitted.

    Steps that look at earlier rows see the rows of `earlier` before the dataset's own. BadDataError when a column that
    the recipe uses is missing or of another type; extra columns are left out and noted, and so are integers that are
    read as text. The target is passed on when the dataset has it.
    """
    fitted = feature_set.FeatureSet.load(transformer, sha256=sha256)
    return apply_fitted(
        fitted, dataset, output_path=output_path, earlier=earlier, batch_rows=batch_rows, progress=progress
    )


def apply_fitted(
    fitted: feature_set.FeatureSet,
    dataset: Path,
    *,
    output_path: Path,
    earlier: history.History | None = None,
    batch_rows: int | None = None,
    progress: Progress = no_progress,
) -> AppliedFeatures:
    """Apply a feature set that has been loaded; as `apply_features`."""
    present = frames.read_columns(dataset)
    texts = integer_texts.IntegerTexts(fitted.texts)
    past = _find_past(earlier, dataset, fitted)
    with lost_values.counted() as losses, notices.collect() as warnings:
        written = fitted.transform(
            dataset, output_path=output_path, texts=texts, past=past, batch_rows=batch_rows, progress=progress
        )
    notes = _write_notes(fitted, present) + texts.notes() + fitted.note_rounding(output_path) + warnings
    notes += [*losses.describe(in_batches=True), *(past.notes if past else [])]
    return AppliedFeatures(written.columns, written.rows, written.bytes, written.sha256, notes)


def _find_past(earlier: history.History | None, dataset: Path, fitted: feature_set.FeatureSet) -> history.Past | None:
    if earlier is None or fitted.prefix is None or not fitted.prefix.needs_whole_table:
        return None
    steps = reach.Reach.of(fitted.prefix.recipe, columns=fitted.prefix.columns)
    return history.Past(earlier, dataset, reach_back=steps, max_cells=feature_set.MAX_CELLS)


def _write_notes(fitted: feature_set.FeatureSet, present: list[contract.Column]) -> list[str]:
    used = {column.name for column in fitted.inputs} | ({fitted.target.name} if fitted.target else set())
    used.update(fitted.carried)
    extra = [repr(column.name) for column in present if column.name not in used]
    notes = [f"Left out, because the recipe doesn't use them: {', '.join(extra)}."] if extra else []
    if fitted.target and fitted.target.name not in {column.name for column in present}:
        notes.append(f"The target {fitted.target.name!r} is not in this dataset.")
    return notes
