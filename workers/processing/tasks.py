"""The jobs of the processing role."""

import sqlalchemy as sa

from shared import contract, digests
from shared.processing import contract as processing
from workers import bodies, dataset_adoption, dataset_writing
from workers.job import Finish, Job
from workers.processing import adopt as adopting
from workers.processing import apply as applying
from workers.processing import fit as fitting
from workers.processing import store

bodies.job(processing.ADOPT)(dataset_adoption.adopt)
bodies.job(processing.ADOPT_FEATURES)(adopting.adopt_features)


@bodies.job(processing.FIT)
def fit(job: Job, command: processing.FitFeatures) -> Finish:
    """Fit a recipe, and keep the transformer and what it makes of the dataset."""
    pin = contract.DatasetPin.model_validate(job.pinned["dataset"])
    transformer, output = job.output("transformer.skops"), job.output("data.parquet")
    fitted = fitting.fit_features(
        job.fetch(pin),
        recipe=command.recipe,
        columns=pin.columns,
        target=command.target,
        problem=command.problem,
        transformer_path=transformer.path,
        output_path=output.path,
        progress=job.progress,
    )
    digest = digests.of_file(transformer.path)
    lineage = {"dataset": pin.label, "dataset_sha256": pin.sha256}
    row = {
        "key": transformer.key,
        "sha256": digest,
        "bytes": fitted.transformer_bytes,
        "recipe": command.recipe.model_dump(mode="json"),
        "columns": fitted.features,
        "dataset": pin.model_dump(mode="json"),
        "notes": fitted.notes,
        "lineage": lineage,
    }

    def finish(connection: sa.Connection) -> processing.FittedFeatures:
        made = dataset_writing.write(
            connection,
            job,
            f"{command.name}-data",
            key=output.key,
            table=fitted,
            notes=fitted.notes,
            lineage=lineage,
        )
        version = store.add_features(connection, job, command.name, row=row)
        features = processing.FittedFeatures.Features(
            name=command.name, version=version, columns=fitted.features, sha256=digest
        )
        return processing.FittedFeatures(features=features, dataset=made, notes=fitted.notes)

    return finish


@bodies.job(processing.APPLY)
def apply(job: Job, command: processing.ApplyFeatures) -> Finish:
    """Apply a fitted feature set to a dataset, as a new version of a dataset."""
    features = contract.FeaturesPin.model_validate(job.pinned["features"])
    dataset = contract.DatasetPin.model_validate(job.pinned["dataset"])
    output = job.output("data.parquet")
    made = applying.apply_features(
        job.fetch(dataset),
        transformer=job.fetch(features),
        sha256=features.sha256,
        output_path=output.path,
        progress=job.progress,
    )

    def finish(connection: sa.Connection) -> processing.AppliedFeatures:
        version = dataset_writing.write(
            connection,
            job,
            command.name or f"{features.name}-output",
            key=output.key,
            table=made,
            notes=made.notes,
            lineage={"dataset": dataset.label, "features": features.label},
        )
        return processing.AppliedFeatures(dataset=version, notes=made.notes)

    return finish
