"""Gives a regressor intervals that hold the truth with a given confidence, by errors on rows that it hasn't seen."""

from collections.abc import Callable

import numpy as np
from sklearn import base, model_selection, pipeline

from shared import errors
from shared.ml import quantile_models, targets
from shared.training import experiments
from workers.training import tables

Values = targets.Values
Fit = Callable[[pipeline.Pipeline, tables.Table], pipeline.Pipeline]
"""Fits a model in place on rows."""


def fit_conformal(
    model: pipeline.Pipeline, table: tables.Table, *, wanted: experiments.Conformal, fit: Fit
) -> pipeline.Pipeline:
    """Fit a model with intervals; the same numbers as MAPIE's on the same rows.

    `split` is SplitConformalRegressor, or ConformalizedQuantileRegressor for a model of quantiles. `cross` is
    CrossConformalRegressor with the method `base`, whose predictions are those of the model fitted on every row. With
    groups all rows of one are on the same side. BadDataError when there are too few rows.
    """
    if wanted.method == "split":
        train, held_out = _split(table, wanted)
        fit(model, table.take(train))
        lower, upper = _bounds(model, table, held_out)
    else:
        held_out = np.arange(len(table.frame))
        lower = _out_of_fold(model, table, wanted, fit=fit)
        upper = lower
        fit(model, table)
    made = quantile_models.ConformalModel(model[-1], wanted.confidence)
    try:
        made.fit(lower, upper, _values(table)[held_out])
    except ValueError as error:
        raise errors.BadDataError(f"conformal intervals: {error}", pointer="#/params/conformal") from error
    return pipeline.Pipeline([*model.steps[:-1], (model.steps[-1][0], made)])


def _split(table: tables.Table, wanted: experiments.Conformal) -> tuple[Values, Values]:
    made = model_selection.ShuffleSplit if table.groups is None else model_selection.GroupShuffleSplit
    splitter = made(n_splits=1, test_size=wanted.fraction, random_state=wanted.seed)
    try:
        [(train, held_out)] = splitter.split(np.zeros(len(table.frame)), groups=table.groups)
    except ValueError as error:
        raise errors.BadDataError(f"conformal intervals: {error}", pointer="#/params/conformal") from error
    return train, held_out


def _out_of_fold(model: pipeline.Pipeline, table: tables.Table, wanted: experiments.Conformal, *, fit: Fit) -> Values:
    rows = len(table.frame)
    made = model_selection.KFold if table.groups is None else model_selection.GroupKFold
    splitter = made(n_splits=wanted.folds, shuffle=True, random_state=wanted.seed)
    said = np.empty(rows)
    try:
        parts = list(splitter.split(np.zeros(rows), groups=table.groups))
    except ValueError as error:
        raise errors.BadDataError(f"conformal intervals: {error}", pointer="#/params/conformal") from error
    for train, held_out in parts:
        fold = fit(base.clone(model), table.take(train))
        said[held_out] = _bounds(fold, table, held_out)[0]
    return said


def _bounds(model: pipeline.Pipeline, table: tables.Table, rows: Values) -> tuple[Values, Values]:
    return quantile_models.bounds(model[-1], model[:-1].transform(table.frame.iloc[rows]))


def _values(table: tables.Table) -> Values:
    if table.values is None:
        raise ValueError("intervals need a target")
    return table.values
