"""Fits a model with all that an experiment requests: intervals, calibration, a threshold."""

from sklearn import pipeline

from shared.ml import targets
from workers.training import intervals, models, refine, tables
from workers.training.experiment import Experiment
from workers.training.splits import inner


def fit_refined(
    model: pipeline.Pipeline, table: tables.Table, *, experiment: Experiment, threads: int
) -> refine.Refined:
    """Fit an unfitted model on rows, and refine it by these rows alone; the returned pipeline may be another one.

    Done inside each fold as well as for the final model, so that no fold's metrics depend on its held-out rows.
    """

    def fit(unfitted: pipeline.Pipeline, rows: tables.Table) -> pipeline.Pipeline:
        return models.fit_model(unfitted, rows, experiment=experiment, threads=threads)

    def fit_on(unfitted: pipeline.Pipeline, rows: targets.Values) -> None:
        fit(unfitted, table.take(rows))

    def make_folds(count: int) -> list[inner.Split]:
        return inner.make_folds(
            table, experiment=experiment, count=count, seed=experiment.setup.seed, strata=table.values
        )

    if experiment.setup.conformal is not None:
        with models.translate_errors(experiment.estimator.name):
            conformal = intervals.fit_conformal(
                model, table, settings=experiment.setup.conformal, experiment=experiment, fit=fit
            )
        return refine.Refined(conformal, {})
    if (experiment.setup.calibration is None and experiment.setup.threshold is None) or table.values is None:
        return refine.Refined(fit(model, table), {})
    return refine.refine(
        model,
        refine.Rows(table.frame, table.values, table.weights),
        fit=fit_on,
        make_folds=make_folds,
        calibration=experiment.setup.calibration,
        threshold=experiment.setup.threshold,
        positive=table.positive,
    )
