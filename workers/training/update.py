"""The job that trains a stored version on more rows."""

from typing import Any, cast

import sqlalchemy as sa

from shared import contract, database, positive_class
from shared.catalog import versions
from shared.catalog.lineage import list_training_data
from shared.recipe.language import Recipe
from shared.training import tables, updates
from shared.training.estimators.document import Estimator
from shared.training.estimators.spec import Problem
from shared.training.setup import Setup
from shared.training.trained import TrainedModel
from workers import numeric_threads
from workers.job import Finish, Job
from workers.training import fit, libraries, partial, store
from workers.training.experiment import Experiment

_ROLE = "training"
_MAX_EARLIER_DATASETS = 100
"""The most datasets of earlier fits that a version's lineage names."""


def update(job: Job, command: updates.UpdateModel) -> Finish:
    """Train a version on more rows, and store it as the next version."""
    pin = contract.ModelPin.model_validate(job.pinned["model"])
    data = contract.DatasetPin.model_validate(job.pinned["dataset"])
    parent = _read_parent(job, pin)
    artifact = job.output("model.skops")
    updated = partial.update_model(
        job.fetch(pin),
        sha256=pin.sha256,
        signature=pin.signature,
        dataset=job.fetch(data),
        experiment=_make_experiment(command, pin, data, parent),
        batches=command.batches,
        artifact_path=artifact.path,
        threads=numeric_threads.count(job.config),
        report=job.progress,
    )

    def finish(connection: sa.Connection) -> TrainedModel:
        trained = _to_artifact(parent, updated)
        lineage = _make_lineage(pin, data)
        return TrainedModel(
            **store.add_model(connection, job, _UpdatedModel(pin), trained, key=artifact.key, lineage=lineage)
        )

    return finish


class _UpdatedModel:
    """The name, problem and target of the new version: those of its parent."""

    def __init__(self, pin: contract.ModelPin) -> None:
        self.name = pin.name
        self.problem = pin.problem
        self.target = pin.target


def _read_parent(job: Job, pin: contract.ModelPin) -> sa.Row[Any]:
    """Read the parent's row in this role's own database; the pin has only what other roles need."""
    with database.of_process()[_ROLE].statements.connect() as connection:
        return versions.read_pinned(
            connection, tables.model_versions, tenant_id=job.tenant_id, name=pin.name, version=pin.version
        )


def _make_experiment(
    command: updates.UpdateModel, pin: contract.ModelPin, data: contract.DatasetPin, parent: sa.Row[Any]
) -> Experiment:
    """Make the experiment for the new rows: the target's column is the parent's, unless the command names another."""
    signature: Any = pin.signature
    label_columns = signature.get("targets")
    # Setup and estimator were validated when the parent was trained, so they are built without validation. An estimator
    # that combines others is refused once the model is loaded; until then only its name is used.
    setup = Setup.model_construct(
        problem=cast(Problem, pin.problem),
        target=None if label_columns else command.target or pin.target,
        targets=label_columns,
        separator=signature.get("separator"),
        where=command.where,
    )
    return Experiment(setup, data.columns, Estimator.model_construct(name=parent.estimator["name"], params={}))


def _to_artifact(parent: sa.Row[Any], updated: partial.Updated) -> fit.TrainedArtifact:
    return fit.TrainedArtifact(
        metrics=updated.metrics,
        rows=parent.rows + updated.rows,
        classes=parent.signature["classes"],
        positive=positive_class.of_signature(parent.signature),
        signature=parent.signature,
        recipe=Recipe.model_validate(parent.recipe),
        dropped=parent.dropped_columns,
        warnings=updated.warnings,
        notes=updated.notes,
        kept=updated.kept,
        details=updated.details,
        estimator=parent.estimator["name"],
        parameters=parent.estimator["params"],
        libraries=libraries.versions_for(parent.estimator["name"]),
        sha256=updated.sha256,
        bytes=updated.bytes,
    )


def _make_lineage(pin: contract.ModelPin, data: contract.DatasetPin) -> dict[str, Any]:
    """Name the parent, the new data and the parent's training data, so that an evaluation can recognise its rows."""
    return {
        "parent": pin.label,
        "parent_sha256": pin.sha256,
        "dataset": data.label,
        "dataset_sha256": data.sha256,
        "earlier": list_training_data(pin.lineage)[-_MAX_EARLIER_DATASETS:],
    }
