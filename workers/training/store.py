"""Finds a training job's data, and writes its model as a new version."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import sqlalchemy as sa

from shared import contract
from shared.catalog import marks, metric_values, versions
from shared.catalog.lineage import list_sources, note_lineage
from shared.figures import curves
from shared.jobs import outbox
from shared.recipe.language import Recipe
from shared.training import columns, provenance, tables
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
    """The data to learn from, its columns that may be read, the recipe if one was given, and the version's lineage."""

    data: contract.DatasetPin
    columns: list[contract.Column]
    recipe: Recipe | None
    lineage: dict[str, Any]


def complete(job: Job, command: columns.Command) -> columns.Command:
    """Fill in the target of the feature set that is learned from, where the command names none."""
    return columns.complete(command, _read_features(job))


def read_source(job: Job, command: TrainingCommand) -> Source:
    """Read the source of a complete command from the job's pins; of a feature set the dataset and the recipe are used.

    The recipe is fitted again inside each fold: docs/decisions/models.md, "A feature set that is trained on stands for
    its dataset and recipe".
    """
    features = _read_features(job)
    if features is not None:
        pin = features.dataset
        recipe: Recipe | None = Recipe.model_validate(features.recipe)
        lineage = {"features": features.label, "features_sha256": features.sha256}
    else:
        pin, recipe, lineage = contract.DatasetPin.model_validate(job.pinned["dataset"]), command.recipe, {}
    lineage |= {"dataset": pin.label, "dataset_sha256": pin.sha256}
    return Source(pin, columns.list_readable(command, pin, features), recipe, lineage)


def _read_features(job: Job) -> contract.FeaturesPin | None:
    return contract.FeaturesPin.model_validate(job.pinned["features"]) if "features" in job.pinned else None


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
    if trained.kept is not None:
        lineage["where"] = trained.kept.model_dump(mode="json")
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
    all_rows = trained.details.get("all_rows")
    return {
        **summary,
        "model": model,
        "metrics": trained.metrics,
        "all_rows": None if all_rows is None else curves.ClusteredRows.model_validate(all_rows),
        "positive": trained.positive,
        "where": trained.kept,
    }


def _describe_data(lineage: Mapping[str, Any]) -> dict[str, str]:
    """Describe the training data in columns, by which lists are filtered."""
    label = next((label for type_, label in list_sources(lineage) if type_ == "dataset"), "")
    return {"dataset_label": label, "dataset_name": label.partition("@")[0]}


def add_version(connection: sa.Connection, job: Job, name: str, row: Mapping[str, Any]) -> int:
    """Write a model's next version, with its event; `row` has all columns but the name, the version and the job's."""
    version = versions.take_next(connection, tables.models, tenant_id=job.tenant_id, name=name)
    full_row = {**row, "name": name, "version": version, **_describe_data(row["lineage"])}
    tags = marks.tags_of_job(connection, job.id) if row.get("tags") is None else row["tags"]
    made_by = {"tenant_id": job.tenant_id, "job_id": job.id, "created_by": job.submitted_by}
    versions.insert(connection, tables.model_versions, tables.model_tags, {**full_row, **made_by, "tags": tags})
    metric_values.note(
        connection,
        tables.model_metrics,
        row["metrics"],
        tenant_id=job.tenant_id,
        name=name,
        version=version,
        dataset_name=full_row["dataset_name"],
    )
    pin = {field: full_row[field] for field in contract.ModelPin.model_fields}
    data = {"name": name, "version": version, "pin": pin}
    outbox.put(connection, [outbox.Event("model.created", f"{name}@{version}", job.tenant_id, data)])
    return version
