"""The jobs of the ingestion role."""

from collections.abc import Mapping

from shared import contract, database
from shared.ingestion import sources
from shared.ingestion.contract import ADOPT, LOAD, LoadDataset
from shared.ingestion.reading import ReadingOptions
from workers import bodies, dataset_adoption, numeric_threads
from workers.ingestion import assembly, base, lock, signature_types, version_writer
from workers.ingestion.new_version import checks, refine, watermarks
from workers.ingestion.sources import fetch, fetched_file
from workers.job import Finish, Job, Rest

bodies.job(ADOPT)(dataset_adoption.adopt)


@bodies.job(LOAD)
def load(job: Job, command: LoadDataset) -> Finish:
    """Read a table from its source, type and profile it, and store it as a dataset's next version."""
    checks.check_patterns(command.expectations)
    if rest := _wait_for_lock(job, command.name):
        return rest
    with database.of_process()["ingestion"].statements.connect() as connection:
        base_state = base.read_state(connection, tenant_id=job.tenant_id, name=command.name)
    previous = _read_previous(job, base_state, command)
    fetched = _fetch(job, command, previous=previous)
    writer = version_writer.VersionWriter(
        job,
        command,
        base_state,
        fetched,
        output=job.output("data.parquet"),
        quarantine_output=job.output("quarantine.parquet"),
    )
    assembled = assembly.assemble(
        fetched.path,
        files=_choose_files(writer),
        command=_complete_command(command, fetched),
        previous=previous,
        like=_choose_types(job),
        threads=numeric_threads.count(job.config),
        progress=job.progress,
        database=fetched.selection,
    )
    if assembled is None:
        return writer.report_unchanged(previous)
    return lambda connection: writer.write(connection, assembled)


def _wait_for_lock(job: Job, name: str) -> Rest | None:
    """Lock the dataset's name for this job; return the rest to take while another job loads the same dataset."""
    with database.of_process()["ingestion"].transactions.begin() as connection:
        if lock.take(connection, tenant_id=job.tenant_id, name=name, job_id=job.id):
            return None
        seconds = lock.choose_rest_seconds(connection, job_id=job.id)
    job.progress(0.0, f"waiting for another job that loads {name}")
    return Rest(seconds=seconds)


def _read_previous(job: Job, state: base.DatasetState, command: LoadDataset) -> assembly.PreviousVersion | None:
    latest = state.latest
    if latest is None:
        return None
    start = None
    if command.watermark:
        start = watermarks.find_start(
            job.fetch(latest), columns=latest.columns, lineage=state.lineage, watermark=command.watermark
        )
    return assembly.PreviousVersion(version=latest.version, columns=latest.columns, start=start)


def _fetch(job: Job, command: LoadDataset, *, previous: assembly.PreviousVersion | None) -> fetched_file.FetchedFile:
    """Fetch the file of an upload or of another source, which may leave out rows that are not new."""
    if isinstance(command.source, sources.UploadSource):
        upload = contract.UploadPin.model_validate(job.pinned["source.upload"])
        lineage = {"type": "upload", "sha256": upload.sha256, "bytes": upload.bytes}
        return fetched_file.FetchedFile(path=job.fetch(upload), format=None, compression="none", lineage=lineage)
    watermark = None
    if command.watermark:
        start = previous.start if previous else None
        watermark = fetched_file.WatermarkFilter(command.watermark.column, start.value if start else None)
    return fetch.fetch(
        command.source,
        tenant_id=job.tenant_id,
        scratch=job.scratch,
        config=job.config,
        watermark=watermark,
        options=command.reading,
        report=job.progress,
    )


def _choose_types(job: Job) -> Mapping[str, contract.ColumnType]:
    """Choose the types that columns have in the model that the command wants the table to be like, if it names one."""
    pin = job.pinned.get("like")
    return {} if pin is None else signature_types.choose_types(contract.ModelPin.model_validate(pin))


def _complete_command(command: LoadDataset, fetched: fetched_file.FetchedFile) -> LoadDataset:
    """Fill in what the command leaves open and the source says of the bytes."""
    reading = command.reading
    charset = {"encoding": fetched.charset} if reading.encoding is None else {}
    return command.model_copy(
        update={
            "format": command.format or fetched.format,
            "compression": command.compression or fetched.compression,
            **dict.fromkeys(ReadingOptions.model_fields),
            "csv": reading.model_copy(update={**charset, **fetched.csv}),
        }
    )


def _choose_files(writer: version_writer.VersionWriter) -> refine.Files:
    pin, command = writer.base_state.latest, writer.command
    latest = writer.job.fetch(pin) if pin and (command.mode == "append" or command.watermark) else None
    extended = latest if command.mode == "append" else None
    return refine.Files(
        latest=latest,
        loaded=writer.job.scratch / "read.parquet" if extended else writer.output.path,
        previous=extended,
        target=writer.output.path,
        quarantine=writer.quarantine_output.path,
        scratch=writer.job.scratch,
    )
