"""Finds a training job's data, and writes its model as a new version."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import sqlalchemy as sa

from shared import clock, contract
from shared.catalog import versions
from shared.catalog.lineage import note_lineage
from shared.jobs import outbox
from shared.recipe.language import Recipe
from shared.training import provenance, tables
from shared.training.setup import TrainingCommand
from shared.training.trained import TrainedModel
from workers.job import Job
from workers.training import fit


class NewModel(Protocol):
    """The name, problem and target of a new version."""

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def problem(self) -> str:
        """The kind of prediction."""

    @property
    def target(self) -> str | None:
        """The column to predict, if there is a single one."""


@dataclasses.dataclass(frozen=True)
class Source:
    """The data to learn from, the recipe if one was given, and both as a version's lineage names them."""

    data: contract.DatasetPin
    recipe: Recipe | None
    lineage: dict[str, Any]


def read_source(job: Job, command: TrainingCommand) -> Source:
    """Read a job's source from its pins; of a feature set the dataset and the recipe are used.

    The recipe is fitted again inside each fold: docs/decisions/models.md, "A feature set that is trained on stands for
    its dataset and recipe".
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
    command: NewModel,
    trained: fit.TrainedArtifact,
    *,
    key: str,
    lineage: dict[str, Any],
) -> dict[str, Any]:
    """Write a trained model as the next version, with its event; return the fields of the job's result."""
    recipe = trained.recipe.model_dump(mode="json")
    lineage = provenance.complete_lineage(lineage, recipe=recipe)
    summary: dict[str, Any] = {
        "metrics": {name: metric.model_dump(mode="json") for name, metric in trained.metrics.items()},
        "rows": trained.rows,
        "dropped_columns": trained.dropped,
        "warnings": trained.warnings,
        "notes": trained.notes,
    }
    row = {
        **summary,
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
    model = TrainedModel.Model(name=command.name, version=version, sha256=trained.sha256)
    return {**summary, "model": model, "metrics": trained.metrics}


def add_version(connection: sa.Connection, job: Job, name: str, row: Mapping[str, Any]) -> int:
    """Write a model's next version, with its event; `row` has all columns but the name, the version and the job's."""
    version = versions.take_next(connection, tables.models, tenant_id=job.tenant_id, name=name)
    full_row = {**row, "name": name, "version": version}
    connection.execute(
        sa.insert(tables.model_versions).values(
            **full_row,
            tenant_id=job.tenant_id,
            job_id=job.id,
            created_by=job.submitted_by,
            created_at=clock.now_ms(),
        )
    )
    pin = {field: full_row[field] for field in contract.ModelPin.model_fields}
    data = {"name": name, "version": version, "pin": pin}
    outbox.put(connection, [outbox.Event("model.created", f"{name}@{version}", job.tenant_id, data)])
    return version
