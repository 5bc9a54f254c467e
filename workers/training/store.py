"""Where a job that trains gets its data from, and where its model goes."""

import dataclasses
from typing import Any, Protocol

import sqlalchemy as sa

from shared import clock, contract, outbox, runtime, versions
from shared import lineage as origins
from shared.recipe import Recipe
from shared.training import contract as training
from shared.training import experiments, registry, tables
from workers.training import fit


class Asked(Protocol):
    """What a new version is called and for."""

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def problem(self) -> str:
        """What sort of prediction it is."""

    @property
    def target(self) -> str | None:
        """The column to predict, if there is a single one."""


@dataclasses.dataclass(frozen=True)
class Source:
    """The data to learn from, the recipe if one was given, and what a version's lineage says of them."""

    data: contract.DatasetPin
    recipe: Recipe | None
    lineage: dict[str, Any]


def source_of(job: runtime.Job, command: experiments.Experiment) -> Source:
    """Give a job's source; a feature set stands for its dataset and its recipe.

    The recipe is fitted anew inside each fold, so that no fold sees what the others' rows taught it.
    """
    if "features" in job.pinned:
        features = contract.FeaturesPin.model_validate(job.pinned["features"])
        pin = features.dataset
        recipe: Recipe | None = Recipe.model_validate(features.recipe)
        lineage = {"features": f"{features.name}@{features.version}", "features_sha256": features.sha256}
    else:
        pin, recipe, lineage = contract.DatasetPin.model_validate(job.pinned["dataset"]), command.recipe, {}
    return Source(pin, recipe, {**lineage, "dataset": f"{pin.name}@{pin.version}", "dataset_sha256": pin.sha256})


def add_model(
    connection: sa.Connection,
    job: runtime.Job,
    command: Asked,
    trained: fit.TrainedArtifact,
    *,
    key: str,
    lineage: dict[str, Any],
) -> dict[str, Any]:
    """Write a model's next version, with the event that tells of it; gives the fields of a result."""
    lineage = registry.complete(lineage, recipe=trained.recipe.model_dump(mode="json"))
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
    known: dict[str, Any] = {
        "metrics": {name: metric.model_dump(mode="json") for name, metric in trained.metrics.items()},
        "rows": trained.rows,
        "dropped_columns": trained.dropped,
        "warnings": trained.warnings,
        "notes": trained.notes,
    }
    connection.execute(
        sa.insert(tables.model_versions).values(
            **pin,
            **known,
            tenant_id=job.tenant_id,
            job_id=job.id,
            created_by=job.submitted_by,
            created_at=clock.now_ms(),
            bytes=trained.bytes,
            estimator={"name": trained.estimator, "params": trained.parameters},
            recipe=trained.recipe.model_dump(mode="json"),
            libraries=trained.libraries,
            lineage=lineage,
            details=trained.details,
        )
    )
    label = f"{command.name}@{version}"
    origins.note(connection, "model", label, tenant_id=job.tenant_id, job_id=job.id, lineage=lineage)
    data = {"name": command.name, "version": version, "pin": pin}
    outbox.put(connection, [outbox.Event("model.created", label, job.tenant_id, data)])
    made = training.TrainedModel.Model(name=command.name, version=version, sha256=trained.sha256)
    return {**known, "model": made, "metrics": trained.metrics}
