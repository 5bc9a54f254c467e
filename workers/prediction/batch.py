"""Predicts every row of a dataset, Parquet to Parquet, batch by batch."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa

from shared import contract, errors
from shared.ml import frames, inference, predictions, signatures, unexpected_values
from shared.progress import Progress, no_progress
from workers.prediction import columns


@dataclasses.dataclass(frozen=True)
class PredictedBatch:
    """The file that was written, and the warnings."""

    columns: list[contract.Column]
    rows: int
    bytes: int
    sha256: str
    warnings: list[str]


def predict_batch(
    model_path: Path,
    *,
    sha256: str,
    dataset: Path,
    signature: signatures.Signature,
    problem: str,
    output_path: Path,
    prefix: str = "",
    batch_rows: int | None = None,
    progress: Progress = no_progress,
) -> PredictedBatch:
    """Write the dataset's columns unchanged, then the predictions: `prediction`, and others by the model's problem.

    BadDataError when the dataset lacks a column that the model needs, has one of another type, or already has one of
    the names to be added. Categories unseen in training are no error; warnings count them.
    """
    model = inference.Model(model_path, sha256=sha256, signature=signature, problem=problem)
    present = frames.read_columns(dataset)
    added = columns.describe_added(model, prefix=prefix)
    _require_free([column.name for column in added.columns], present=[column.name for column in present])
    needed = signatures.list_columns(signature)
    frames.require_columns(needed, present=[column.name for column in present])
    total, unexpected, non_finite = frames.count_rows(dataset), unexpected_values.UnexpectedValues(signature), 0
    with frames.FrameWriter(output_path, columns=present + added.columns) as writer:
        for batch in frames.iterate_batches(dataset, batch_rows=batch_rows or model.batch_rows):
            frame = frames.to_frame(batch.select(needed))
            predicted = model.predict(frame)
            non_finite += _count_non_finite(predicted)
            unexpected.observe(frame)
            writer.write_table(_append_predictions(batch, predicted, added))
            progress(writer.rows / total, f"{writer.rows} of {total} rows predicted")
    warnings = unexpected.warnings()
    if non_finite:
        warnings.append(f"In {non_finite} rows a prediction or probability is not a finite number; it is left empty.")
    return PredictedBatch(writer.columns, writer.rows, writer.bytes, writer.sha256, warnings)


def _require_free(names: list[str], *, present: list[str]) -> None:
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise errors.BadDataError(
            f"two of the model's prediction columns would be called {duplicates[0]!r}; rename the labels"
        )
    clashes = [repr(name) for name in names if name in present]
    if clashes:
        raise errors.BadDataError(
            f"the dataset already has {', '.join(clashes)}, which the predictions would be called; "
            "give a `prefix`, or predict the dataset that these predictions were made of"
        )


def _append_predictions(
    batch: pa.RecordBatch, predicted: predictions.Predictions, added: columns.AddedColumns
) -> pa.Table:
    table = pa.Table.from_batches([batch])
    for column, array in zip(added.columns, added.to_arrays(predicted), strict=True):
        table = table.append_column(column.name, array)
    return table


def _count_non_finite(predicted: predictions.Predictions) -> int:
    """Count the rows with a number that is not finite; such numbers become null in the dataset that is written."""
    is_non_finite = np.zeros(len(predicted.prediction), dtype=bool)
    for numbers in (
        predicted.prediction,
        predicted.probability,
        predicted.quantiles,
        predicted.lower,
        predicted.upper,
    ):
        if numbers is not None and numbers.dtype.kind == "f":
            is_non_finite |= ~np.isfinite(numbers.reshape(len(is_non_finite), -1)).all(axis=1)
    return int(is_non_finite.sum())
