"""Splits rows into parts to fit on and parts to score on, or says why they can't be split."""

import math

import numpy as np
from sklearn import model_selection

from shared import errors
from shared.ml import metrics, targets
from shared.training import contract
from workers.training import limits

Rows = targets.Values
Split = tuple[Rows, Rows]


def make_splits(values: targets.Values, *, problem: metrics.Problem, validation: contract.Validation) -> list[Split]:
    """Give each split's rows to fit on and rows to score on, shuffled by the seed, stratified for classification."""
    if problem == "classification":
        _require_classes(values)
    elif np.ptp(values) == 0:
        raise errors.BadDataError(f"the target is {values[0]:g} in every row; there is nothing to learn")
    nothing = np.zeros(len(values))
    if isinstance(validation, contract.CrossValidation):
        _require_folds(values, problem=problem, folds=validation.folds)
        folds = model_selection.StratifiedKFold if problem == "classification" else model_selection.KFold
        splitter = folds(n_splits=validation.folds, shuffle=True, random_state=validation.seed)
    else:
        _require_parts(values, problem=problem, test_fraction=validation.test_fraction)
        shuffle = (
            model_selection.StratifiedShuffleSplit if problem == "classification" else model_selection.ShuffleSplit
        )
        splitter = shuffle(n_splits=1, test_size=validation.test_fraction, random_state=validation.seed)
    return list(splitter.split(nothing, values))


def train_fraction(validation: contract.Validation) -> float:
    """Say which part of the rows a model is fitted on while it is validated."""
    if isinstance(validation, contract.CrossValidation):
        return 1 - 1 / validation.folds
    return 1 - validation.test_fraction


def _require_classes(values: targets.Values) -> None:
    labels = np.unique(values)
    if len(labels) == 1:
        raise errors.BadDataError(
            f"the target has one class only, {targets.text(labels[0])!r} in every row; classification needs two"
        )
    if len(labels) > limits.MAX_CLASSES:
        raise errors.BadDataError(
            f"the target has {len(labels):,} different values; at most {limits.MAX_CLASSES:,} classes are taken; "
            "is it an identifier, or a number for regression?"
        )


def _require_folds(values: targets.Values, *, problem: metrics.Problem, folds: int) -> None:
    if problem == "regression":
        # A fold of one row has no spread to explain.
        if len(values) < 2 * folds:
            raise errors.BadDataError(
                f"{len(values)} rows are too few for {folds} folds; there must be {2 * folds} or more"
                + (f", or at most {len(values) // 2} folds" if len(values) >= 4 else "")
            )
        return
    label, rows = _rarest(values)
    if rows < folds:
        cure = f"at most {rows} folds would do" if rows > 1 else "no number of folds would do: leave that row out"
        raise errors.BadDataError(
            f"class {label!r} has {rows} {'row' if rows == 1 else 'rows'}, fewer than the {folds} folds; {cure}"
        )


def _require_parts(values: targets.Values, *, problem: metrics.Problem, test_fraction: float) -> None:
    test_rows = math.ceil(len(values) * test_fraction)
    train_rows = len(values) - test_rows
    least = 2
    if problem == "classification":
        label, rows = _rarest(values)
        if rows < 2:
            raise errors.BadDataError(f"class {label!r} has 1 row; fitting and scoring need one each: leave it out")
        least = len(np.unique(values))
    if min(test_rows, train_rows) < least:
        raise errors.BadDataError(
            f"a test_fraction of {test_fraction:g} splits {len(values)} rows into {train_rows} to fit on and "
            f"{test_rows} to score on; each part needs {least} or more"
        )


def _rarest(values: targets.Values) -> tuple[str, int]:
    labels, counts = np.unique(values, return_counts=True)
    place = int(np.argmin(counts))
    return targets.text(labels[place]), int(counts[place])
