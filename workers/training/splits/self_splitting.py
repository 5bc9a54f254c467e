"""Fits models whose estimator splits its rows itself, by the validation's rule where that keeps rows apart.

Such estimators choose their regularisation by folds of their own (`cv`), or stop early by rows that they hold out. By
default they would split at random or in the order of the rows. docs/decisions/models.md, "What splits rows inside a fit
follows the validation".
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from sklearn import multioutput, pipeline

from shared import errors
from shared.ml import quantile_models, targets
from shared.training import random_splits
from shared.training.estimators import allow_list, checks
from workers.training import tables
from workers.training.experiment import Experiment
from workers.training.splits import inner

# scikit-learn's default of `cv`.
FOLDS = 5


def fit(
    model: pipeline.Pipeline,
    table: tables.Table,
    *,
    experiment: Experiment,
    weights: targets.Values | None = None,
) -> None:
    """Fit a model in place; without times and groups just as scikit-learn does.

    BadModelError for an estimator that would hold out rows at random, BadDataError for rows that can't be split.
    """
    estimator, target = unwrap(model[-1]), table.values if experiment.setup.has_target else None
    fit_params = {} if weights is None else {"estimator__sample_weight": weights}
    if not inner.forbids_random_splits(table):
        model.fit(table.frame, target, **fit_params)
    elif checks.holds_rows_out(experiment.estimator.name, estimator.get_params(deep=False)):
        _fit_with_early_stopping(model, table, experiment=experiment, weights=weights)
    else:
        with _with_our_folds(estimator, table, experiment=experiment):
            model.fit(table.frame, target, **fit_params)


def unwrap(estimator: Any) -> Any:
    """Return the estimator inside the wrapper that the problem may need."""
    is_wrapped = isinstance(estimator, multioutput.MultiOutputClassifier | quantile_models.QuantileModels)
    return estimator.estimator if is_wrapped else estimator


@contextlib.contextmanager
def _with_our_folds(estimator: Any, table: tables.Table, *, experiment: Experiment) -> Iterator[None]:
    """Let an estimator with built-in cross-validation use our folds; afterwards `cv` is what it was."""
    if "cv" not in allow_list.specs()[experiment.estimator.name].parameters:
        yield
        return
    count, strata = estimator.cv, table.values if experiment.setup.problem == "classification" else None
    splits = inner.make_folds(
        table, experiment=experiment, count=count or FOLDS, seed=experiment.setup.seed, strata=strata
    )
    estimator.set_params(cv=splits)
    yield
    estimator.set_params(cv=count)


def _fit_with_early_stopping(
    model: pipeline.Pipeline, table: tables.Table, *, experiment: Experiment, weights: targets.Values | None
) -> None:
    """Fit recipe and estimator on some of the rows, and stop early by the others."""
    name, estimator, values = experiment.estimator.name, unwrap(model[-1]), table.values
    if values is None or not random_splits.accepts_validation_rows(name, problem=experiment.setup.problem):
        raise errors.BadModelError(random_splits.describe_refusal(name), pointer="#/params/early_stopping")
    share = estimator.validation_fraction
    train, held_out = inner.hold_out(
        table,
        experiment=experiment,
        fraction=share if share < 1 else share / len(table.frame),
        seed=experiment.setup.seed,
        strata=values if experiment.setup.problem == "classification" else None,
    )
    recipe = model[:-1]
    features = recipe.fit_transform(table.frame.iloc[train], values[train])
    fit_params = {"X_val": recipe.transform(table.frame.iloc[held_out]), "y_val": values[held_out]}
    if weights is not None:
        fit_params |= {"sample_weight": weights[train], "sample_weight_val": weights[held_out]}
    model[-1].fit(features, values[train], **fit_params)
