"""The jobs of the training role."""

import sqlalchemy as sa

from shared.training import exports, imports, updates
from shared.training.contract import ADOPT, FIT, SEGMENT, TrainModel
from shared.training.search.commands import SEARCH, TRIAL
from shared.training.trained import TrainedModel
from workers import bodies, numeric_threads
from workers.job import Finish, Job
from workers.training import store
from workers.training.adopt import adopt
from workers.training.experiment import Experiment
from workers.training.export import export
from workers.training.fit import train_model
from workers.training.imports.import_model import import_model
from workers.training.search.tasks import run_trial, search
from workers.training.segments.conductor import Conductor
from workers.training.segments.segment_fit import train_segment
from workers.training.update import update

bodies.job(SEARCH)(search)
bodies.job(TRIAL)(run_trial)
bodies.job(SEGMENT)(train_segment)
bodies.job(exports.EXPORT)(export)
bodies.job(updates.UPDATE)(update)
bodies.job(imports.IMPORT)(import_model)
bodies.job(ADOPT)(adopt)


@bodies.job(FIT)
def fit(job: Job, command: TrainModel) -> Finish:
    """Validate and fit a model, and store it as the next version; or, per value, take a turn with the children."""
    if command.per is not None:
        return Conductor(job, command).take_turn()
    command = store.complete(job, command)
    source = store.read_source(job, command)
    artifact = job.output("model.skops")
    trained = train_model(
        job.fetch(source.data),
        experiment=Experiment(command, source.columns, command.estimator, source.recipe),
        artifact_path=artifact.path,
        threads=numeric_threads.count(job.config),
        report=job.progress,
    )

    def finish(connection: sa.Connection) -> TrainedModel:
        return TrainedModel(
            **store.add_model(connection, job, command, trained, key=artifact.key, lineage=source.lineage)
        )

    return finish
