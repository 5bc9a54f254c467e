"""The jobs of the training role."""

from typing import Any

import sqlalchemy as sa

from shared import clock, contract, kinds, outbox, runtime, versions, worker_app
from shared.recipe import Recipe
from shared.training import contract as training
from shared.training import tables
from workers.training import experiment as experiments
from workers.training import fit as fitting

FIT, *_ = kinds.of_role("training")


@runtime.job(FIT)
def fit(job: runtime.Job, command: training.TrainModel) -> runtime.Finish:
    """Validate and fit a model, and keep it as the model's next version."""
    pin, recipe, lineage = _source(job, command)
    artifact = job.output("model.skops")
    trained = fitting.train_model(
        job.fetch(pin),
        experiment=experiments.Experiment(
            columns=pin.columns,
            target=command.target,
            problem=command.problem,
            estimator=command.estimator,
            recipe=recipe,
            validation=command.validation,
            seed=command.seed,
        ),
        artifact_path=artifact.path,
        threads=worker_app.threads(job.config),
        report=job.progress,
    )

    def finish(connection: sa.Connection) -> training.TrainedModel:
        version = _add_model(connection, job, command, trained, key=artifact.key, lineage=lineage)
        return training.TrainedModel(
            model=training.TrainedModel.Model(name=command.name, version=version, sha256=trained.sha256),
            metrics={
                name: training.Metric.model_validate(metric.model_dump()) for name, metric in trained.metrics.items()
            },
            rows=trained.rows,
            dropped_columns=trained.dropped,
            warnings=trained.warnings,
            notes=trained.notes,
        )

    return finish


def _source(
    job: runtime.Job, command: training.TrainModel
) -> tuple[contract.DatasetPin, Recipe | None, dict[str, Any]]:
    """Give the data, the recipe and the lineage: a feature set stands for its dataset and its recipe.

    The recipe is fitted anew inside each fold, so that no fold sees what the others' rows taught it.
    """
    if "features" in job.pinned:
        features = contract.FeaturesPin.model_validate(job.pinned["features"])
        pin = features.dataset
        recipe: Recipe | None = Recipe.model_validate(features.recipe)
        lineage = {"features": f"{features.name}@{features.version}"}
    else:
        pin, recipe, lineage = contract.DatasetPin.model_validate(job.pinned["dataset"]), command.recipe, {}
    return pin, recipe, {**lineage, "dataset": f"{pin.name}@{pin.version}", "dataset_sha256": pin.sha256}


def _add_model(
    connection: sa.Connection,
    job: runtime.Job,
    command: training.TrainModel,
    trained: fitting.TrainedArtifact,
    *,
    key: str,
    lineage: dict[str, Any],
) -> int:
    """Write a model's next version, with the event that tells of it."""
    version = versions.take_next(connection, tables.models, tenant_id=job.tenant_id, name=command.name)
    pin = {
        "name": command.name,
        "version": version,
        "key": key,
        "sha256": trained.sha256,
        "problem": command.problem,
        "target": command.target,
        "signature": trained.signature,
    }
    connection.execute(
        sa.insert(tables.model_versions).values(
            **pin,
            tenant_id=job.tenant_id,
            job_id=job.id,
            created_by=job.submitted_by,
            created_at=clock.now_ms(),
            bytes=trained.bytes,
            estimator={"name": command.estimator.name, "params": trained.parameters},
            recipe=trained.recipe.model_dump(mode="json"),
            metrics={name: metric.model_dump(mode="json") for name, metric in trained.metrics.items()},
            rows=trained.rows,
            dropped_columns=trained.dropped,
            warnings=trained.warnings,
            notes=trained.notes,
            libraries=trained.libraries,
            lineage=lineage,
        )
    )
    data = {"name": command.name, "version": version, "pin": pin}
    outbox.put(connection, [outbox.Event("model.created", f"{command.name}@{version}", job.tenant_id, data)])
    return version
