"""Predicts every row of a dataset, Parquet to Parquet, a part at a time."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa

from shared import contract, errors
from shared.ml import frames, inference, metrics, progress, signatures, surprises, targets

PREDICTION = "prediction"
PROBABILITY = "probability_"


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
    batch_rows: int | None = None,
    progress: progress.Progress = progress.ignore,
) -> PredictedBatch:
    """Write the dataset's columns as they are, then `prediction` and, for classifiers, `probability_<class>`.

    BadDataError when the dataset lacks a column that the model needs, has one of another type, or already has one of
    the names to be added. Categories unseen in training are no error; they are counted in the warnings.
    """
    model = inference.Model(model_path, sha256=sha256, signature=signature, problem=problem)
    given = frames.read_columns(dataset)
    added = _added_columns(model)
    _require_free([column.name for column in added], present=[column.name for column in given])
    needed = signatures.column_names(signature)
    frames.require_columns(needed, present=[column.name for column in given])
    total, noticed, odd = frames.count_rows(dataset), surprises.Surprises(signature), 0
    with frames.FrameWriter(output_path, columns=given + added) as writer:
        for batch in frames.iterate_batches(dataset, batch_rows=batch_rows or model.batch_rows):
            frame = frames.to_frame(batch.select(needed))
            made, count = _blank_odd(model.predict(frame), problem)
            odd += count
            noticed.observe(frame)
            writer.write_table(_with_predictions(batch, made, added))
            progress(writer.rows / total, f"{writer.rows} of {total} rows predicted")
    warnings = noticed.warnings() + ([f"{odd} predictions were not finite numbers; they are missing."] if odd else [])
    return PredictedBatch(writer.columns, writer.rows, writer.bytes, writer.sha256, warnings)


def _added_columns(model: inference.Model) -> list[contract.Column]:
    if model.classes is None:
        return [contract.Column(name=PREDICTION, type="number")]
    probabilities = [PROBABILITY + targets.text(label) for label in model.classes] if model.has_probability else []
    return [
        contract.Column(name=PREDICTION, type=targets.label_type(model.classes)),
        *(contract.Column(name=name, type="number") for name in probabilities),
    ]


def _require_free(names: list[str], *, present: list[str]) -> None:
    taken = [repr(name) for name in names if name in present]
    if taken:
        raise errors.BadDataError(
            f"the dataset already has {', '.join(taken)}, which the predictions would be called; "
            "rename or drop them, or predict the dataset that these predictions were made of"
        )


def _with_predictions(batch: pa.RecordBatch, made: metrics.Predictions, added: list[contract.Column]) -> pa.Table:
    values = [made.prediction] if made.probability is None else [made.prediction, *made.probability.T]
    table = pa.Table.from_batches([batch])
    for column, numbers in zip(added, values, strict=True):
        array = pa.array(np.ascontiguousarray(numbers), type=frames.PHYSICAL_TYPES[column.type], from_pandas=True)
        table = table.append_column(column.name, array)
    return table


def _blank_odd(made: metrics.Predictions, problem: str) -> tuple[metrics.Predictions, int]:
    """Make numbers that are not finite missing, as everywhere in our datasets, and count them."""
    if problem == "classification":
        return made, 0
    odd = ~np.isfinite(made.prediction)
    return metrics.Predictions(np.where(odd, np.nan, made.prediction)), int(odd.sum())
