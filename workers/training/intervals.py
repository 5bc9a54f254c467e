"""Adds prediction intervals to a regressor by conformal prediction, from its errors on rows that it hasn't seen."""

from collections.abc import Callable

import numpy as np
from sklearn import base, pipeline

from shared import errors
from shared.ml import quantile_models, targets
from shared.training.refinements import Conformal
from workers.training import tables
from workers.training.experiment import Experiment
from workers.training.splits import inner

Values = targets.Values
Fit = Callable[[pipeline.Pipeline, tables.Table], pipeline.Pipeline]
"""Fits a model in place on rows."""


def fit_conformal(
    model: pipeline.Pipeline,
    table: tables.Table,
    *,
    settings: Conformal,
    experiment: Experiment,
    fit: Fit,
) -> pipeline.Pipeline:
    """Fit a model with intervals; the numbers equal MAPIE's on the same rows.

    `split` is SplitConformalRegressor, or ConformalizedQuantileRegressor for a model of quantiles. `cross` is
    CrossConformalRegressor with the method `base`, whose predictions are those of the model fitted on all rows. Which
    errors are measured follows the validation: of later rows, or of other groups. BadDataError when there are too few.
    """
    if settings.method == "split":
        train, held_out = inner.hold_out(table, experiment=experiment, fraction=settings.fraction, seed=settings.seed)
        fit(model, table.take(train))
        lower, upper = _bounds(model, table, held_out)
    else:
        splits = inner.make_folds(table, experiment=experiment, count=settings.folds, seed=settings.seed)
        lower = np.concatenate(
            [_bounds(fit(base.clone(model), table.take(train)), table, rows)[0] for train, rows in splits]
        )
        held_out, upper = np.concatenate([rows for _, rows in splits]), lower
        fit(model, table)
    conformal = quantile_models.ConformalModel(model[-1], settings.confidence)
    try:
        conformal.fit(lower, upper, _require_targets(table)[held_out])
    except ValueError as error:
        raise errors.BadDataError(f"conformal intervals: {error}", pointer="#/params/conformal") from error
    return pipeline.Pipeline([*model.steps[:-1], (model.steps[-1][0], conformal)])


def _bounds(model: pipeline.Pipeline, table: tables.Table, rows: Values) -> tuple[Values, Values]:
    return quantile_models.predict_bounds(model[-1], model[:-1].transform(table.frame.iloc[rows]))


def _require_targets(table: tables.Table) -> Values:
    if table.values is None:
        raise ValueError("intervals need a target")
    return table.values
