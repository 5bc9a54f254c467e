"""Reads the target of a model: numbers for regression, labels for classification, 0 and 1 for labels and anomalies."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from shared import contract, errors, positive_class
from shared.ml import frames

Label = positive_class.Label
Values = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
NUMBERS = frozenset({"regression", "quantile"})
MAX_LABELS = 200
UNKNOWN = -1  # A row of which it is unknown whether it is anomalous.


def read_target(path: Path, *, target: str, problem: str) -> tuple[Values, Mask]:
    """Read a target's known values, and for each row of the file whether it is known; see `to_target`."""
    return to_target(frames.read_table(path, columns=[target]).column(target), name=target, problem=problem)


def to_target(
    array: pa.Array | pa.ChunkedArray, *, name: str, problem: str, positions: Values | None = None
) -> tuple[Values, Mask]:
    """Convert the known values of a target, and return for every row whether its value is known.

    `positions` are those of the rows in the dataset, which messages name, where the array has only some of them.

    Values are float64 for regression and quantiles; for classification text (object), int64 or bool, whole numbers
    being labels whether they are stored as integer or number; for anomalies int64, 0 or 1 (anomalous). BadDataError
    when the values can't be the target of such a problem.
    """
    [column] = frames.columns_of(pa.schema([pa.field(name, array.type)]))
    convert = _to_numbers if problem in NUMBERS else _to_flags if problem == "anomaly" else _to_labels
    known = np.asarray(array.is_valid().to_numpy(zero_copy_only=False), dtype=bool)
    if column.type == "number":
        known &= ~np.isnan(_to_floats(array))
    rows = np.flatnonzero(known) if positions is None else positions[known]
    return convert(array, column, known, rows), known


def to_label_sets(
    table: pa.Table,
    *,
    columns: list[str],
    separator: str | None,
    labels: list[str] | None = None,
    positions: Values | None = None,
) -> tuple[Values, Mask, list[str]]:
    """Convert labels to int64 of 0 and 1, (known rows, labels); return these, which rows are known, and the labels.

    The labels are the names of 0/1 `columns` or, with a `separator`, those that a single column of text lists; an empty
    text lists none, and so does a missing one, because files write both alike, unless no row has a label. `labels` are
    those that a model knows; without them all that occur are taken, sorted. `positions` are as in `to_target`.
    BadDataError for anything else.
    """
    if separator is not None:
        return _split_labels(table.column(columns[0]), columns[0], separator=separator, labels=labels)
    targets = [to_target(table.column(name), name=name, problem="anomaly", positions=positions) for name in columns]
    known = np.all([has_flag for _, has_flag in targets], axis=0)
    values = [np.zeros(len(known), dtype=np.int64) for _ in targets]
    for column, (flags, has_flag) in zip(values, targets, strict=True):
        column[has_flag] = flags
    return np.column_stack(values)[known], known, list(columns)


def describe_unlabelled(values: Values, *, name: str) -> list[str]:
    """Describe how many rows have no label at all, of 0 and 1 as (rows, labels); empty when there are none."""
    count = int(np.sum(~values.any(axis=1)))
    return [f"{count} of {len(values)} rows have no label: their {name!r} is empty or missing"] if count else []


@dataclasses.dataclass(frozen=True)
class Encoded:
    """Labels as codes: the sorted `labels` that occur, each row's index among them (int64), and the rows of each."""

    labels: Values
    codes: Values
    counts: Values

    @property
    def rarest(self) -> tuple[str, int]:
        """The label that the fewest rows have, and how many have it."""
        index = int(np.argmin(self.counts))
        return format_label(self.labels[index]), int(self.counts[index])


def encode(values: Values) -> Encoded:
    """Encode labels by their index in sorted order, as `numpy.unique` does, but without sorting every row's text."""
    codes, labels = pd.factorize(values, sort=True)
    return Encoded(np.asarray(labels), codes, np.bincount(codes, minlength=len(labels)))


def format_label(label: Label) -> str:
    """Format a label as it appears in column names and messages: true and false for booleans."""
    return positive_class.format_label(bool(label) if isinstance(label, np.bool_) else label)


