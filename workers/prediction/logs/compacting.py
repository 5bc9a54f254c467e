"""Writes what copies have stored for a deployment's log into Parquet files."""

from typing import Any

import sqlalchemy as sa
import structlog

from shared import clock, database, errors, ids
from shared.objects import store
from shared.prediction import changes
from shared.prediction.contract import WriteLog, WrittenLog
from shared.prediction.logs import batches, files, waiting
from shared.prediction.logs.document import PredictionLog
from shared.prediction.records import segments
from workers.job import Finish, Job
from workers.prediction.logs.writing import File, Files

_log = structlog.get_logger()
_GONE = "a batch is gone or damaged"


def write_log(job: Job, command: WriteLog) -> Finish:
    """Write what waits into files; returns a function that keeps their rows and removes the batches.

    A job that is done once more, or beside another one, writes nothing twice: its files count only if it is the one
    that removes the batches.
    """
    with database.of_process()[job.role].statements.connect() as connection:
        found = waiting.read_batches(connection, tenant_id=job.tenant_id, deployment=command.deployment)
    lost: list[segments.LogLoss] = []
    outputs: list[str] = []

    def choose_path(number: int) -> Any:
        output = job.output(f"log-{number:03}.parquet")
        outputs.append(output.key)
        return output.path

    with Files(choose_path) as written:
        for number, row in enumerate(found):
            try:
                written.add(read_batch(job.store, row.name))
            except (FileNotFoundError, store.DamagedError) as error:
                _log.error("log_batch_lost", batch=row.name, rows=row.rows, error=type(error).__name__)
                lost.append(segments.LogLoss(job.tenant_id, command.deployment, row.last_at, _GONE, row.rows))
            job.progress(number / len(found), f"{number + 1:,} of {len(found):,} batches read")
    names = [row.name for row in found]
    job.after_success(lambda: job.store.remove(*map(batches.key_of, names)))

    def finish(connection: sa.Connection) -> WrittenLog:
        if waiting.remove(connection, names) < len(names):
            raise errors.RetryableError("Another job has written the same batches.")
        waiting.lose(connection, *lost)
        head = changes.find(connection, tenant_id=job.tenant_id, name=command.deployment)
        log = None if head is None else head.state.get("log")
        days = (log or PredictionLog().model_dump())["retention_days"]
        of = {"tenant_id": job.tenant_id, "deployment": command.deployment, "retention_days": days}
        now = clock.read(connection)
        rows = [
            {**of, **_describe(file, key), "created_at": now} for file, key in zip(written.all, outputs, strict=True)
        ]
        files.add(connection, rows)
        return WrittenLog(
            rows=sum(file.writer.rows for file in written.all),
            files=len(rows),
            lost_rows=sum(loss.rows for loss in lost),
        )

    return finish


def read_batch(objects: store.Store, name: str) -> batches.Batch:
    """Read a batch; raises FileNotFoundError, and DamagedError when it can't be read as one."""
    with objects.open_read(batches.key_of(name)) as file:
        return batches.read(file.read())


def _describe(file: File, key: str) -> dict[str, Any]:
    return {
        "id": ids.new_ulid(),
        "from_at": file.from_at,
        "until_at": file.until_at,
        "rows": file.writer.rows,
        "bytes": file.writer.bytes,
        "sha256": file.writer.sha256,
        "key": key,
        "versions": sorted(file.versions),
        "columns": [list(column) for column in file.columns],
        "first_revision": min(file.revisions),
        "last_revision": max(file.revisions),
    }
