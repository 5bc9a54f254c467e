"""The jobs of the processing role."""

import sqlalchemy as sa

from shared import contract, digests
from shared.processing.contract import (
    ADOPT,
    ADOPT_FEATURES,
    APPLY,
    FIT,
    AppliedFeatures,
    ApplyFeatures,
    FitFeatures,
    FittedFeatures,
)
from workers import bodies, dataset_adoption, dataset_writing
from workers.job import Finish, Job
from workers.processing import store
from workers.processing.adopt import adopt_features
from workers.processing.apply import apply_features
from workers.processing.fit import fit_features

bodies.job(ADOPT)(dataset_adoption.adopt)
bodies.job(ADOPT_FEATURES)(adopt_features)


@bodies.job(FIT)
def fit(job: Job, command: FitFeatures) -> Finish:
    """Fit a recipe, and keep the transformer and the transformed dataset."""
    pin = contract.DatasetPin.model_validate(job.pinned["dataset"])
    transformer, output = job.output("transformer.skops"), job.output("data.parquet")
    fitted = fit_features(
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

    def finish(connection: sa.Connection) -> FittedFeatures:
        dataset = dataset_writing.write(
            connection,
            job,
            f"{command.name}-data",
            key=output.key,
            table=fitted,
            notes=fitted.notes,
            lineage=lineage,
        )
        version = store.add_features(connection, job, command.name, row=row)
        features = FittedFeatures.Features(name=command.name, version=version, columns=fitted.features, sha256=digest)
        return FittedFeatures(features=features, dataset=dataset, notes=fitted.notes)

    return finish


@bodies.job(APPLY)
def apply(job: Job, command: ApplyFeatures) -> Finish:
    """Apply a fitted feature set to a dataset, as a new version of a dataset."""
    features = contract.FeaturesPin.model_validate(job.pinned["features"])
    dataset = contract.DatasetPin.model_validate(job.pinned["dataset"])
    output = job.output("data.parquet")
    applied = apply_features(
        job.fetch(dataset),
        transformer=job.fetch(features),
        sha256=features.sha256,
        output_path=output.path,
        progress=job.progress,
    )

    def finish(connection: sa.Connection) -> AppliedFeatures:
        version = dataset_writing.write(
            connection,
            job,
            command.name or f"{features.name}-output",
            key=output.key,
            table=applied,
            notes=applied.notes,
            lineage={"dataset": dataset.label, "features": features.label},
        )
        return AppliedFeatures(dataset=version, notes=applied.notes)

    return finish
