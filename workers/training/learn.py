"""Fits a model with all that an experiment asks of it: intervals, calibration, a threshold."""

from sklearn import pipeline

from shared.ml import targets
from workers.training import intervals, models, refine, tables
from workers.training.experiment import Experiment
from workers.training.splits import inner


def learn(model: pipeline.Pipeline, table: tables.Table, *, experiment: Experiment, threads: int) -> refine.Refined:
    """Fit an unfitted model on rows, and refine it by these rows alone; what comes back may be another pipeline.

    Done inside each fold as well as for the final model, so that no fold's metrics know its held-out rows.
    """

    def fit(part: pipeline.Pipeline, rows: tables.Table) -> pipeline.Pipeline:
        return models.fit_model(part, rows, experiment=experiment, threads=threads)

    def fit_places(part: pipeline.Pipeline, places: targets.Values) -> None:
        fit(part, table.take(places))

    def folds(count: int) -> list[inner.Split]:
        return inner.folds(table, experiment=experiment, count=count, seed=experiment.setup.seed, strata=table.values)

    if experiment.setup.conformal is not None:
        with models.blame(experiment.estimator.name):
            made = intervals.fit_conformal(
                model, table, wanted=experiment.setup.conformal, experiment=experiment, fit=fit
            )
        return refine.Refined(made, {})
    if (experiment.setup.calibration is None and experiment.setup.threshold is None) or table.values is None:
        return refine.Refined(fit(model, table), {})
    return refine.refine(
        model,
        refine.Rows(table.frame, table.values, table.weights),
        fit=fit_places,
        folds=folds,
        calibration=experiment.setup.calibration,
        threshold=experiment.setup.threshold,
    )
