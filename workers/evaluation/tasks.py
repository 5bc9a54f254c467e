"""The jobs of the evaluation role."""

import sqlalchemy as sa

from shared import clock, contract, ids
from shared.catalog import marks, metric_values
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
    evaluated = evaluate(
        command,
        dataset=(dataset, job.fetch(dataset)),
        model=(model, job.fetch(model)),
        baseline=(baseline, job.fetch(baseline)) if baseline else None,
        report=job.progress,
    )
    findings = evaluated.findings
    evaluation_id = ids.new_job_id("evaluation")
    lineage = {
        "model": model.label,
        "model_sha256": model.sha256,
        "dataset": dataset.label,
        "dataset_sha256": dataset.sha256,
        **({"baseline": baseline.label, "baseline_sha256": baseline.sha256} if baseline else {}),
        **({"where": findings.where.model_dump(mode="json")} if findings.where else {}),
    }

    names = {"model_name": model.name, "dataset_name": dataset.name}

    def finish(connection: sa.Connection) -> ScoredModel:
        result = ScoredModel(evaluation=ScoredModel.Evaluation(id=evaluation_id), **dict(findings))
        tags = marks.tags_of_job(connection, job.id)
        created_at = connection.execute(
            sa.insert(tables.evaluations)
            .values(
                **findings.model_dump(mode="json", exclude={"where"}),
                details=evaluated.details,
                baseline_details=evaluated.baseline_details,
                id=evaluation_id,
                tenant_id=job.tenant_id,
                job_id=job.id,
                created_by=job.submitted_by,
                created_at=clock.now_ms(),
                model=lineage["model"],
                dataset=lineage["dataset"],
                lineage=lineage,
                **names,
                tags=tags,
            )
            .returning(tables.evaluations.c.created_at)
        ).scalar_one()
        key = {"tenant_id": job.tenant_id, "id": evaluation_id}
        marks.note_tags(connection, tables.evaluation_tags, tags, **key, created_at=created_at)
        metric_values.note(
            connection,
            tables.evaluation_metrics,
            findings.metrics,
            **key,
            **names,
        )
        note_lineage(connection, "evaluation", evaluation_id, tenant_id=job.tenant_id, job_id=job.id, lineage=lineage)
        gate = findings.gate
        event = {
            "id": evaluation_id,
            "model": lineage["model"],
            "passed": None if gate is None else gate.passed,
        }
        outbox.put(connection, [outbox.Event("evaluation.created", evaluation_id, job.tenant_id, event)])
        return result

    return finish
