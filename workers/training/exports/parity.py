"""Holds what an ONNX model answers against what scikit-learn answers, on rows of the training data and odd ones."""

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
MAX_ODD_ROWS = 2000
"""Of rows between others, and of all other odd rows."""
MAX_DIFFERENCE = 1e-3
"""Beyond this an ONNX model is refused; for numbers it is a part of the greatest one that scikit-learn gives."""


@dataclasses.dataclass(frozen=True)
class Reference:
    """Rows as a model takes them, and what scikit-learn answers for them."""

    frame: pd.DataFrame
    answers: predictions.Predictions


@dataclasses.dataclass(frozen=True)
class Parity:
    """How well two models agree: rows whose label is another, and the greatest difference of any other number."""

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
    """Choose the rows, and let scikit-learn answer for them; odd rows that it refuses itself are left out."""
    sample = signatures.conform(_sample(dataset, signatures.column_names(signature)), signature=signature)
    kept, answers = [sample], [predictions.predict(pipeline, sample, problem=problem)]
    for odd in _odd(sample, signature):
        try:
            answered = predictions.predict(pipeline, odd, problem=problem)
        except (ValueError, errors.BadDataError):
            continue
        kept.append(odd)
        answers.append(answered)
    return Reference(pd.concat(kept, ignore_index=True), predictions.Predictions.concatenate(answers))


def _sample(dataset: Path, columns: list[str]) -> pd.DataFrame:
    """Take every n-th row, as many as are compared."""
    step = max(1, -(-frames.count_rows(dataset) // MAX_ROWS))
    taken, before = [], 0
    for batch in frames.iterate_frames(dataset, batch_rows=1 << 16, columns=columns):
        taken.append(batch.iloc[(-before) % step :: step])
        before += len(batch)
    if not before:
        raise errors.BadModelError("the training data has no rows to compare the ONNX model on")
    return pd.concat(taken, ignore_index=True)[columns]


def _odd(sample: pd.DataFrame, signature: signatures.Signature) -> Iterator[pd.DataFrame]:
    """Give rows between those of training, then, column by column, with a value missing, between, or a text unseen."""
    described: Any = signature["columns"]
    between = {
        column["name"]: _between(sample[column["name"]], is_whole=column["type"] == "integer")
        for column in described
        if column["type"] in ("integer", "number")
    }
    yield sample.assign(**between).iloc[:: -(-len(sample) // MAX_ODD_ROWS)]
    each = max(1, min(50, MAX_ODD_ROWS // (2 * len(described)), len(sample)))
    places = np.linspace(0, len(sample) - 1, each).astype(int)
    rows = sample.iloc[places]
    for column in described:
        name = column["name"]
        yield rows.assign(**{name: _filled(rows[name], None)})
        if name in between:
            yield rows.assign(**{name: between[name].iloc[places]})
        if column["type"] == "string":
            yield rows.assign(**{name: _filled(rows[name], lookups.UNSEEN_TEXT)})


def _between(values: "pd.Series[Any]", *, is_whole: bool) -> "pd.Series[Any]":
    """Move each number half the way to the next greater one of the column: there trees have their thresholds."""
    known = np.unique(values.dropna())
    if not len(known):
        return values
    after = known[np.minimum(np.searchsorted(known, values, side="right"), len(known) - 1)]
    halved = values / 2 + np.where(values.isna(), np.nan, after) / 2
    return np.floor(halved) if is_whole else halved


def _filled(values: "pd.Series[Any]", value: str | None) -> "pd.Series[Any]":
    if value is None and values.dtype == object:
        return pd.Series(np.full(len(values), np.nan, dtype=object), index=values.index)
    return pd.Series([value] * len(values), index=values.index, dtype=values.dtype)


def compare(reference: Reference, answers: dict[str, npt.NDArray[Any]]) -> Parity:
    """Compare answers, by the names of `predictions.Predictions`, with those of scikit-learn."""
    mismatches, greatest = 0, 0.0
    for field, given in answers.items():
        wanted = getattr(reference.answers, field)
        if field == "prediction" and wanted.dtype != np.float64:
            mismatches = int(np.sum(_labels(given) != _labels(wanted)))
        else:
            greatest = max(greatest, _difference(given, wanted, is_probability=field == "probability"))
    return Parity(len(reference.frame), mismatches, greatest)


def _labels(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Give labels as ONNX has them: whole numbers for booleans."""
    return values.astype(np.int64) if values.dtype.kind in "bui" else values.astype(object)


def _difference(given: npt.NDArray[Any], wanted: npt.NDArray[Any], *, is_probability: bool) -> float:
    """Give the greatest difference: of probabilities as it is, of numbers as a part of the greatest of them."""
    given, wanted = given.astype(np.float64), wanted.astype(np.float64)
    if given.shape != wanted.shape or not np.array_equal(np.isfinite(given), np.isfinite(wanted)):
        return float("inf")
    apart = np.abs(given - wanted)[np.isfinite(wanted)]
    scale = 1.0 if is_probability else max(float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)), 1e-300)
    return float(apart.max(initial=0.0)) / scale
