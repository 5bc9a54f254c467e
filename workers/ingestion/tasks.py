"""The jobs of the ingestion role."""

from shared import contract, database
from shared.ingestion import sources
from shared.ingestion.contract import ADOPT, LOAD, LoadDataset
from workers import bodies, dataset_adoption
from workers.app import threads
from workers.ingestion import assembly, base, checks, lock, refine, version_writer
from workers.ingestion.sources import fetch
from workers.job import Finish, Job, Rest

bodies.job(ADOPT)(dataset_adoption.adopt)


@bodies.job(LOAD)
def load(job: Job, command: LoadDataset) -> Finish:
    """Read a table from its source, type and profile it, and store it as a dataset's next version."""
    checks.check_patterns(command.expectations)
    if rest := _wait_for_lock(job, command.name):
        return rest
    with database.of_process()["ingestion"].statements.connect() as connection:
        start = base.read(connection, tenant_id=job.tenant_id, name=command.name)
    before = None if start.latest is None else _before(job, start.latest, command)
    fetched = _fetch(job, command, before=before)
    found = version_writer.Record(
        job, command, start, fetched, output=job.output("data.parquet"), kept_out=job.output("quarantine.parquet")
    )
    made = assembly.assemble(
        fetched.path,
        files=_files(found),
        command=_completed(command, fetched),
        before=before,
        threads=threads(job.config),
        progress=job.progress,
    )
    return found.unchanged(before) if made is None else lambda connection: found.write(connection, made)


def _wait_for_lock(job: Job, name: str) -> Rest | None:
    """Lock the dataset's name for this job; gives the rest that it must take while another job loads the same."""
    with database.of_process()["ingestion"].transactions.begin() as connection:
        if lock.take(connection, tenant_id=job.tenant_id, name=name, job_id=job.id):
            return None
        seconds = lock.rest_seconds(connection, job_id=job.id)
    job.progress(0.0, f"waiting for another job that loads {name}")
    return Rest(seconds=seconds)


def _before(job: Job, latest: contract.DatasetPin, command: LoadDataset) -> assembly.Before:
    column = command.watermark and command.watermark.column
    above = base.greatest(job.fetch(latest), column=column) if column else None
    return assembly.Before(latest.version, latest.columns, above)


def _fetch(job: Job, command: LoadDataset, *, before: assembly.Before | None) -> fetch.Fetched:
    """Give the bytes of an upload, or fetch those of another source, which may leave out what is not new."""
    if isinstance(command.source, sources.UploadSource):
        upload = contract.UploadPin.model_validate(job.pinned["source.upload"])
        lineage = {"type": "upload", "sha256": upload.sha256, "bytes": upload.bytes}
        return fetch.Fetched(job.fetch(upload), None, "none", lineage)
    known = None
    if command.watermark and before and before.above is not None:
        known = fetch.Watermark(command.watermark.column, before.above)
    return fetch.fetch(
        command.source,
        tenant_id=job.tenant_id,
        scratch=job.scratch,
        config=job.config,
        watermark=known,
        report=job.progress,
    )


def _completed(command: LoadDataset, fetched: fetch.Fetched) -> LoadDataset:
    """Fill in what the source tells of the bytes, and the command does not say."""
    told = {"encoding": command.csv.encoding or fetched.charset, **fetched.csv}
    return command.model_copy(
        update={
            "format": command.format or fetched.format,
            "compression": command.compression or fetched.compression,
            "csv": command.csv.model_copy(update=told),
        }
    )


def _files(found: version_writer.Record) -> refine.Files:
    latest = found.start.latest
    extended = found.job.fetch(latest) if latest and found.command.mode == "append" else None
    return refine.Files(
        read=found.job.scratch / "read.parquet" if extended else found.output.path,
        before=extended,
        target=found.output.path,
        quarantine=found.kept_out.path,
        scratch=found.job.scratch,
    )
