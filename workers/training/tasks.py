"""The jobs of the training role."""

import sqlalchemy as sa

from shared.training import contract as training
from shared.training import exports, updates
from shared.training.search.commands import SEARCH, TRIAL
from workers import app, bodies
from workers.job import Finish, Job
from workers.training import adopt as adopting
from workers.training import experiment as experiments
from workers.training import export as exporting
from workers.training import fit as fitting
from workers.training import store
from workers.training import update as updating
from workers.training.search import tasks as searches

bodies.job(SEARCH)(searches.search)
bodies.job(TRIAL)(searches.try_out)
bodies.job(exports.EXPORT)(exporting.export)
bodies.job(updates.UPDATE)(updating.update)
bodies.job(training.ADOPT)(adopting.adopt)


@bodies.job(training.FIT)
def fit(job: Job, command: training.TrainModel) -> Finish:
    """Validate and fit a model, and keep it as the model's next version."""
    source = store.source_of(job, command)
    artifact = job.output("model.skops")
    trained = fitting.train_model(
        job.fetch(source.data),
        experiment=experiments.Experiment.of(
            command, columns=source.data.columns, estimator=command.estimator, recipe=source.recipe
        ),
        artifact_path=artifact.path,
        threads=app.threads(job.config),
        report=job.progress,
    )

    def finish(connection: sa.Connection) -> training.TrainedModel:
        return training.TrainedModel(
            **store.add_model(connection, job, command, trained, key=artifact.key, lineage=source.lineage)
        )

    return finish
