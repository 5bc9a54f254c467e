"""The jobs of the prediction role."""

import functools
import hashlib
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from shared import contract
from shared.prediction.contract import (
    ADOPT,
    BATCH,
    INFER,
    LOG,
    LOG_DATASET,
    ROLLOUT,
    SHADOW,
    Infer,
    Inferred,
    PredictBatch,
    PredictedBatch,
    ShadowDeployment,
)
from workers import bodies, dataset_adoption, dataset_writing, numeric_threads
from workers.job import Finish, Job
from workers.prediction import infer, infer_graphs, loaded
from workers.prediction.batches import parts
from workers.prediction.batches.batch import predict
from workers.prediction.batches.plan import Plan, PlannedVersion, Split
from workers.prediction.canaries import rollout
from workers.prediction.logs import compacting, datasets
from workers.prediction.online.versions import Version
from workers.prediction.shadows import replaying

bodies.job(ADOPT)(dataset_adoption.adopt)
bodies.job(ROLLOUT)(rollout.roll_out)
bodies.job(LOG)(compacting.write_log)
bodies.job(LOG_DATASET)(datasets.make_dataset)
_deployments = infer.Deployments()
_open_loaded = functools.cache(loaded.open_loaded)


@bodies.job(INFER)
def infer_together(jobs: Sequence[Job], commands: Sequence[Infer]) -> list[Inferred]:
    """Predict the rows of jobs that are pinned to the same deployment."""
    first = jobs[0]
    requests = [
        infer.Request(job.id, command, job.pinned["columns"]) for job, command in zip(jobs, commands, strict=True)
    ]

    def find_version(pin: contract.ModelPin) -> Version:
        return _open_loaded().find(pin, first.fetch)

    if "members" in first.pinned:
        return infer_graphs.predict(jobs, requests, _deployments, find_version=find_version)
    return _deployments.find(first).predict(requests, find_version=find_version)


@bodies.job(SHADOW)
def shadow(job: Job, command: ShadowDeployment) -> Finish:
    """Let a deployment's shadows predict what waits for them."""
    snapshot = infer.read_snapshot(job)
    return replaying.replay(job, command, snapshot, find_version=lambda pin: _open_loaded().find(pin, job.fetch))


@bodies.job(BATCH)
def batch(job: Job, command: PredictBatch) -> Finish:
    """Predict every row of a dataset, and store its columns with the predictions as a new version of a dataset."""
    dataset = contract.DatasetPin.model_validate(job.pinned["dataset"])
    plan, lineage = _plan_batch(job, command, dataset)
    output = job.output("data.parquet")
    mark = parts.mark(plan, part_rows=parts.count_rows(dataset.rows))
    kept = parts.Parts(job.store, folder=job.folder, attempt=job.attempt, mark=mark)
    predicted = predict(
        plan,
        output_path=output.path,
        kept=kept if parts.count_rows(dataset.rows) < dataset.rows else None,
        threads=numeric_threads.count(job.config),
        progress=job.progress,
    )
    job.after_success(lambda: job.store.remove(*kept.keys))

    def finish(connection: sa.Connection) -> PredictedBatch:
        version = dataset_writing.write(
            connection,
            job,
            command.datasets[0],
            key=output.key,
            table=predicted,
            notes=predicted.warnings,
            lineage=lineage,
        )
        return PredictedBatch(dataset=version, warnings=predicted.warnings)

    return finish


def _plan_batch(job: Job, command: PredictBatch, dataset: contract.DatasetPin) -> tuple[Plan, dict[str, Any]]:
    """Plan which versions predict which rows; returns the lineage of the result too."""
    path = f"{job.fetch(dataset)}"
    if command.model is not None:
        model = contract.ModelPin.model_validate(job.pinned["model"])
        versions = [PlannedVersion.of_pin(model, f"{job.fetch(model)}")]
        return Plan(dataset=path, versions=versions, prefix=command.prefix), {
            "model": model.label,
            "dataset": dataset.label,
        }
    snapshot = infer.read_snapshot(job)
    # A route without any place predicts nothing, and may be of a version that can't be loaded.
    routes = [route for route in snapshot.state["routes"] if route["ranges"]]
    pins = [contract.ModelPin.model_validate(snapshot.pins[route["model"]]) for route in routes]
    split = Split(
        name=snapshot.name,
        routes=routes,
        sticky_key=snapshot.state["sticky_key"],
        seed=int(hashlib.sha256(job.id.encode()).hexdigest()[:16], 16),
    )
    plan = Plan(
        dataset=path,
        versions=[PlannedVersion.of_pin(pin, f"{job.fetch(pin)}") for pin in pins],
        prefix=command.prefix,
        split=split,
    )
    labels = list(dict.fromkeys(pin.label for pin in pins))
    lineage = {"dataset": dataset.label, "deployment": job.pinned["deployment"], "models": labels}
    return plan, lineage
