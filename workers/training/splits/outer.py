"""Splits rows into parts to fit on and parts to score on, with scikit-learn's splitters, or says why they can't be."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn import model_selection

from shared import errors
from shared.ml import targets
from shared.training.validations import CrossValidation, HoldOut, TimeSeries, Validation
from workers.training import tables
from workers.training.experiment import Experiment
from workers.training.splits import feasibility

Rows = targets.Values
Split = tuple[Rows, Rows]


def make_splits(table: tables.Table, *, experiment: Experiment) -> list[Split]:
    """Give each split's rows to fit on and rows to score on.

    They are shuffled by the seed, except for a time series, and stratified for classification unless told otherwise.
    """
    feasibility.require_targets(table, experiment=experiment)
    validation = experiment.setup.validation
    if isinstance(validation, TimeSeries):
        return _in_order(table, validation)
    strata = _strata(table, experiment)
    if isinstance(validation, CrossValidation):
        feasibility.require_folds(table, folds=validation.folds, strata=strata)
        splitter = _folds(validation, grouped=table.groups is not None, stratified=strata is not None)
    else:
        feasibility.require_parts(table, test_fraction=validation.test_fraction, strata=strata)
        splitter = _parts(validation, grouped=table.groups is not None, stratified=strata is not None)
    nothing = np.zeros(len(table.frame))
    return _checked(splitter.split(nothing, None if strata is None else strata.codes, table.groups))


def train_fraction(validation: Validation) -> float:
    """Say which part of the rows a model is fitted on while it is validated; of a time series the smallest."""
    if isinstance(validation, CrossValidation):
        return 1 - 1 / validation.folds
    if isinstance(validation, TimeSeries):
        return 1 / (validation.folds + 1)
    return 1 - validation.test_fraction


def _strata(table: tables.Table, experiment: Experiment) -> targets.Encoded | None:
    """Give the classes of which each part is to have its share."""
    if isinstance(experiment.setup.validation, TimeSeries) or table.values is None:
        return None
    wanted = experiment.setup.validation.stratified
    possible = experiment.setup.problem in ("classification", "anomaly")
    if wanted is None:
        # scikit-learn has no hold-out that keeps both groups and shares.
        wanted = not (isinstance(experiment.setup.validation, HoldOut) and table.groups is not None)
    return table.encoded if wanted and possible else None


def _folds(validation: CrossValidation, *, grouped: bool, stratified: bool) -> Any:
    given = {"n_splits": validation.folds, "random_state": validation.seed}
    if grouped:
        made = model_selection.StratifiedGroupKFold if stratified else model_selection.GroupKFold
        return made(**given, shuffle=True)
    if validation.repeats > 1:
        made = model_selection.RepeatedStratifiedKFold if stratified else model_selection.RepeatedKFold
        return made(**given, n_repeats=validation.repeats)
    made = model_selection.StratifiedKFold if stratified else model_selection.KFold
    return made(**given, shuffle=True)


def _parts(validation: HoldOut, *, grouped: bool, stratified: bool) -> Any:
    made = model_selection.StratifiedShuffleSplit if stratified else model_selection.ShuffleSplit
    if grouped:
        made = model_selection.GroupShuffleSplit
    return made(n_splits=validation.repeats, test_size=validation.test_fraction, random_state=validation.seed)


def _in_order(table: tables.Table, validation: TimeSeries) -> list[Split]:
    """Split rows by time; rows of one time stay in the order in which the data has them."""
    if table.times is None:
        raise ValueError("a time series needs times")
    order = np.argsort(table.times, kind="stable")
    splitter = model_selection.TimeSeriesSplit(
        n_splits=validation.folds,
        gap=validation.gap,
        test_size=validation.test_rows,
        max_train_size=validation.max_train_rows,
    )
    return [(order[train], order[test]) for train, test in _checked(splitter.split(order))]


def _checked(parts: Iterable[Split]) -> list[Split]:
    """Make all splits now; what scikit-learn still finds wrong with the data is the data's fault."""
    try:
        made = list(parts)
    except ValueError as error:
        raise errors.BadDataError(f"the rows can't be split so: {error}", pointer="#/params/validation") from error
    if any(len(train) == 0 or len(test) == 0 for train, test in made):
        raise errors.BadDataError(
            "the rows can't be split so: a part would be empty; take fewer folds or another group",
            pointer="#/params/validation",
        )
    return made
