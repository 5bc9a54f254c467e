"""Splits the training rows of one fit again, by the rule of the validation around it: by time, by groups, or shuffled.

Calibration, a chosen threshold, intervals and early stopping need rows that a fit hasn't seen. Where the validation
keeps the future or a group away from the fit, so must they: otherwise they rely on scores that no new row will get.
docs/decisions/models.md, "What splits rows inside a fit follows the validation".
"""

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from sklearn import model_selection

from shared import errors
from shared.ml import targets
from workers.training import tables
from workers.training.experiment import Experiment
from workers.training.splits import by_time, outer

Values = targets.Values
Split = outer.Split
MakeFolds = Callable[[int], list[Split]]
"""Makes a given number of folds of a fit's rows."""


def forbids_random_splits(table: tables.Table) -> bool:
    """Return whether these rows have times or groups, and so may not be split at random."""
    return table.times is not None or table.groups is not None


def make_folds(
    table: tables.Table,
    *,
    experiment: Experiment,
    count: int,
    seed: int,
    strata: Values | None = None,
) -> list[Split]:
    """Make `count` folds, (training rows, held-out rows) each, with every class of `strata` in all training rows.

    In a time series the held-out rows are later than the training rows, so that the first rows are never held out, and
    there are fewer folds, with a warning, when there are too few times. Otherwise each row is held out once.
    BadDataError when there are too few rows, times, groups or rows of a class.
    """
    rows = np.zeros(len(table.frame))
    if table.times is not None:
        with _explain_place():
            splits = by_time.make_folds(table.times, folds=count, gap=experiment.setup.gap)
        if len(splits) < count:
            # Warnings in a fit become those of the job.
            warnings.warn(f"inside a fit {by_time.describe_fewer(len(splits), asked=count)}", stacklevel=2)
    elif table.groups is not None:
        _require_rows_per_class(strata, count=count)
        splitter_type = model_selection.GroupKFold if strata is None else model_selection.StratifiedGroupKFold
        splitter = splitter_type(n_splits=count, shuffle=True, random_state=seed)
        splits = _materialize(splitter.split(rows, strata, table.groups))
    else:
        _require_rows_per_class(strata, count=count)
        splitter_type = model_selection.KFold if strata is None else model_selection.StratifiedKFold
        splits = _materialize(splitter_type(n_splits=count, shuffle=True, random_state=seed).split(rows, strata))
    _require_all_classes(
        [*(train for train, _ in splits), np.concatenate([held_out for _, held_out in splits])], strata
    )
    return splits


def hold_out(
    table: tables.Table,
    *,
    experiment: Experiment,
    fraction: float,
    seed: int,
    strata: Values | None = None,
) -> Split:
    """Split off rows to hold out: the latest rows, some of the groups, or any rows; returns (training, held-out) rows.

    BadDataError when there are too few rows or groups, or a class of `strata` is not among the training rows.
    """
    if table.times is not None:
        with _explain_place():
            split = by_time.hold_out(table.times, fraction=fraction, gap=experiment.setup.gap)
    else:
        splitter_type = model_selection.ShuffleSplit if table.groups is None else model_selection.GroupShuffleSplit
        splitter = splitter_type(n_splits=1, test_size=fraction, random_state=seed)
        [split] = _materialize(splitter.split(np.zeros(len(table.frame)), groups=table.groups))
    _require_rows([split])
    _require_all_classes([split[0]], strata)
    return split


@contextlib.contextmanager
def _explain_place() -> Iterator[None]:
    """Say of rows that can't be split by time that they are those of one fit, and what helps."""
    try:
        yield
    except errors.BadDataError as error:
        raise errors.BadDataError(
            f"the training rows of a fold can't be split again by time: {error.message}; give fewer `folds` of the "
            "validation, or leave out what holds out rows inside a fit (calibration, threshold, conformal, early "
            "stopping, `cv`)"
        ) from error


def _materialize(lazy_splits: Iterable[Split]) -> list[Split]:
    """Make all splits now; what scikit-learn finds wrong with the rows is a BadDataError."""
    try:
        splits = list(lazy_splits)
    except ValueError as error:
        raise errors.BadDataError(f"the training rows can't be split again: {error}") from error
    _require_rows(splits)
    return splits


def _require_rows(splits: list[Split]) -> None:
    if any(len(train) == 0 or len(held_out) == 0 for train, held_out in splits):
        raise errors.BadDataError(
            "the training rows can't be split again: a part would be empty; use fewer folds, a smaller gap or "
            "another group"
        )


def _require_rows_per_class(strata: Values | None, *, count: int) -> None:
    if strata is None:
        return
    rarest, rows = targets.encode(strata).rarest
    if rows < count:
        raise errors.BadDataError(
            f"class {rarest!r} has {rows} rows to fit on, fewer than the {count} folds that calibration or the "
            "threshold uses; give fewer `folds`"
        )


def _require_all_classes(parts: list[Values], strata: Values | None) -> None:
    """Raise BadDataError for a class that is missing in one of the parts."""
    if strata is None:
        return
    for rows in parts:
        missing = np.setdiff1d(strata, strata[rows])
        if len(missing):
            raise errors.BadDataError(
                f"class {targets.format_label(missing[0])!r} is not among the {len(rows)} rows of a part that the fit "
                "splits off by time or group; give fewer `folds`, or leave out what needs them"
            )
