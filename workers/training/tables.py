"""Reads the rows that an experiment learns from, with their targets, weights, groups and times."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from shared import errors, positive_class
from shared.ml import integer_texts, kept_rows, targets
from shared.ml.values import weights
from shared.recipe import conditions
from shared.training.setup import Setup
from workers.training.experiment import Experiment

Values = targets.Values


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows to learn from: the raw columns and, in the same order, arrays with one entry per row.

    `values` are the targets (for anomalies: 1 anomalous, 0 normal, -1 unknown), None without a target. `labels` names
    the columns of multilabel targets. `positive` is the positive one of two classes, once it is chosen. `groups` are
    numbers, equal for rows that belong together; `times` order the rows. `left_out` counts the rows that were dropped
    because their target is missing. `kept` counts those that a condition kept before, if there is one.
    """

    frame: pd.DataFrame
    values: Values | None
    left_out: int = 0
    weights: Values | None = None
    groups: Values | None = None
    times: Values | None = None
    labels: list[str] | None = None
    positive: targets.Label | None = None
    kept: conditions.KeptRows | None = None

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


def read_table(dataset: Path, *, experiment: Experiment, texts: integer_texts.IntegerTexts | None = None) -> Table:
    """Read the rows of a Parquet file that the experiment chooses, without those whose target is missing.

    BadDataError when no row is chosen, or all targets are missing. Integers become text in the columns that `texts`
    names, if it is given.
    """
    for name in experiment.setup.target_names:
        experiment.find_column(name, field="target" if experiment.setup.target else "targets")
    rows = kept_rows.read(dataset, experiment.choice, columns=[column.name for column in experiment.columns])
    rows = rows if texts is None else dataclasses.replace(rows, table=texts.convert(rows.table))
    if rows.table.num_rows == 0:
        raise errors.BadDataError("the dataset has no rows; there is nothing to learn")
    with naming_kept(rows.kept):
        values, known, labels = _read_targets(rows, experiment)
    frame = rows.to_frame([column.name for column in experiment.features])
    if not known.all():
        # The labels go on being the positions in the dataset, which messages name.
        frame = frame[known]
    return Table(
        frame,
        values,
        left_out=int(np.sum(~known)),
        weights=_read_weights(rows, experiment, known),
        groups=_read_groups(rows, experiment, known),
        times=_read_times(rows, experiment, known),
        labels=labels,
        kept=rows.kept,
    )


@contextlib.contextmanager
def naming_kept(kept: conditions.KeptRows | None) -> Iterator[None]:
    """Add to a BadDataError how many rows the condition has left, if there is one."""
    try:
        yield
    except errors.BadDataError as error:
        if kept is None:
            raise
        raise errors.BadDataError(f"{error}; {kept.describe()}", pointer=error.pointer) from error


def list_classes(table: Table, *, problem: str) -> list[targets.Label] | None:
    """List the classes of a classification in order, or all labels of a multilabel problem; else None."""
    if problem == "multilabel":
        return [*(table.labels or [])]
    if problem == "classification" and table.values is not None:
        return targets.to_json(table.encoded.labels)
    return None


def choose_positive(table: Table, *, setup: Setup) -> tuple[Table, list[str]]:
    """Choose the positive class from all rows, so that it is the same in each fold; return the table and a note on it.

    BadModelError for a request that names no class.
    """
    classes = list_classes(table, problem=setup.problem)
    if setup.problem != "classification" or classes is None:
        return table, []
    requested, field = setup.requested_positive
    counts = table.encoded.counts.tolist()
    choice = positive_class.choose(classes, counts=counts, requested=requested, pointer=f"#/params/{field}")
    if choice is None:
        return table, []
    return dataclasses.replace(table, positive=choice.label), [choice.note] if choice.note else []


def _read_targets(rows: kept_rows.Read, experiment: Experiment) -> tuple[Values | None, Values, list[str] | None]:
    """Read the targets, a mask of the rows to learn from, and the labels of a multilabel problem."""
    arrow, positions = rows.table, rows.positions
    all_rows = np.ones(arrow.num_rows, dtype=bool)
    names, labels = experiment.setup.target_names, None
    if not names:
        return None, all_rows, None
    if experiment.setup.problem == "multilabel":
        values, kept, labels = targets.to_label_sets(
            arrow, columns=names, separator=experiment.setup.list_separator, positions=positions
        )
    else:
        values, kept = targets.to_target(
            arrow.column(names[0]), name=names[0], problem=experiment.setup.problem, positions=positions
        )
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


def _read_weights(rows: kept_rows.Read, experiment: Experiment, known: Values) -> Values | None:
    if experiment.setup.sample_weight is None:
        return None
    name = experiment.setup.sample_weight
    column = _read_complete_column(rows, experiment, name, field="sample_weight", known=known)
    return weights.to_weights(column, name=name)


def _read_groups(rows: kept_rows.Read, experiment: Experiment, known: Values) -> Values | None:
    if experiment.setup.group is None:
        return None
    column = _read_complete_column(rows, experiment, experiment.setup.group, field="group", known=known)
    return np.asarray(pd.factorize(column, sort=True)[0], dtype=np.int64)


def _read_times(rows: kept_rows.Read, experiment: Experiment, known: Values) -> Values | None:
    if experiment.setup.time is None:
        return None
    column = _read_complete_column(rows, experiment, experiment.setup.time, field="time", known=known)
    if column.dtype == object:
        raise errors.BadDataError(
            f"the time {experiment.setup.time!r} is text; load it as a timestamp, a date or a number"
        )
    return np.asarray(column if column.dtype == np.float64 else column.astype("int64"))


def _read_complete_column(
    rows: kept_rows.Read, experiment: Experiment, name: str, *, field: str, known: Values
) -> pd.Series:
    """Read a column in which no row to learn from may lack a value."""
    experiment.find_column(name, field=field)
    column = rows.to_frame([name])[name][known]
    weights.require_complete(column, name=name, field=field)
    return column.reset_index(drop=True)
