"""Compares an ONNX model's outputs with scikit-learn's predictions, on rows of the training data and on edge cases.

docs/decisions/exports.md, "ONNX is exported only with parity seen on real rows".
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from shared import errors
from shared.ml import frames, predictions, signatures
from workers.training.exports import lookups

MAX_ROWS = 4000
MAX_EDGE_ROWS = 2000
"""The most rows between those of training, and the most rows of all other edge cases."""
MAX_DIFFERENCE = 1e-3
"""Beyond this an ONNX model is refused; for numbers it is relative to the greatest one that scikit-learn predicts."""


@dataclasses.dataclass(frozen=True)
class Reference:
    """Rows as a model takes them, and scikit-learn's predictions for them."""

    frame: pd.DataFrame
    expected: predictions.Predictions


@dataclasses.dataclass(frozen=True)
class Parity:
    """How well two models agree: rows whose labels differ, and the greatest difference of any other number."""

    rows: int
    label_mismatches: int
    greatest_difference: float

    def require(self) -> None:
        """Raise BadModelError when they don't agree."""
        if self.label_mismatches:
            raise errors.BadModelError(
                f"ONNX gives another label than scikit-learn in {self.label_mismatches} of {self.rows} rows"
            )
        if not self.greatest_difference <= MAX_DIFFERENCE:
            raise errors.BadModelError(
                f"ONNX differs from scikit-learn by up to {self.greatest_difference:.3g} in {self.rows} rows; "
                f"{MAX_DIFFERENCE:g} is allowed"
            )


def make_reference(
    pipeline: Any, dataset: Path, *, signature: signatures.Signature, problem: predictions.Problem
) -> Reference:
    """Choose the rows and predict them with scikit-learn; edge cases that it refuses are left out."""
    sample = signatures.conform(_sample(dataset, signatures.list_columns(signature)), signature=signature)
    kept_frames, predicted = [sample], [predictions.predict(pipeline, sample, problem=problem)]
    for edge_case in _make_edge_cases(sample, signature):
        try:
            edge_predictions = predictions.predict(pipeline, edge_case, problem=problem)
        except (ValueError, errors.BadDataError):
            continue
        kept_frames.append(edge_case)
        predicted.append(edge_predictions)
    return Reference(pd.concat(kept_frames, ignore_index=True), predictions.Predictions.concatenate(predicted))


def _sample(dataset: Path, columns: list[str]) -> pd.DataFrame:
    """Sample every n-th row, at most as many as are compared."""
    step = max(1, -(-frames.count_rows(dataset) // MAX_ROWS))
    batches, before = [], 0
    for batch in frames.iterate_frames(dataset, batch_rows=1 << 16, columns=columns):
        batches.append(batch.iloc[(-before) % step :: step])
        before += len(batch)
    if not before:
        raise errors.BadModelError("the training data has no rows to compare the ONNX model on")
    return pd.concat(batches, ignore_index=True)[columns]


def _make_edge_cases(sample: pd.DataFrame, signature: signatures.Signature) -> Iterator[pd.DataFrame]:
    """Make edge cases: rows between those of training, then for each column a missing, in-between or unseen value."""
    columns: Any = signature["columns"]
    halfway = {
        column["name"]: _move_halfway(sample[column["name"]], is_whole=column["type"] == "integer")
        for column in columns
        if column["type"] in ("integer", "number")
    }
    yield sample.assign(**halfway).iloc[:: -(-len(sample) // MAX_EDGE_ROWS)]
    count = max(1, min(50, MAX_EDGE_ROWS // (2 * len(columns)), len(sample)))
    positions = np.linspace(0, len(sample) - 1, count).astype(int)
    rows = sample.iloc[positions]
    for column in columns:
        name = column["name"]
        yield rows.assign(**{name: _fill(rows[name], None)})
        if name in halfway:
            yield rows.assign(**{name: halfway[name].iloc[positions]})
        if column["type"] == "string":
            yield rows.assign(**{name: _fill(rows[name], lookups.UNSEEN_TEXT)})


def _move_halfway(values: "pd.Series[Any]", *, is_whole: bool) -> "pd.Series[Any]":
    """Move each number halfway to the next greater one of the column, where trees have their thresholds."""
    distinct = np.unique(values.dropna())
    if not len(distinct):
        return values
    next_greater = distinct[np.minimum(np.searchsorted(distinct, values, side="right"), len(distinct) - 1)]
    halfway = values / 2 + np.where(values.isna(), np.nan, next_greater) / 2
    return np.floor(halfway) if is_whole else halfway


def _fill(values: "pd.Series[Any]", value: str | None) -> "pd.Series[Any]":
    if value is None and values.dtype == object:
        return pd.Series(np.full(len(values), np.nan, dtype=object), index=values.index)
    return pd.Series([value] * len(values), index=values.index, dtype=values.dtype)


def compare(reference: Reference, outputs: dict[str, npt.NDArray[Any]]) -> Parity:
    """Compare outputs, by the names of the fields of `predictions.Predictions`, with scikit-learn's predictions."""
    mismatches, greatest = 0, 0.0
    for field, output in outputs.items():
        expected = getattr(reference.expected, field)
        if field == "prediction" and expected.dtype != np.float64:
            mismatches = int(np.sum(_to_onnx_labels(output) != _to_onnx_labels(expected)))
        else:
            greatest = max(greatest, _compute_difference(output, expected, is_probability=field == "probability"))
    return Parity(len(reference.frame), mismatches, greatest)


def _to_onnx_labels(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Convert labels to ONNX's: whole numbers for booleans."""
    return values.astype(np.int64) if values.dtype.kind in "bui" else values.astype(object)


def _compute_difference(output: npt.NDArray[Any], expected: npt.NDArray[Any], *, is_probability: bool) -> float:
    """Compute the greatest difference: absolute for probabilities, relative to the greatest number for numbers."""
    output, expected = output.astype(np.float64), expected.astype(np.float64)
    if output.shape != expected.shape or not np.array_equal(np.isfinite(output), np.isfinite(expected)):
        return float("inf")
    differences = np.abs(output - expected)[np.isfinite(expected)]
    scale = 1.0 if is_probability else max(float(np.abs(expected[np.isfinite(expected)]).max(initial=0.0)), 1e-300)
    return float(differences.max(initial=0.0)) / scale
