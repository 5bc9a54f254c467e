"""Splits rows into training and test rows with scikit-learn's splitters, or explains why they can't be split."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn import model_selection

from shared import errors
from shared.ml import targets
from shared.training.validations import CrossValidation, HoldOut, TimeSeries, Validation
from workers.training import tables
from workers.training.experiment import Experiment
from workers.training.splits import by_time, feasibility

Rows = targets.Values
Split = by_time.Split
MIN_TIME_FOLDS = 2


def make_splits(table: tables.Table, *, experiment: Experiment) -> list[Split]:
    """Make the splits of the validation, (training rows, test rows) each, by position.

    Rows are shuffled by the seed, except for a time series, and stratified for classification unless the request says
    otherwise. A time series has fewer folds than the request says when there are too few times for them.
    """
    with tables.naming_kept(table.kept):
        return _make_splits(table, experiment)


def _make_splits(table: tables.Table, experiment: Experiment) -> list[Split]:
    feasibility.require_targets(table, experiment=experiment)
    validation = experiment.setup.validation
    if isinstance(validation, TimeSeries):
        return _split_by_time(table, validation)
    strata = _choose_strata(table, experiment)
    if isinstance(validation, CrossValidation):
        feasibility.require_folds(table, folds=validation.folds, strata=strata)
        splitter = _make_fold_splitter(validation, grouped=table.groups is not None, stratified=strata is not None)
    else:
        feasibility.require_hold_out(table, test_fraction=validation.test_fraction, strata=strata)
        splitter = _make_hold_out_splitter(validation, grouped=table.groups is not None, stratified=strata is not None)
    placeholder = np.zeros(len(table.frame))
    return _materialize(splitter.split(placeholder, None if strata is None else strata.codes, table.groups))


def compute_train_fraction(validation: Validation, splits: list[Split], *, rows: int) -> float:
    """Compute which fraction of the rows a model is fitted on during validation; for a time series the smallest."""
    if isinstance(validation, CrossValidation):
        return 1 - 1 / validation.folds
    if isinstance(validation, TimeSeries):
        return min(len(train) for train, _ in splits) / rows
    return 1 - validation.test_fraction


def list_notes(validation: Validation, splits: list[Split]) -> list[str]:
    """List what differs from the validation that was asked for, each in a sentence."""
    if isinstance(validation, TimeSeries) and len(splits) < validation.folds:
        return [by_time.describe_fewer(len(splits), asked=validation.folds)]
    return []


def _choose_strata(table: tables.Table, experiment: Experiment) -> targets.Encoded | None:
    """Choose the classes to stratify by; None where the splits are not stratified."""
    if isinstance(experiment.setup.validation, TimeSeries) or table.values is None:
        return None
    stratified = experiment.setup.validation.stratified
    has_classes = experiment.setup.problem in ("classification", "anomaly")
    if stratified is None:
        # scikit-learn has no hold-out that is both grouped and stratified.
        stratified = not (isinstance(experiment.setup.validation, HoldOut) and table.groups is not None)
    return table.encoded if stratified and has_classes else None


def _make_fold_splitter(validation: CrossValidation, *, grouped: bool, stratified: bool) -> Any:
    settings = {"n_splits": validation.folds, "random_state": validation.seed}
    if grouped:
        splitter_type = model_selection.StratifiedGroupKFold if stratified else model_selection.GroupKFold
        return splitter_type(**settings, shuffle=True)
    if validation.repeats > 1:
        splitter_type = model_selection.RepeatedStratifiedKFold if stratified else model_selection.RepeatedKFold
        return splitter_type(**settings, n_repeats=validation.repeats)
    splitter_type = model_selection.StratifiedKFold if stratified else model_selection.KFold
    return splitter_type(**settings, shuffle=True)


def _make_hold_out_splitter(validation: HoldOut, *, grouped: bool, stratified: bool) -> Any:
    splitter_type = model_selection.StratifiedShuffleSplit if stratified else model_selection.ShuffleSplit
    if grouped:
        splitter_type = model_selection.GroupShuffleSplit
    return splitter_type(n_splits=validation.repeats, test_size=validation.test_fraction, random_state=validation.seed)


def _split_by_time(table: tables.Table, validation: TimeSeries) -> list[Split]:
    if table.times is None:
        raise ValueError("a time series needs times")
    try:
        return by_time.make_folds(
            table.times,
            folds=validation.folds,
            least=MIN_TIME_FOLDS,
            gap=validation.gap,
            test_rows=validation.test_rows,
            max_train_rows=validation.max_train_rows,
        )
    except errors.BadDataError as error:
        error.pointer = "#/params/validation"
        raise


def _materialize(lazy_splits: Iterable[Split]) -> list[Split]:
    """Make all splits now; what scikit-learn still finds wrong with the rows is a BadDataError."""
    try:
        splits = list(lazy_splits)
    except ValueError as error:
        raise errors.BadDataError(
            f"the rows can't be split like this: {error}", pointer="#/params/validation"
        ) from error
    if any(len(train) == 0 or len(test) == 0 for train, test in splits):
        raise errors.BadDataError(
            "the rows can't be split like this: a part would be empty; use fewer folds or another group",
            pointer="#/params/validation",
        )
    return splits
