"""The jobs of the ingestion role."""

import sqlalchemy as sa

from shared import contract, datasets, kinds, runtime, worker_app
from shared.ingestion import contract as ingestion
from workers.ingestion import load as tables

(LOAD, *_) = kinds.of_role("ingestion")


@runtime.job(LOAD)
def load(job: runtime.Job, command: ingestion.LoadDataset) -> runtime.Finish:
    """Read an upload, type and profile it, and store it as a dataset's next version."""
    upload = contract.UploadPin.model_validate(job.pinned["source.upload"])
    output = job.output("data.parquet")
    table = tables.load_table(
        job.fetch(upload),
        target=output.path,
        options=command,
        scratch=job.scratch,
        threads=worker_app.threads(job.config),
        progress=job.progress,
    )

    def finish(connection: sa.Connection) -> ingestion.LoadedDataset:
        version = datasets.add(
            connection,
            job.new_dataset(
                command.name,
                key=output.key,
                table=table,
                profile=table.profile,
                notes=table.notes,
                lineage={"source": {"type": "upload", "sha256": upload.sha256, "bytes": upload.bytes}},
            ),
        )
        return ingestion.LoadedDataset(dataset=version, notes=table.notes)

    return finish