def label_type(classes: list[Label]) -> contract.ColumnType:
    """Return the column type of these labels."""
    if all(isinstance(label, bool) for label in classes):
        return "boolean"
    return "integer" if all(isinstance(label, int) for label in classes) else "string"


def to_json(classes: Values) -> list[Label]:
    """Convert an estimator's `classes_` to plain values."""
    return [label.item() if isinstance(label, np.generic) else label for label in classes.tolist()]


def _to_numbers(array: pa.Array | pa.ChunkedArray, column: contract.Column, known: Mask, rows: Values) -> Values:
    if column.type not in frames.NUMERIC:
        raise errors.BadDataError(
            f"regression needs a numeric target, but column {column.name!r} is of type {column.type}"
        )
    values = _to_floats(array)[known]
    if np.isinf(values).any():
        raise errors.BadDataError(
            f"the target {column.name!r} holds an infinite number in {_name_row(np.isinf(values), rows)}; every value "
            "must be finite"
        )
    return values


def _to_labels(array: pa.Array | pa.ChunkedArray, column: contract.Column, known: Mask, rows: Values) -> Values:
    if column.type in frames.TEMPORAL:
        raise errors.BadDataError(
            f"classification needs text, whole numbers or booleans, but the target {column.name!r} is a {column.type}"
        )
    if column.type == "number":
        return _to_integers(_to_floats(array)[known], column.name, rows)
    if column.type == "string":
        return np.asarray(array.cast(pa.string()).drop_null().to_pandas(), dtype=object)
    dtype = np.bool_ if column.type == "boolean" else np.int64
    return np.asarray(array.drop_null().to_numpy(zero_copy_only=False), dtype=dtype)


def _to_flags(array: pa.Array | pa.ChunkedArray, column: contract.Column, known: Mask, rows: Values) -> Values:
    if column.type not in frames.NUMERIC:
        raise errors.BadDataError(f"column {column.name!r} must hold 0 and 1 or booleans, but is of type {column.type}")
    values = _to_floats(array)[known]
    broken = (values != 0) & (values != 1)
    if broken.any():
        raise errors.BadDataError(
            f"column {column.name!r} must hold 0 and 1 or booleans, but holds {values[broken][0]:g} in "
            f"{_name_row(broken, rows)}"
        )
    return values.astype(np.int64)


def _split_labels(
    array: pa.Array | pa.ChunkedArray, name: str, *, separator: str, labels: list[str] | None
) -> tuple[Values, Mask, list[str]]:
    [column] = frames.columns_of(pa.schema([pa.field(name, array.type)]))
    if column.type != "string":
        raise errors.BadDataError(f"column {name!r} must be text that lists labels, but is of type {column.type}")
    texts = array.cast(pa.string()).to_pylist()
    rows = [{label for part in (text or "").split(separator) if (label := part.strip())} for text in texts]
    present: set[str] = set().union(*rows)
    known = np.full(len(rows), bool(present))
    if not present:
        rows = []
    unseen = sorted(present - set(labels)) if labels is not None else []
    if unseen:
        raise errors.BadDataError(f"the target {name!r} lists {unseen[0]!r}, which the model never saw")
    if len(present) > MAX_LABELS:
        raise errors.BadDataError(
            f"the target {name!r} lists {len(present):,} different labels; at most {MAX_LABELS} are allowed"
        )
    labels = sorted(present) if labels is None else labels
    values = np.array([[label in row for label in labels] for row in rows], dtype=np.int64)
    return values.reshape(len(rows), len(labels)), known, labels


def _to_integers(values: Values, name: str, rows: Values) -> Values:
    broken = (values != np.floor(values)) | np.isinf(values)
    if broken.any():
        raise errors.BadDataError(
            f"classification needs labels, but the target {name!r} holds the number {values[broken][0]} in "
            f"{_name_row(broken, rows)}; use regression"
        )
    return values.astype(np.int64)


def _name_row(broken: Mask, rows: Values) -> str:
    """Name the dataset's row of the first broken one among the rows with a value, of which `rows` are the positions."""
    return f"row {int(rows[np.argmax(broken)]) + 1:,}"


def _to_floats(array: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.float64]:
    return np.asarray(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)
