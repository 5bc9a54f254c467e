"""Makes datasets of deployments' logs: file by file, a few thousand rows at a time."""

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from shared import clock, database, digests, errors
from shared.ml import frames
from shared.objects import store
from shared.prediction.contract import MadeLogDataset, MakeLogDataset
from shared.prediction.logs import files
from shared.prediction.logs.document import parse_time
from workers import dataset_writing
from workers.job import Finish, Job
from workers.prediction.logs import compacting, layouts
from workers.prediction.logs.labels import FeedbackColumns
from workers.prediction.logs.writing import Files

_BATCH_ROWS = 16_384


@dataclasses.dataclass(frozen=True)
class _Part:
    """A file of rows, in the store or already here."""

    columns: list[Any]
    key: str = ""
    sha256: str = ""
    path: Path | None = None


def make_dataset(job: Job, command: MakeLogDataset) -> Finish:
    """Write the rows of the time that was asked for as a new version of a dataset.

    BadDataError where there are none. What no job has written into files yet is read first, since such jobs go on.
    """
    since = None if command.since is None else parse_time(command.since)
    until = job.pinned["accepted_at"] if command.until is None else parse_time(command.until)
    engines = database.of_process()[job.role]
    with engines.statements.connect() as connection:
        sources = files.find_sources(
            connection, tenant_id=job.tenant_id, deployment=command.deployment, since=since, until=until
        )
    written, versions = _write_waiting(job, sources.batches)
    parts = [_Part(file["columns"], file["key"], file["sha256"]) for file in sources.files] + written
    versions |= {version: None for file in sources.files for version in file["versions"]}
    columns = layouts.merge(part.columns for part in parts)
    told = FeedbackColumns(engines, tenant_id=job.tenant_id, deployment=command.deployment, columns=columns)
    added = told.columns if command.with_feedback else ()
    output = job.output("data.parquet")
    with frames.FrameWriter(output.path, columns=layouts.describe((*columns, *added))) as writer:
        for number, part in enumerate(parts):
            job.progress(number / len(parts), f"{writer.rows:,} rows of {number:,} of {len(parts):,} files")
            for batch in _read(job, part):
                table = layouts.align(batch, columns).filter(_is_within(batch, since=since, until=until))
                if table.num_rows:
                    writer.write_table(told.add(table) if command.with_feedback else table)
    if not writer.rows:
        raise errors.BadDataError(
            f"the log of {command.deployment!r} has no predictions of this time; GET /v1/deployments/"
            f"{command.deployment}/log lists what it has, and `log` in the deployment says what is kept"
        )
    notes = told.list_warnings()
    until_text = clock.to_text(until) if command.until is None else command.until
    lineage = {"deployment": command.deployment, "since": command.since, "until": until_text}

    def finish(connection: sa.Connection) -> MadeLogDataset:
        version = dataset_writing.write(
            connection,
            job,
            command.datasets[0],
            key=output.key,
            table=writer,
            notes=notes,
            lineage={**lineage, "models": sorted(versions)},
        )
        return MadeLogDataset(dataset=version, labelled_rows=told.labelled, warnings=notes)

    return finish


def _write_waiting(job: Job, names: list[str]) -> tuple[list[_Part], dict[str, None]]:
    """Write what no job has written yet into temporary files; raises RetryableError when one has done so meanwhile."""
    versions: dict[str, None] = {}
    with Files(lambda number: job.scratch / f"waiting-{number:03}.parquet") as written:
        for name in names:
            try:
                written.add(compacting.read_batch(job.store, name))
            except FileNotFoundError as error:
                raise errors.RetryableError("What waited was written into a file meanwhile.") from error
            except store.DamagedError:
                # The job that writes files counts it as lost.
                continue
    for file in written.all:
        versions |= file.versions
    return [_Part(list(file.columns), path=file.path) for file in written.all], versions


def _read(job: Job, part: _Part) -> Iterator[pa.RecordBatch]:
    """Read a file's rows; one from the store is here only meanwhile. Raises RetryableError when it is gone."""
    path = part.path or _fetch(job, part)
    yield from frames.iterate_batches(path, batch_rows=_BATCH_ROWS)
    path.unlink()


def _fetch(job: Job, part: _Part) -> Path:
    path = job.scratch / "file.parquet"
    try:
        with job.store.open_read(part.key) as source, path.open("wb") as target:
            shutil.copyfileobj(source, target)
    except FileNotFoundError as error:
        raise errors.RetryableError(f"The file {part.key} was removed meanwhile.") from error
    actual = digests.of_file(path)
    if actual != part.sha256:
        raise store.changed_error(part.key, actual_sha256=actual, sha256=part.sha256)
    return path


def _is_within(batch: pa.RecordBatch, *, since: int | None, until: int) -> Any:
    times = batch.column(batch.schema.get_field_index(layouts.PREDICTED_AT))
    within = pc.less(times, _to_scalar(until))
    return within if since is None else pc.and_(within, pc.greater_equal(times, _to_scalar(since)))


def _to_scalar(milliseconds: int) -> pa.Scalar:
    return pa.scalar(milliseconds * 1000, frames.INSTANT)
