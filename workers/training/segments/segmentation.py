"""Settles from the data which values get a model of their own: those with enough rows to be validated."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared import errors, storable
from shared.ml import kept_rows, targets
from shared.training import segments
from shared.training.setup import TrainingCommand
from workers.training import tables
from workers.training.experiment import Experiment
from workers.training.segments.names import make_names
from workers.training.splits import outer

_POINTER = "#/params/per"
MAX_VALUE_CHARACTERS = 200
"""Longer texts are no categories, and get no model."""


@dataclasses.dataclass(frozen=True)
class Settled:
    """The segmentation, and the positive class that all models get; None unless there are two classes."""

    segmentation: segments.Segmentation
    positive: targets.Label | None


def settle(dataset: Path, *, experiment: Experiment, command: TrainingCommand) -> Settled:
    """Settle which values get a model; BadDataError when none can, LimitExceededError when there are too many."""
    table = read_truth(dataset, experiment=experiment)
    outer.make_splits(table, experiment=experiment)
    column = read_values(dataset, table, experiment=experiment)
    counted = pc.value_counts(column.drop_null()).to_pylist()
    counts = sorted(
        ((entry["values"], entry["counts"]) for entry in counted), key=lambda pair: (-pair[1], str(pair[0]))
    )
    least = command.least_per_rows
    chosen = [value for value, rows in counts if rows >= least and _is_nameable(value)]
    if len(chosen) > segments.MAX_SEGMENTS:
        raise errors.LimitExceededError(
            f"column {command.per!r} has {len(chosen):,} values with {least:,} rows or more; at most "
            f"{segments.MAX_SEGMENTS} models are trained: choose another column, a `where`, or more `least_per_rows`",
            pointer=_POINTER,
        )
    reasons = {value: _find_unfit(table, column, value, experiment=experiment) for value in chosen}
    trained = [(value, rows) for value, rows in counts if value in reasons and reasons[value] is None]
    left = [
        (_to_shown(value), rows, reasons.get(value) or _explain_left(rows, least=least))
        for value, rows in counts
        if value not in reasons or reasons[value] is not None
    ]
    if not trained:
        raise errors.BadDataError(_describe_none(command, left, rows=len(table.frame)), pointer=_POINTER)
    names = make_names(command.name, [value for value, _ in trained])
    positive, notes = _choose_positive(table, experiment)
    segmentation = segments.Segmentation(
        column=f"{command.per}",
        segments=[
            segments.Segment(value=value, name=name, rows=rows)
            for (value, rows), name in zip(trained, names, strict=True)
        ],
        left=[
            segments.LeftValue(value=value, rows=rows, reason=reason)
            for value, rows, reason in left[: segments.MAX_LISTED]
        ],
        notes=[*notes, *_describe_left(command, left, missing=column.null_count)],
    )
    return Settled(segmentation, positive)


def read_truth(dataset: Path, *, experiment: Experiment) -> tables.Table:
    """Read what splits and scores need of the rows that the model for all learns from: no features but those."""
    setup = experiment.setup
    named = {*setup.target_names, setup.sample_weight, setup.group, setup.time, setup.per}
    columns = [column for column in experiment.columns if column.name in named]
    table = tables.read_table(dataset, experiment=dataclasses.replace(experiment, columns=columns, value=None))
    return tables.choose_positive(table, setup=setup)[0]


def read_values(dataset: Path, table: tables.Table, *, experiment: Experiment) -> pa.Array:
    """Read the value that each row of a table has in the column `per`."""
    name = f"{experiment.setup.per}"
    rows = kept_rows.read(dataset, kept_rows.Choice(where=experiment.setup.where), columns=[name])
    labels = table.frame.index.to_numpy()
    places = labels if rows.positions is None else np.searchsorted(rows.positions, labels)
    values = rows.table.column(0).combine_chunks().take(pa.array(places))
    return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values


def _is_nameable(value: segments.Value) -> bool:
    return not isinstance(value, str) or (len(value) <= MAX_VALUE_CHARACTERS and storable.to_text(value) == value)


def _to_shown(value: segments.Value) -> segments.Value:
    return storable.to_text(value)[:MAX_VALUE_CHARACTERS] if isinstance(value, str) else value


def _explain_left(rows: int, *, least: int) -> str:
    if rows < least:
        return f"fewer than {least:,} rows"
    return f"a value has at most {MAX_VALUE_CHARACTERS} characters, none of which a database refuses"


def _find_unfit(table: tables.Table, column: pa.Array, value: segments.Value, *, experiment: Experiment) -> str | None:
    """Find why no model can be made of a value's rows by themselves, and be validated; None when one can."""
    rows = np.flatnonzero(kept_rows.find_value(column, value))
    own = dataclasses.replace(table.take(rows), kept=None)
    if own.weights is not None and not own.weights.any():
        return f"all of its rows have the sample_weight {experiment.setup.sample_weight!r} 0"
    if experiment.setup.list_separator and own.values is not None and own.labels is not None:
        # Labels that a value's texts don't list are none of its own.
        listed = np.asarray(own.values.any(axis=0), dtype=bool)
        labels = [label for label, is_listed in zip(own.labels, listed, strict=True) if is_listed]
        own = dataclasses.replace(own, values=own.values[:, listed], labels=labels)
    try:
        outer.make_splits(own, experiment=experiment)
    except errors.BadDataError as error:
        return f"{error}"
    return None


def _choose_positive(table: tables.Table, experiment: Experiment) -> tuple[targets.Label | None, list[str]]:
    chosen, notes = tables.choose_positive(table, setup=experiment.setup)
    return chosen.positive, notes


def _describe_none(command: TrainingCommand, left: list[tuple[segments.Value, int, str]], *, rows: int) -> str:
    examples = "; ".join(f"{value!r} ({count:,}): {reason}" for value, count, reason in left[:3])
    return (
        f"no value of column {command.per!r} has rows enough for a model of its own, among {rows:,} rows with "
        f"{len(left):,} values{f': {examples}' if examples else ''}"
    )


def _describe_left(command: TrainingCommand, left: list[tuple[segments.Value, int, str]], *, missing: int) -> list[str]:
    notes = []
    if left:
        names = ", ".join(f"{value!r}" for value, _, _ in left[:10])
        more = f" and {len(left) - 10:,} more" if len(left) > 10 else ""
        total = sum(rows for _, rows, _ in left)
        notes.append(
            f"{len(left):,} values of {command.per!r} get no model of their own, with {total:,} rows: {names}{more}"
        )
    if missing:
        notes.append(f"{missing:,} rows have no {command.per!r}; the model for all answers for such rows")
    return notes
