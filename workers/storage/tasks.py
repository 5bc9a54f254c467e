"""The jobs of the storage role."""

import sqlalchemy as sa

from shared import clock, contract, database
from shared.storage import archive_keys, tables
from shared.storage import contract as storage
from workers import bodies
from workers.job import Finish, Job
from workers.storage import export as exporting
from workers.storage import inventory
from workers.storage import prune as pruning
from workers.storage import verify as verifying

_HOUR_MS = 3600 * 1000


@bodies.job(storage.VERIFY)
def verify(job: Job, _command: storage.VerifyObjects) -> Finish:
    """Hash every object that a row points at."""
    return verifying.verify(job.store, _inventory(job), tenant_id=job.tenant_id, progress=job.progress)


@bodies.job(storage.PRUNE)
def prune(job: Job, command: storage.PruneObjects) -> Finish:
    """Delete what nothing points at."""
    known = _inventory(job)
    if known.retired and not command.dry_run:
        job.show(pruning.interim(known))
    return pruning.prune(
        job.store,
        known,
        tenant_id=job.tenant_id,
        grace_ms=int(command.grace_hours * _HOUR_MS),
        dry_run=command.dry_run,
        progress=job.progress,
    )


@bodies.job(storage.EXPORT)
def export(job: Job, _command: storage.ExportArchive) -> Finish:
    """Pack versions into an archive."""
    sources = exporting.read_items(job.fetch(_pin(job)), store=job.store)
    with database.of_process()["storage"].statements.connect() as connection:
        key = archive_keys.of_tenant(connection, tenant_id=job.tenant_id, config=job.config)
        created_at = clock.to_text(connection.execute(sa.select(clock.now_ms())).scalar_one()) or ""
    output = job.output("archive.tar")
    sha256 = exporting.pack(output.path, sources, tenant=job.tenant_id, created_at=created_at, key=key)
    packed = [
        storage.Packed(type=one.item.type, name=one.item.name, version=one.item.version, sha256=one.item.sha256)
        for one in sources
        if one.item.type != "fitting_data"
    ]
    archive = storage.Archive(
        id=job.id,
        bytes=output.path.stat().st_size,
        sha256=sha256,
        count=len(packed),
        items=packed[: storage.MOST_LISTED],
    )

    def finish(connection: sa.Connection) -> storage.Exported:
        connection.execute(
            sa.insert(tables.archives).values(
                id=job.id,
                tenant_id=job.tenant_id,
                job_id=job.id,
                created_by=job.submitted_by,
                created_at=clock.now_ms(),
                key=output.key,
                sha256=sha256,
                bytes=archive.bytes,
                items=[one.model_dump(mode="json") for one in packed],
            )
        )
        return storage.Exported(archive=archive)

    return finish


def _inventory(job: Job) -> inventory.Inventory:
    pin = _pin(job)
    return inventory.read(job.fetch(pin), pin=pin)


def _pin(job: Job) -> contract.UploadPin:
    return contract.UploadPin.model_validate(job.pinned["holdings"])
