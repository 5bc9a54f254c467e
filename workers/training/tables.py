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
    """Rows to learn from: raw columns and, in the same order, what belongs to them.

    `values` are the targets (of anomalies: 1 strange, 0 not, -1 unknown), None where there is none. `labels` names the
    columns of multilabel's targets. `groups` are numbers, equal for rows that belong together; `times` give the order.
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
        """The targets of a classification by their classes' numbers."""
        if self.values is None:
            raise ValueError("there are no targets")
        return targets.encode(self.values)

    def take(self, rows: Values) -> Self:
        """Give some of the rows, by their places."""
        taken: dict[str, Any] = {}
        for name in ("values", "weights", "groups", "times"):
            array = getattr(self, name)
            taken[name] = None if array is None else array[rows]
        return dataclasses.replace(self, frame=self.frame.iloc[rows], **taken)

    def select(self, columns: list[str]) -> Self:
        """Leave the other columns out; nothing is copied where there are none."""
        return self if columns == [*self.frame.columns] else dataclasses.replace(self, frame=self.frame[columns])


def read_table(dataset: Path, *, experiment: Experiment) -> Table:
    """Read a Parquet file without the rows whose target is missing; BadDataError when it is missing in all."""
    for name in experiment.setup.target_names:
        experiment.column(name, field="target" if experiment.setup.target else "targets")
    read = frames.read_table(dataset, columns=[column.name for column in experiment.columns])
    if read.num_rows == 0:
        raise errors.BadDataError("the dataset has no rows; there is nothing to learn")
    values, known, labels = _targets(read, experiment)
    frame = frames.to_frame(read.select([column.name for column in experiment.features]))
    if not known.all():
        frame = frame[known].reset_index(drop=True)
    return Table(
        frame,
        values,
        left_out=int(np.sum(~known)),
        weights=_weights(read, experiment, known),
        groups=_groups(read, experiment, known),
        times=_times(read, experiment, known),
        labels=labels,
    )


def classes_of(table: Table, *, problem: str) -> list[targets.Label] | None:
    """Give the classes of a classification in order, or all labels of a multilabel problem."""
    if problem == "multilabel":
        return [*(table.labels or [])]
    if problem == "classification" and table.values is not None:
        return targets.to_json(table.encoded.labels)
    return None


def _targets(read: pa.Table, experiment: Experiment) -> tuple[Values | None, Values, list[str] | None]:
    """Give the targets, which rows are learned from, and the labels of a multilabel problem."""
    everything = np.ones(read.num_rows, dtype=bool)
    names, labels = experiment.setup.target_names, None
    if not names:
        return None, everything, None
    if experiment.setup.problem == "multilabel":
        values, known, labels = targets.to_label_sets(read, columns=names, separator=experiment.setup.list_separator)
    else:
        values, known = targets.to_target(read.column(names[0]), name=names[0], problem=experiment.setup.problem)
    if not experiment.setup.has_target:
        whole = np.full(read.num_rows, targets.UNKNOWN, dtype=np.int64)
        whole[known] = values
        return whole, everything, None
    if len(values) == 0:
        told = names[0] if len(names) == 1 else names
        raise errors.BadDataError(
            f"the target {told!r} has no value in any of {len(known)} rows; there is nothing to learn"
        )
    return values, known, labels


def _weights(read: pa.Table, experiment: Experiment, known: Values) -> Values | None:
    if experiment.setup.sample_weight is None:
        return None
    numbers = _whole_column(read, experiment, experiment.setup.sample_weight, field="sample_weight", known=known)
    if numbers.dtype != np.float64:
        raise errors.BadDataError(f"the sample_weight {experiment.setup.sample_weight!r} must be a column of numbers")
    if numbers.min() < 0 or numbers.sum() == 0:
        raise errors.BadDataError(
            f"the sample_weight {experiment.setup.sample_weight!r} goes from {numbers.min():g} to {numbers.max():g}; "
            "weights are 0 or more, and some above 0"
        )
    return np.asarray(numbers, dtype=np.float64)


def _groups(read: pa.Table, experiment: Experiment, known: Values) -> Values | None:
    if experiment.setup.group is None:
        return None
    column = _whole_column(read, experiment, experiment.setup.group, field="group", known=known)
    return np.asarray(pd.factorize(column, sort=True)[0], dtype=np.int64)


def _times(read: pa.Table, experiment: Experiment, known: Values) -> Values | None:
    if experiment.setup.time is None:
        return None
    column = _whole_column(read, experiment, experiment.setup.time, field="time", known=known)
    if column.dtype == object:
        raise errors.BadDataError(
            f"the time {experiment.setup.time!r} is text; load it as a timestamp, a date or a number"
        )
    return np.asarray(column if column.dtype == np.float64 else column.astype("int64"))


def _whole_column(read: pa.Table, experiment: Experiment, name: str, *, field: str, known: Values) -> pd.Series:
    """Give a column in which no row that is learned from may lack a value."""
    experiment.column(name, field=field)
    column = frames.to_frame(read.select([name]))[name][known].reset_index(drop=True)
    missing = int(column.isna().sum())
    if missing:
        raise errors.BadDataError(f"the {field} {name!r} is missing in {missing} of {len(column)} rows")
    return column
