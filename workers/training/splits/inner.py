"""Splits the rows of one fit once more, by the rule of the validation around it: by time, by groups, or shuffled.

Calibration, a chosen threshold, intervals and early stopping need rows that a fit hasn't seen. Where the validation
keeps the future or a group away from the fit, so must they: else they trust scores that no new row will get.
"""

from collections.abc import Callable, Iterable

import numpy as np
from sklearn import model_selection

from shared import errors
from shared.ml import targets
from workers.training import tables
from workers.training.experiment import Experiment
from workers.training.splits import outer

Values = targets.Values
Split = outer.Split
MakeFolds = Callable[[int], list[Split]]
"""Gives so many folds of a fit's rows."""


def keeps_apart(table: tables.Table) -> bool:
    """Tell whether these rows have a time or groups, and so may not be split at random."""
    return table.times is not None or table.groups is not None


def folds(
    table: tables.Table,
    *,
    experiment: Experiment,
    count: int,
    seed: int,
    strata: Values | None = None,
) -> list[Split]:
    """Give so many parts to fit on and to hold out, each class of `strata` in every part to fit on.

    Of a time series each part held out is later than what is fitted on, so that the first rows are never held out. Of
    others each row is held out once. BadDataError when there are too few rows, groups or rows of a class.
    """
    rows = np.zeros(len(table.frame))
    if table.times is not None:
        order = np.argsort(table.times, kind="stable")
        splitter = model_selection.TimeSeriesSplit(n_splits=count, gap=experiment.setup.gap)
        made = [(order[train], order[held_out]) for train, held_out in _checked(splitter.split(rows))]
    elif table.groups is not None:
        _require_common(strata, count=count)
        kind = model_selection.GroupKFold if strata is None else model_selection.StratifiedGroupKFold
        splitter = kind(n_splits=count, shuffle=True, random_state=seed)
        made = _checked(splitter.split(rows, strata, table.groups))
    else:
        _require_common(strata, count=count)
        kind = model_selection.KFold if strata is None else model_selection.StratifiedKFold
        made = _checked(kind(n_splits=count, shuffle=True, random_state=seed).split(rows, strata))
    _require_classes([*(train for train, _ in made), np.concatenate([held_out for _, held_out in made])], strata)
    return made


def hold_out(
    table: tables.Table,
    *,
    experiment: Experiment,
    fraction: float,
    seed: int,
    strata: Values | None = None,
) -> Split:
    """Give the rows to fit on and a part to hold out: the latest rows, some of the groups, or any rows.

    BadDataError when there are too few rows or groups, or a class of `strata` is not among those to fit on.
    """
    if table.times is not None:
        order = np.argsort(table.times, kind="stable")
        kept = len(order) - int(np.ceil(fraction * len(order)))
        made = (order[: max(0, kept - experiment.setup.gap)], order[kept:])
    else:
        kind = model_selection.ShuffleSplit if table.groups is None else model_selection.GroupShuffleSplit
        splitter = kind(n_splits=1, test_size=fraction, random_state=seed)
        [made] = _checked(splitter.split(np.zeros(len(table.frame)), groups=table.groups))
    _require_rows([made])
    _require_classes([made[0]], strata)
    return made


def _checked(parts: Iterable[Split]) -> list[Split]:
    """Make all splits now; what scikit-learn finds wrong is the data's fault."""
    try:
        made = list(parts)
    except ValueError as error:
        raise errors.BadDataError(f"the rows of a fit can't be split once more: {error}") from error
    _require_rows(made)
    return made


def _require_rows(made: list[Split]) -> None:
    if any(len(train) == 0 or len(held_out) == 0 for train, held_out in made):
        raise errors.BadDataError(
            "the rows of a fit can't be split once more: a part would be empty; take fewer folds, a smaller gap or "
            "another group"
        )


def _require_common(strata: Values | None, *, count: int) -> None:
    if strata is None:
        return
    rarest, rows = targets.encode(strata).rarest
    if rows < count:
        raise errors.BadDataError(
            f"class {rarest!r} has {rows} rows to fit on, fewer than the {count} folds that calibration or the "
            "threshold takes; give fewer `folds`"
        )


def _require_classes(parts: list[Values], strata: Values | None) -> None:
    """Raise BadDataError for a class that a part of the rows has none of."""
    if strata is None:
        return
    for rows in parts:
        absent = np.setdiff1d(strata, strata[rows])
        if len(absent):
            raise errors.BadDataError(
                f"class {targets.format_label(absent[0])!r} is not among the {len(rows)} rows of a part that the fit splits "
                "off by time or group; give fewer `folds`, or leave out what needs them"
            )
