"""The jobs of the evaluation role."""

from typing import Any

import sqlalchemy as sa

from shared import clock, contract, ids, kinds, outbox, runtime
from shared.evaluation import contract as evaluation
from shared.evaluation import tables
from workers.evaluation import score as scoring

SCORE, *_ = kinds.of_role("evaluation")


@runtime.job(SCORE)
def score(job: runtime.Job, command: evaluation.ScoreModel) -> runtime.Finish:
    """Score a model's version on a dataset, and keep the scores."""
    model = contract.ModelPin.model_validate(job.pinned["model"])
    dataset = contract.DatasetPin.model_validate(job.pinned["dataset"])
    scores = scoring.score_model(
        job.fetch(model),
        sha256=model.sha256,
        dataset=job.fetch(dataset),
        signature=model.signature,
        target=command.target or model.target,
        problem=model.problem,
        progress=job.progress,
    )
    evaluation_id = ids.new_job_id("evaluation")

    def finish(connection: sa.Connection) -> evaluation.ScoredModel:
        known: dict[str, Any] = {
            "metrics": scores.metrics,
            "rows": scores.rows,
            "skipped_rows": scores.skipped_rows,
            "warnings": scores.warnings,
        }
        connection.execute(
            sa.insert(tables.evaluations).values(
                **known,
                id=evaluation_id,
                tenant_id=job.tenant_id,
                job_id=job.id,
                created_by=job.submitted_by,
                created_at=clock.now_ms(),
                model=f"{model.name}@{model.version}",
                dataset=f"{dataset.name}@{dataset.version}",
                lineage={"model_sha256": model.sha256, "dataset_sha256": dataset.sha256},
            )
        )
        outbox.put(
            connection, [outbox.Event("evaluation.created", evaluation_id, job.tenant_id, {"id": evaluation_id})]
        )
        return evaluation.ScoredModel(evaluation=evaluation.ScoredModel.Evaluation(id=evaluation_id), **known)

    return finish
