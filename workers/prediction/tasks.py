"""The jobs of the prediction role."""

import sqlalchemy as sa

from shared import contract
from shared.prediction.contract import ADOPT, BATCH, PredictBatch, PredictedBatch
from workers import bodies, dataset_adoption, dataset_writing
from workers.job import Finish, Job
from workers.prediction.batch import predict_batch

bodies.job(ADOPT)(dataset_adoption.adopt)


@bodies.job(BATCH)
def batch(job: Job, command: PredictBatch) -> Finish:
    """Predict every row of a dataset, and store its columns with the predictions as a new version of a dataset."""
    model = contract.ModelPin.model_validate(job.pinned["model"])
    dataset = contract.DatasetPin.model_validate(job.pinned["dataset"])
    output = job.output("data.parquet")
    predicted = predict_batch(
        job.fetch(model),
        sha256=model.sha256,
        dataset=job.fetch(dataset),
        signature=model.signature,
        problem=model.problem,
        output_path=output.path,
        prefix=command.prefix,
        progress=job.progress,
    )

    def finish(connection: sa.Connection) -> PredictedBatch:
        version = dataset_writing.write(
            connection,
            job,
            command.name or f"{model.name}-predictions",
            key=output.key,
            table=predicted,
            notes=predicted.warnings,
            lineage={"model": model.label, "dataset": dataset.label},
        )
        return PredictedBatch(dataset=version, warnings=predicted.warnings)

    return finish
