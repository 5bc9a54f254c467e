"""Refuses targets that nothing can be learned from, and rows that are too few for the splits."""

import math

import numpy as np

from shared import errors
from shared.ml import targets
from workers.training import limits, tables
from workers.training.experiment import Experiment

Values = targets.Values


def require_targets(table: tables.Table, *, experiment: Experiment) -> None:
    """Raise BadDataError when every row has the same target, or there are too many classes."""
    values = table.values
    if values is None or not experiment.setup.has_target:
        return
    if experiment.setup.problem == "classification":
        _require_classes(table.encoded.labels)
    elif experiment.setup.problem == "multilabel":
        _require_labels(values, table.labels or [])
    elif np.ptp(values) == 0:
        raise errors.BadDataError(f"the target is {values[0]:g} in every row; there is nothing to learn")


def require_folds(table: tables.Table, *, folds: int, strata: targets.Encoded | None) -> None:
    """Raise BadDataError when the rows, the groups or those of the rarest class are fewer than the folds need."""
    rows = len(table.frame)
    if table.groups is not None:
        count = len(np.unique(table.groups))
        if count < folds:
            raise errors.BadDataError(f"there are {count} groups, fewer than the {folds} folds")
    # R² of a fold with one row is undefined.
    if strata is None:
        if rows < 2 * folds:
            raise errors.BadDataError(
                f"{rows} rows are too few for {folds} folds; there must be {2 * folds} or more"
                + (f", or at most {rows // 2} folds" if rows >= 4 else "")
            )
        return
    label, count = strata.rarest
    if count < folds:
        advice = (
            f"use at most {count} folds"
            if count > 1
            else f"no number of folds is small enough: {_suggest_more_rows(strata)}"
        )
        raise errors.BadDataError(
            f"class {label!r} has {count} {'row' if count == 1 else 'rows'}, fewer than the {folds} folds; {advice}"
        )


def require_hold_out(table: tables.Table, *, test_fraction: float, strata: targets.Encoded | None) -> None:
    """Raise BadDataError when one side of the split would have too few rows."""
    rows = len(table.frame)
    test_rows = math.ceil(rows * test_fraction)
    train_rows = rows - test_rows
    min_rows = 2
    if strata is not None:
        label, count = strata.rarest
        if count < 2:
            raise errors.BadDataError(
                f"class {label!r} has 1 row; fitting and scoring need one each: {_suggest_more_rows(strata)}"
            )
        min_rows = len(strata.labels)
    if min(test_rows, train_rows) < min_rows:
        raise errors.BadDataError(
            f"a test_fraction of {test_fraction:g} splits {rows} rows into {train_rows} to fit on and "
            f"{test_rows} to score on; each side needs {min_rows} or more"
        )


def _suggest_more_rows(strata: targets.Encoded) -> str:
    """Say what helps with a class of one row; leaving it out is possible only if two other classes remain."""
    return "give more rows of that class" + (", or leave it out" if len(strata.labels) > 2 else "")


def _require_classes(labels: Values) -> None:
    if len(labels) == 1:
        raise errors.BadDataError(
            f"the target has one class only, {targets.format_label(labels[0])!r} in every row; classification needs two"
        )
    if len(labels) > limits.MAX_CLASSES:
        raise errors.BadDataError(
            f"the target has {len(labels):,} different values; at most {limits.MAX_CLASSES:,} classes are allowed; "
            "is it an identifier, or a number for regression?"
        )


def _require_labels(values: Values, labels: list[str]) -> None:
    if len(labels) < 2:
        raise errors.BadDataError(f"the target has only {len(labels)} label; multilabel needs two or more")
    for label, column in zip(labels, values.T, strict=True):
        if np.ptp(column) == 0:
            which_rows = "every row has" if column[0] else "no row has"
            raise errors.BadDataError(f"{which_rows} the label {label!r}; there is nothing to learn: leave it out")
