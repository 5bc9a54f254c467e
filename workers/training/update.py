"""The job that lets a stored version learn from more rows."""

from typing import Any, cast

import sqlalchemy as sa

from shared import contract, database
from shared.catalog import versions
from shared.catalog.lineage import fitted_on
from shared.recipe.language import Recipe
from shared.training import tables, updates
from shared.training.estimators.document import Estimator
from shared.training.estimators.spec import Problem
from shared.training.setup import Setup
from shared.training.trained import TrainedModel
from workers.app import threads
from workers.job import Finish, Job
from workers.training import fit, libraries, partial, store
from workers.training.experiment import Experiment

_ROLE = "training"
_MOST_EARLIER = 100
"""Datasets before the last that a version's lineage names."""


def update(job: Job, command: updates.UpdateModel) -> Finish:
    """Let a version learn from more rows, and keep it as the model's next version."""
    pin = contract.ModelPin.model_validate(job.pinned["model"])
    data = contract.DatasetPin.model_validate(job.pinned["dataset"])
    parent = _read(job, pin)
    artifact = job.output("model.skops")
    updated = partial.update_model(
        job.fetch(pin),
        sha256=pin.sha256,
        signature=pin.signature,
        dataset=job.fetch(data),
        experiment=_experiment(command, pin, data, parent),
        batches=command.batches,
        artifact_path=artifact.path,
        threads=threads(job.config),
        report=job.progress,
    )

    def finish(connection: sa.Connection) -> TrainedModel:
        trained = _describe(parent, updated)
        lineage = _lineage(pin, data)
        return TrainedModel(**store.add_model(connection, job, _Made(pin), trained, key=artifact.key, lineage=lineage))

    return finish


class _Made:
    """What a new version is called and for."""

    def __init__(self, pin: contract.ModelPin) -> None:
        self.name = pin.name
        self.problem = pin.problem
        self.target = pin.target


def _read(job: Job, pin: contract.ModelPin) -> sa.Row[Any]:
    """Read the parent's row in this role's own database; its pin has only what other roles need."""
    with database.of_process()[_ROLE].statements.connect() as connection:
        return versions.pinned(
            connection, tables.model_versions, tenant_id=job.tenant_id, name=pin.name, version=pin.version
        )


def _experiment(
    command: updates.UpdateModel, pin: contract.ModelPin, data: contract.DatasetPin, parent: sa.Row[Any]
) -> Experiment:
    """Say where the truth stands in the new rows: where it stood in the old ones, unless the command says otherwise."""
    signature: Any = pin.signature
    several = signature.get("targets")
    # Both were checked when the parent was trained. An estimator of others is refused when it is loaded; until then its
    # name is all that counts.
    setup = Setup.model_construct(
        problem=cast(Problem, pin.problem),
        target=None if several else command.target or pin.target,
        targets=several,
        separator=signature.get("separator"),
    )
    return Experiment(setup, data.columns, Estimator.model_construct(name=parent.estimator["name"], params={}))


def _describe(parent: sa.Row[Any], updated: partial.Updated) -> fit.TrainedArtifact:
    return fit.TrainedArtifact(
        metrics=updated.metrics,
        rows=parent.rows + updated.rows,
        classes=parent.signature["classes"],
        signature=parent.signature,
        recipe=Recipe.model_validate(parent.recipe),
        dropped=parent.dropped_columns,
        warnings=updated.warnings,
        notes=updated.notes,
        details=updated.details,
        estimator=parent.estimator["name"],
        parameters=parent.estimator["params"],
        libraries=libraries.versions_for(parent.estimator["name"]),
        sha256=updated.sha256,
        bytes=updated.bytes,
    )


def _lineage(pin: contract.ModelPin, data: contract.DatasetPin) -> dict[str, Any]:
    """Name the parent and the rows, and what the parent had learned from, so that an evaluation can tell its rows."""
    return {
        "parent": pin.label,
        "parent_sha256": pin.sha256,
        "dataset": data.label,
        "dataset_sha256": data.sha256,
        "earlier": fitted_on(pin.lineage)[-_MOST_EARLIER:],
    }
