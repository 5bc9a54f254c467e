"""The jobs of the training role."""

import sqlalchemy as sa

from shared import kinds, runtime, worker_app
from shared.training import contract as training
from workers.training import adopt as adopting
from workers.training import experiment as experiments
from workers.training import export as exporting
from workers.training import fit as fitting
from workers.training import store
from workers.training import update as updating
from workers.training.search import tasks as searches

# The jobs of a search, of exports and of updates have files of their own; Celery loads this one.
SEARCHES = (searches.search, searches.try_out)
EXPORT = exporting.export
ADOPT = adopting.adopt
UPDATE = updating.update
FIT, *_ = kinds.of_role("training")


@runtime.job(FIT)
def fit(job: runtime.Job, command: training.TrainModel) -> runtime.Finish:
    """Validate and fit a model, and keep it as the model's next version."""
    source = store.source_of(job, command)
    artifact = job.output("model.skops")
    trained = fitting.train_model(
        job.fetch(source.data),
        experiment=experiments.Experiment.of(
            command, columns=source.data.columns, estimator=command.estimator, recipe=source.recipe
        ),
        artifact_path=artifact.path,
        threads=worker_app.threads(job.config),
        report=job.progress,
    )

    def finish(connection: sa.Connection) -> training.TrainedModel:
        return training.TrainedModel(
            **store.add_model(connection, job, command, trained, key=artifact.key, lineage=source.lineage)
        )

    return finish
