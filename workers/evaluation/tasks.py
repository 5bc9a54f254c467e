"""The jobs of the evaluation role."""

import sqlalchemy as sa

from shared import clock, contract, ids
from shared.catalog.lineage import note_lineage
from shared.evaluation import tables
from shared.evaluation.contract import SCORE, ScoredModel, ScoreModel
from shared.jobs import outbox
from workers import bodies
from workers.evaluation.evaluate import evaluate
from workers.job import Finish, Job


@bodies.job(SCORE)
def score(job: Job, command: ScoreModel) -> Finish:
    """Score a model's version on a dataset, and store the evaluation."""
    model = contract.ModelPin.model_validate(job.pinned["model"])
    dataset = contract.DatasetPin.model_validate(job.pinned["dataset"])
    baseline = contract.ModelPin.model_validate(job.pinned["baseline"]) if command.baseline else None
    findings = evaluate(
        command,
        dataset=(dataset, job.fetch(dataset)),
        model=(model, job.fetch(model)),
        baseline=(baseline, job.fetch(baseline)) if baseline else None,
        report=job.progress,
    )
    evaluation_id = ids.new_job_id("evaluation")
    lineage = {
        "model": model.label,
        "model_sha256": model.sha256,
        "dataset": dataset.label,
        "dataset_sha256": dataset.sha256,
        **({"baseline": baseline.label, "baseline_sha256": baseline.sha256} if baseline else {}),
    }

    def finish(connection: sa.Connection) -> ScoredModel:
        result = ScoredModel(evaluation=ScoredModel.Evaluation(id=evaluation_id), **dict(findings))
        connection.execute(
            sa.insert(tables.evaluations).values(
                **findings.model_dump(mode="json"),
                id=evaluation_id,
                tenant_id=job.tenant_id,
                job_id=job.id,
                created_by=job.submitted_by,
                created_at=clock.now_ms(),
                model=lineage["model"],
                dataset=lineage["dataset"],
                lineage=lineage,
            )
        )
        note_lineage(connection, "evaluation", evaluation_id, tenant_id=job.tenant_id, job_id=job.id, lineage=lineage)
        event = {
            "id": evaluation_id,
            "model": lineage["model"],
            "passed": None if findings.gate is None else findings.gate.passed,
        }
        outbox.put(connection, [outbox.Event("evaluation.created", evaluation_id, job.tenant_id, event)])
        return result

    return finish
