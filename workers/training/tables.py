"""Reads the rows that an experiment learns from, with their targets, weights, groups and times."""

import dataclasses
import functools
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa

from shared import errors
from shared.ml import frames, targets
from workers.training.experiment import Experiment

Values = targets.Values


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows to learn from: the raw columns and, in the same order, arrays with one entry per row.

    `values` are the targets (for anomalies: 1 anomalous, 0 normal, -1 unknown), None without a target. `labels` names
    the columns of multilabel targets. `groups` are numbers, equal for rows that belong together; `times` order the
    rows. `left_out` counts the rows that were dropped because their target is missing.
    """

    frame: pd.DataFrame
    values: Values | None
    left_out: int = 0
    weights: Values | None = None
    groups: Values | None = None
    times: Values | None = None
    labels: list[str] | None = None

    @functools.cached_property
    def encoded(self) -> targets.Encoded:
        """The targets of a classification, encoded as the numbers of their classes."""
        if self.values is None:
            raise ValueError("there are no targets")
        return targets.encode(self.values)

    def take(self, rows: Values) -> Self:
        """Return some of the rows, by position."""
        arrays: dict[str, Any] = {}
        for name in ("values", "weights", "groups", "times"):
            array = getattr(self, name)
            arrays[name] = None if array is None else array[rows]
        return dataclasses.replace(self, frame=self.frame.iloc[rows], **arrays)

    def select(self, columns: list[str]) -> Self:
        """Keep these columns only; nothing is copied when they are all there are."""
        return self if columns == [*self.frame.columns] else dataclasses.replace(self, frame=self.frame[columns])


def read_table(dataset: Path, *, experiment: Experiment) -> Table:
    """Read a Parquet file without the rows whose target is missing; BadDataError when all targets are missing."""
    for name in experiment.setup.target_names:
        experiment.find_column(name, field="target" if experiment.setup.target else "targets")
    arrow = frames.read_table(dataset, columns=[column.name for column in experiment.columns])
    if arrow.num_rows == 0:
        raise errors.BadDataError("the dataset has no rows; there is nothing to learn")
    values, kept, labels = _read_targets(arrow, experiment)
    frame = frames.to_frame(arrow.select([column.name for column in experiment.features]))
    if not kept.all():
        frame = frame[kept].reset_index(drop=True)
    return Table(
        frame,
        values,
        left_out=int(np.sum(~kept)),
        weights=_read_weights(arrow, experiment, kept),
        groups=_read_groups(arrow, experiment, kept),
        times=_read_times(arrow, experiment, kept),
        labels=labels,
    )


def list_classes(table: Table, *, problem: str) -> list[targets.Label] | None:
    """List the classes of a classification in order, or all labels of a multilabel problem; else None."""
    if problem == "multilabel":
        return [*(table.labels or [])]
    if problem == "classification" and table.values is not None:
        return targets.to_json(table.encoded.labels)
    return None


def _read_targets(arrow: pa.Table, experiment: Experiment) -> tuple[Values | None, Values, list[str] | None]:
    """Read the targets, a mask of the rows to learn from, and the labels of a multilabel problem."""
    all_rows = np.ones(arrow.num_rows, dtype=bool)
    names, labels = experiment.setup.target_names, None
    if not names:
        return None, all_rows, None
    if experiment.setup.problem == "multilabel":
        values, kept, labels = targets.to_label_sets(arrow, columns=names, separator=experiment.setup.list_separator)
    else:
        values, kept = targets.to_target(arrow.column(names[0]), name=names[0], problem=experiment.setup.problem)
    if not experiment.setup.has_target:
        all_values = np.full(arrow.num_rows, targets.UNKNOWN, dtype=np.int64)
        all_values[kept] = values
        return all_values, all_rows, None
    if len(values) == 0:
        described = names[0] if len(names) == 1 else names
        raise errors.BadDataError(
            f"the target {described!r} has no value in any of {len(kept)} rows; there is nothing to learn"
        )
    return values, kept, labels


def _read_weights(arrow: pa.Table, experiment: Experiment, kept: Values) -> Values | None:
    if experiment.setup.sample_weight is None:
        return None
    numbers = _read_complete_column(arrow, experiment, experiment.setup.sample_weight, field="sample_weight", kept=kept)
    if numbers.dtype != np.float64:
        raise errors.BadDataError(f"the sample_weight {experiment.setup.sample_weight!r} must be a column of numbers")
    if numbers.min() < 0 or numbers.sum() == 0:
        raise errors.BadDataError(
            f"the sample_weight {experiment.setup.sample_weight!r} goes from {numbers.min():g} to {numbers.max():g}; "
            "weights must be 0 or more, and some above 0"
        )
    return np.asarray(numbers, dtype=np.float64)


def _read_groups(arrow: pa.Table, experiment: Experiment, kept: Values) -> Values | None:
    if experiment.setup.group is None:
        return None
    column = _read_complete_column(arrow, experiment, experiment.setup.group, field="group", kept=kept)
    return np.asarray(pd.factorize(column, sort=True)[0], dtype=np.int64)


def _read_times(arrow: pa.Table, experiment: Experiment, kept: Values) -> Values | None:
    if experiment.setup.time is None:
        return None
    column = _read_complete_column(arrow, experiment, experiment.setup.time, field="time", kept=kept)
    if column.dtype == object:
        raise errors.BadDataError(
            f"the time {experiment.setup.time!r} is text; load it as a timestamp, a date or a number"
        )
    return np.asarray(column if column.dtype == np.float64 else column.astype("int64"))


def _read_complete_column(arrow: pa.Table, experiment: Experiment, name: str, *, field: str, kept: Values) -> pd.Series:
    """Read a column in which no row to learn from may lack a value."""
    experiment.find_column(name, field=field)
    column = frames.to_frame(arrow.select([name]))[name][kept].reset_index(drop=True)
    missing = int(column.isna().sum())
    if missing:
        raise errors.BadDataError(f"the {field} {name!r} is missing in {missing} of {len(column)} rows")
    return column
