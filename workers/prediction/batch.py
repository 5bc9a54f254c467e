"""Predicts every row of a dataset, Parquet to Parquet, a part at a time."""

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
    """The file that was written, and what looked wrong on the way."""

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
    """Write the dataset's columns as they are, then the model's: `prediction` and what its problem has besides.

    BadDataError when the dataset lacks a column that the model needs, has one of another type, or already has one of
    the names to be added. Categories unseen in training are no error; they are counted in the warnings.
    """
    model = inference.Model(model_path, sha256=sha256, signature=signature, problem=problem)
    given = frames.read_columns(dataset)
    added = columns.describe_added(model, prefix=prefix)
    _require_free([column.name for column in added.columns], present=[column.name for column in given])
    needed = signatures.column_names(signature)
    frames.require_columns(needed, present=[column.name for column in given])
    total, noticed, odd = frames.count_rows(dataset), unexpected_values.UnexpectedValues(signature), 0
    with frames.FrameWriter(output_path, columns=given + added.columns) as writer:
        for batch in frames.iterate_batches(dataset, batch_rows=batch_rows or model.batch_rows):
            frame = frames.to_frame(batch.select(needed))
            made = model.predict(frame)
            odd += _count_odd(made)
            noticed.observe(frame)
            writer.write_table(_with_predictions(batch, made, added))
            progress(writer.rows / total, f"{writer.rows} of {total} rows predicted")
    warnings = noticed.warnings()
    if odd:
        warnings.append(f"In {odd} rows a prediction or probability was no finite number; it is missing.")
    return PredictedBatch(writer.columns, writer.rows, writer.bytes, writer.sha256, warnings)


def _require_free(names: list[str], *, present: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise errors.BadDataError(f"two of the model's columns would be called {twice[0]!r}; rename its labels")
    taken = [repr(name) for name in names if name in present]
    if taken:
        raise errors.BadDataError(
            f"the dataset already has {', '.join(taken)}, which the predictions would be called; "
            "give a `prefix`, or predict the dataset that these predictions were made of"
        )


def _with_predictions(batch: pa.RecordBatch, made: predictions.Predictions, added: columns.AddedColumns) -> pa.Table:
    table = pa.Table.from_batches([batch])
    for column, array in zip(added.columns, added.to_arrays(made), strict=True):
        table = table.append_column(column.name, array)
    return table


def _count_odd(made: predictions.Predictions) -> int:
    """Count the rows with a number that is not finite; such numbers are missing in the dataset that is written."""
    odd = np.zeros(len(made.prediction), dtype=bool)
    for numbers in (made.prediction, made.probability, made.quantiles, made.lower, made.upper):
        if numbers is not None and numbers.dtype.kind == "f":
            odd |= ~np.isfinite(numbers.reshape(len(odd), -1)).all(axis=1)
    return int(odd.sum())
