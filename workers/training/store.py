"""Where a job that trains gets its data from, and where its model goes."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import sqlalchemy as sa

from shared import clock, contract
from shared.catalog import versions
from shared.catalog.lineage import note_lineage
from shared.jobs import outbox
from shared.recipe.language import Recipe
from shared.training import registry, tables
from shared.training.setup import TrainingCommand
from shared.training.trained import TrainedModel
from workers.job import Job
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


def source_of(job: Job, command: TrainingCommand) -> Source:
    """Give a job's source; a feature set stands for its dataset and its recipe.

    The recipe is fitted anew inside each fold, so that no fold sees what the others' rows taught it.
    """
    if "features" in job.pinned:
        features = contract.FeaturesPin.model_validate(job.pinned["features"])
        pin = features.dataset
        recipe: Recipe | None = Recipe.model_validate(features.recipe)
        lineage = {"features": features.label, "features_sha256": features.sha256}
    else:
        pin, recipe, lineage = contract.DatasetPin.model_validate(job.pinned["dataset"]), command.recipe, {}
    return Source(pin, recipe, {**lineage, "dataset": pin.label, "dataset_sha256": pin.sha256})


def add_model(
    connection: sa.Connection,
    job: Job,
    command: Asked,
    trained: fit.TrainedArtifact,
    *,
    key: str,
    lineage: dict[str, Any],
) -> dict[str, Any]:
    """Write a model's next version, with the event that tells of it; gives the fields of a result."""
    recipe = trained.recipe.model_dump(mode="json")
    lineage = registry.complete(lineage, recipe=recipe)
    known: dict[str, Any] = {
        "metrics": {name: metric.model_dump(mode="json") for name, metric in trained.metrics.items()},
        "rows": trained.rows,
        "dropped_columns": trained.dropped,
        "warnings": trained.warnings,
        "notes": trained.notes,
    }
    row = {
        **known,
        "key": key,
        "sha256": trained.sha256,
        "bytes": trained.bytes,
        "problem": command.problem,
        "target": command.target,
        "signature": trained.signature,
        "estimator": {"name": trained.estimator, "params": trained.parameters},
        "recipe": recipe,
        "libraries": trained.libraries,
        "lineage": lineage,
        "details": trained.details,
    }
    version = add_version(connection, job, command.name, row)
    label = f"{command.name}@{version}"
    note_lineage(connection, "model", label, tenant_id=job.tenant_id, job_id=job.id, lineage=lineage)
    made = TrainedModel.Model(name=command.name, version=version, sha256=trained.sha256)
    return {**known, "model": made, "metrics": trained.metrics}


def add_version(connection: sa.Connection, job: Job, name: str, row: Mapping[str, Any]) -> int:
    """Write a model's next version, with the event that tells of it; `row` has the columns that the job knows."""
    version = versions.take_next(connection, tables.models, tenant_id=job.tenant_id, name=name)
    whole = {**row, "name": name, "version": version}
    connection.execute(
        sa.insert(tables.model_versions).values(
            **whole,
            tenant_id=job.tenant_id,
            job_id=job.id,
            created_by=job.submitted_by,
            created_at=clock.now_ms(),
        )
    )
    pin = {field: whole[field] for field in contract.ModelPin.model_fields}
    data = {"name": name, "version": version, "pin": pin}
    outbox.put(connection, [outbox.Event("model.created", f"{name}@{version}", job.tenant_id, data)])
    return version
