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
from shared.ml import frames, integers, kept_rows, predictions, signatures
from workers.training.exports import lookups

EVERY_ROW = kept_rows.Choice()
MAX_ROWS = 4000
MAX_EDGE_ROWS = 2000
"""The most rows between those of training, and the most rows of all other edge cases."""
MAX_DIFFERENCE = 1e-3
"""Beyond this an ONNX model is refused: a difference, as a part of the spread of scikit-learn's answers."""
NORMAL_QUARTILES = 1.349
"""The distance between the quartiles of a normal distribution whose standard deviation is 1."""
SMALLEST_PROBABILITY_SPREAD = 1e-3
"""Probabilities that differ by less are compared as if they differed by this: float32 holds 1 - p to seven digits."""
ODD_TEXT = " \u0130\u03a3 Stra\u00dfe \u0065\u0301, \U0001f600\u2003"
"""Characters that programs treat differently: other cases of other lengths, a final sigma, an accent, a wide space."""
RESOLUTION = 1e-10
"""The smallest spread, as a part of the median: answers that are closer differ by the rounding of float64 sums."""


@dataclasses.dataclass(frozen=True)
class Reference:
    """Rows as a model takes them, and scikit-learn's predictions for them; those of the training data come first."""

    frame: pd.DataFrame
    expected: predictions.Predictions
    training_rows: int


@dataclasses.dataclass(frozen=True)
class Parity:
    """How well two models agree: rows whose labels differ, and the greatest difference of any other number.

    A difference is a part of the answers' spread over the training data, or, for an answer that lies further from
    their median than that, a part of this distance.
    """

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
                f"ONNX differs from scikit-learn by up to {self.greatest_difference:.3g} of the answers' spread in "
                f"{self.rows} rows; {MAX_DIFFERENCE:g} is allowed"
            )


def make_reference(
    pipeline: Any,
    dataset: Path,
    *,
    signature: signatures.Signature,
    problem: predictions.Problem,
    choice: kept_rows.Choice = EVERY_ROW,
) -> Reference:
    """Choose among the rows that were learned from, and predict them with scikit-learn.

    Edge cases that it refuses are left out. Other rows of the dataset may hold what the model was never fitted for,
    such as missing values.
    """
    sample = signatures.conform(_sample(dataset, signatures.list_columns(signature), choice), signature=signature)
    kept_frames, predicted = [sample], [predictions.predict(pipeline, sample, problem=problem)]
    for edge_case in _make_edge_cases(sample, signature):
        try:
            edge_predictions = predictions.predict(pipeline, edge_case, problem=problem)
        except (ValueError, errors.BadDataError):
            continue
        kept_frames.append(edge_case)
        predicted.append(edge_predictions)
    return Reference(
        pd.concat(kept_frames, ignore_index=True), predictions.Predictions.concatenate(predicted), len(sample)
    )


def _sample(dataset: Path, columns: list[str], choice: kept_rows.Choice) -> pd.DataFrame:
    """Sample every n-th row that is chosen, at most as many as are compared."""
    rows: Any = range(frames.count_rows(dataset))
    if choice.columns:
        rows = np.flatnonzero(kept_rows.find(dataset, choice)[0])
    sampled = np.asarray(rows[:: max(1, -(-len(rows) // MAX_ROWS))], dtype=np.int64)
    batches, before = [], 0
    for batch in frames.iterate_frames(dataset, batch_rows=1 << 16, columns=columns):
        first, last = np.searchsorted(sampled, [before, before + len(batch)])
        batches.append(batch.iloc[sampled[first:last] - before])
        before += len(batch)
    if not len(sampled):
        raise errors.BadModelError("the training data has no rows to compare the ONNX model on")
    return pd.concat(integers.unify(batches), ignore_index=True)[columns]


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
            yield rows.assign(**{name: rows[name] + ODD_TEXT})


def _move_halfway(values: "pd.Series[Any]", *, is_whole: bool) -> "pd.Series[Any]":
    """Move each number halfway to the next greater one of the column, where trees have their thresholds."""
    values = integers.to_floats(values)
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
        if output.shape != expected.shape:
            raise errors.BadModelError(f"ONNX gives the {field} in another shape than scikit-learn")
        if field == "prediction" and expected.dtype != np.float64:
            mismatches = int(np.sum(_to_onnx_labels(output) != _to_onnx_labels(expected)))
        else:
            scale = _measure_scale(expected, reference.training_rows, is_probability=field == "probability")
            greatest = max(greatest, _compute_difference(output, expected, scale))
    return Parity(len(reference.frame), mismatches, greatest)


def _to_onnx_labels(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Convert labels to ONNX's: whole numbers for booleans."""
    return values.astype(np.int64) if values.dtype.kind in "bui" else values.astype(object)


def _compute_difference(output: npt.NDArray[Any], expected: npt.NDArray[Any], scale: npt.NDArray[Any]) -> float:
    """Compute the greatest difference, as a part of each number's scale."""
    if not np.array_equal(np.isfinite(output), np.isfinite(expected)):
        return float("inf")
    finite = np.isfinite(expected)
    differences = np.abs(output.astype(np.float64) - expected)[finite] / scale[finite]
    return float(differences.max(initial=0.0))


def _measure_scale(expected: npt.NDArray[Any], training_rows: int, *, is_probability: bool) -> npt.NDArray[np.float64]:
    """Compute by what each number's difference is divided: the spread of its column, or its distance from the median.

    The spread is robust, so that neither a few outliers nor the distance of all answers from 0 hide a difference:
    docs/decisions/exports.md, "ONNX is compared in parts of the answers' spread".
    """
    table = expected.astype(np.float64).reshape(len(expected), -1)
    columns = [_measure_column(column, column[:training_rows], is_probability=is_probability) for column in table.T]
    return np.column_stack(columns).reshape(expected.shape)


def _measure_column(
    values: npt.NDArray[np.float64], of_training: npt.NDArray[np.float64], *, is_probability: bool
) -> npt.NDArray[np.float64]:
    known = of_training[np.isfinite(of_training)]
    if not len(known):
        return np.ones_like(values)
    low, median, high = np.quantile(known, [0.25, 0.5, 0.75])
    spread = max((high - low) / NORMAL_QUARTILES or float(known.std()), RESOLUTION * abs(median), 1e-300)
    if is_probability:
        spread = max(spread, SMALLEST_PROBABILITY_SPREAD)
    scale: npt.NDArray[np.float64] = np.fmax(spread, np.abs(values - median))
    return scale
